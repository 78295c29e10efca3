"""A proxy before a Kinesis server that makes it worse, for the checks of interop.

    proxy.py UPSTREAM [--tls] [--auto] [--spread] [--lose-replies N]

`--auto` answers `RecordDistributionStrategy: AUTO` in DescribeStreamSummary, as for a stream that ignores keys.
`--spread` ignores keys as such a stream does: each entry of PutRecords goes to a place drawn at random.
`--tls` speaks TLS, with a certificate that nothing trusts.
`--lose-replies N` forwards every Nth PutRecords and closes the connection instead of replying, at most five times.
"""

import argparse
import http.client
import json
import random
import ssl
import tempfile
import threading
from datetime import datetime, timedelta
from pathlib import Path
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HASH_KEYS = 2**128
LOST_MAX = 5
# What belongs to one connection and is not passed on.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "te", "upgrade"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        action = self.headers.get("x-amz-target", "").rpartition(".")[2]
        options = self.server.options
        if action == "PutRecords" and options.spread:
            body = spread(body, self.server.random)
        status, headers, answer = self.forward(body)
        if action == "DescribeStreamSummary" and options.auto and status == 200:
            answer = auto(answer)
        if action == "PutRecords" and self.server.loses_this():
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def forward(self, body):
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        upstream = http.client.HTTPConnection(self.server.upstream.hostname, self.server.upstream.port, timeout=60)
        try:
            upstream.request("POST", self.path, body, headers)
            response = upstream.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            upstream.close()

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, options):
        super().__init__(("127.0.0.1", 0), Handler)
        self.options, self.upstream = options, urlsplit(options.upstream)
        self.random, self.lock = random.Random(1), threading.Lock()
        self.requests = self.lost = 0

    def loses_this(self):
        with self.lock:
            self.requests += 1
            every = self.options.lose_replies
            if not every or self.requests % every or self.lost >= LOST_MAX:
                return False
            self.lost += 1
            return True


def spread(body, rng):
    request = json.loads(body)
    for entry in request["Records"]:
        entry["ExplicitHashKey"] = str(rng.randrange(HASH_KEYS))
    return json.dumps(request).encode()


def auto(answer):
    description = json.loads(answer)
    description["StreamDescriptionSummary"]["RecordDistributionStrategy"] = "AUTO"
    return json.dumps(description).encode()


def tls_context():
    """A server's, with a self-signed certificate of a day."""
    # Only here: the package is large.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    yesterday = datetime.now() - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(yesterday)
        .not_valid_after(yesterday + timedelta(days=3)).sign(key, hashes.SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "both.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ) + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context.load_cert_chain(file)
    return context


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("upstream")
    arguments.add_argument("--tls", action="store_true")
    arguments.add_argument("--auto", action="store_true")
    arguments.add_argument("--spread", action="store_true")
    arguments.add_argument("--lose-replies", type=int, default=0, metavar="N")
    server = Server(arguments.parse_args())
    if server.options.tls:
        # The handshake is the handler's business, or one connection that says nothing would keep all others out.
        server.socket = tls_context().wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    scheme = "https" if server.options.tls else "http"
    print(f"{scheme}://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

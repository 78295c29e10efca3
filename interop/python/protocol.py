"""Smithy's protocol test cases for clients of awsJson1_1, against the encoder and the decoder of PutRecords.

The cases are of a service of Smithy's own. The library encodes and decodes one call itself, PutRecords, so each case is
adapted to it:

- error: PutRecords is answered with the case's status, headers and body, and the record must fail with its error;
- response: a good reply gets the case's members beside its own, in the reply and in its entry, and reads the same;
- request: method, path and headers hold for every request; strings and blobs are sent as data and must be encoded as in
  the case.
"""

import base64
import json
import re
import subprocess
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from kcl import Result
from servers import environment

SEQUENCE = "49545115243490985018280067714973144582180062593244200961"


def run_all(tools, options):
    jar = next((tools.tools / "java" / "protocol" / "lib").glob("smithy-aws-protocol-tests-*.jar"))
    cases = [case for case in read_cases(jar) if case.get("appliesTo") != "server"]
    with Server() as server:
        for kind, judge in (("error", errors), ("response", responses), ("request", requests)):
            chosen = [case for case in cases if case["kind"] == kind]
            problems, passed, not_for_us = judge(tools, server, chosen)
            figures = f"{passed} of {len(chosen)} hold"
            if not_for_us:
                figures += f", of {not_for_us} only method, path and headers: PutRecords has no such member"
            yield Result(f"awsJson1_1, {kind} cases", figures, problems)


def errors(tools, server, cases):
    problems, passed = [], 0
    for case in cases:
        server.reply = (case["code"], case.get("headers", {}), case.get("body", ""))
        said = send(tools, server, f"1 key {case['id']}").stderr
        # The code is the shape's name, whatever stands before or after it.
        if re.search(rf"(^|[^\w#]){case['shape']}($|[^\w#])", said):
            passed += 1
        else:
            problems.append(f"{case['id']}: {case['shape']} expected, got: {said.strip()[-200:]}")
    return problems, passed, 0


def responses(tools, server, cases):
    problems, passed = [], 0
    for case in cases:
        try:
            members = json.loads(case.get("body") or "{}")
        except ValueError:
            problems.append(f"{case['id']}: its body is not JSON")
            continue
        entry = {**members, "SequenceNumber": SEQUENCE, "ShardId": "shardId-000000000000", **members}
        server.reply = (200, case.get("headers", {}), json.dumps({**members, "Records": [entry], **members}))
        done = send(tools, server, f"1 key {case['id']}")
        if f'"sequence_number":"{SEQUENCE}"' in done.stdout:
            passed += 1
        else:
            problems.append(f"{case['id']}: {done.stdout} {done.stderr[-200:]}")
    return problems, passed, 0


def requests(tools, server, cases):
    problems, passed, not_for_us = [], 0, 0
    for case in cases:
        params, body = case.get("params", {}), json.loads(case.get("body") or "{}")
        # A key may not have spaces here, where the line's second word is the key.
        text = next((v for v in params.values() if isinstance(v, str)), None)
        member = next(iter(body.values()), None)
        if len(params) != 1 or text is None or case["shape"] != "KitchenSinkOperation" or not isinstance(member, str):
            # What holds for all of them: method, path, content type, target.
            text, member = None, None
        server.reply = (200, {}, json.dumps({"Records": [{"SequenceNumber": SEQUENCE, "ShardId": "shardId-000000000000"}]}))
        server.seen.clear()
        line = f"1 key {text if text is not None else 'none'}"
        # A host with a path is an endpoint with one.
        _, slash, below = case.get("host", "").partition("/")
        send(tools, server, line, slash + below)
        path, headers, sent = server.seen[-1]
        record = json.loads(sent)["Records"][0]
        expected = case.get("headers", {}).get("Content-Type", "application/x-amz-json-1.1")
        mismatches = [
            f"path {path}" if path != case.get("uri", "/") else "",
            f"content type {headers['content-type']}" if headers["content-type"] != expected else "",
            f"target {headers['x-amz-target']}" if not headers["x-amz-target"].endswith(".PutRecords") else "",
            f"a member that is null: {record}" if None in record.values() else "",
            f"data {record['Data']}" if record["Data"] != base64.b64encode(line.encode()).decode() else "",
        ]
        if "blob" in case["id"] and member and base64.b64encode(text.encode()).decode() != member:
            mismatches.append(f"blob: base64 of {text} is {member}")
        mismatches = list(filter(None, mismatches))
        problems += [f"{case['id']}: {mismatch}" for mismatch in mismatches]
        passed += not mismatches
        not_for_us += text is None
    return problems, passed, not_for_us


def send(tools, server, line, path=""):
    """One record through the library, in one attempt."""
    return subprocess.run(
        [str(tools.receipts), "cases", server.endpoint + path, "--once"], input=line + "\n", env=environment(),
        capture_output=True, text=True, timeout=60,
    )


class Server:
    """Knows one stream of one shard, and gives the reply to PutRecords that it was given."""

    def __init__(self):
        outer = self
        self.seen, self.reply = [], None

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                action = self.headers["x-amz-target"].rpartition(".")[2]
                if action == "PutRecords":
                    outer.seen.append((self.path, self.headers, body))
                    status, headers, answer = outer.reply
                else:
                    status, headers, answer = 200, {}, json.dumps(DESCRIPTIONS[action])
                answer = answer.encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.http.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()


DESCRIPTIONS = {
    "DescribeStreamSummary": {"StreamDescriptionSummary": {
        "StreamName": "cases", "StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/cases", "StreamStatus": "ACTIVE",
        "RetentionPeriodHours": 24, "StreamCreationTimestamp": 0, "EnhancedMonitoring": [], "OpenShardCount": 1,
    }},
    "ListShards": {"Shards": [{
        "ShardId": "shardId-000000000000", "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": str(2**128 - 1)},
        "SequenceNumberRange": {"StartingSequenceNumber": SEQUENCE},
    }]},
}


def read_cases(jar):
    """The cases in the Smithy files of awsJson1_1, each with its kind and the name of its operation or error."""
    with zipfile.ZipFile(jar) as files:
        for name in sorted(files.namelist()):
            if re.fullmatch(r"META-INF/smithy/awsJson1_1/[^/]+\.smithy", name):
                yield from cases_of(files.read(name).decode())


def cases_of(text):
    for found in re.finditer(r"(?:apply (\w+) )?@http(Request|Response)Tests\(", text):
        nodes = Nodes(text, found.end())
        for case in nodes.value():
            shape = found[1] or re.compile(r"^(?:operation|structure) (\w+)", re.M).search(text, nodes.at)[1]
            is_error = re.search(rf'@error\("\w+"\)\s(?:@.*\s)*structure {shape}\b', text)
            kind = "request" if found[2] == "Request" else "error" if is_error else "response"
            if case["protocol"] == "awsJson1_1":
                yield {**case, "kind": kind, "shape": shape}


class Nodes:
    """Reads a node value of Smithy's language: JSON with comments, bare keys, bare words and blocks of text."""

    TOKEN = re.compile(r'(?:[\s,]|//[^\n]*)*("""|"(?:[^"\\]|\\.)*"|[\[\]{}:]|[-+.\w#$]+)', re.S)

    def __init__(self, text, at):
        self.text, self.at = text, at

    def next(self):
        token = self.TOKEN.match(self.text, self.at)
        self.at = token.end()
        return token[1]

    def value(self, token=None):
        token = token or self.next()
        if token == "[":
            return list(iter(lambda: self.item("]"), END))
        if token == "{":
            return dict(iter(lambda: self.member(), END))
        if token == '"""':
            return self.block()
        if token.startswith('"'):
            return json.loads(token, strict=False)
        try:
            return json.loads(token)
        except ValueError:
            return token

    def item(self, end):
        token = self.next()
        return END if token == end else self.value(token)

    def member(self):
        key = self.next()
        if key == "}":
            return END
        assert self.next() == ":", f"no colon after {key}"
        return key.strip('"'), self.value()

    def block(self):
        end = re.compile(r'(?:[^"\\]|\\.|"(?!""))*', re.S).match(self.text, self.at).end()
        lines = self.text[self.at : end].split("\n")[1:]
        self.at = end + 3
        indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
        text = "\n".join(line[indent:].rstrip() for line in lines)
        return json.loads('"' + re.sub(r"\\\n", "", text).replace("\n", "\\n").replace('"', '\\"').replace('\\\\"', '\\"') + '"',
                          strict=False)


END = object()

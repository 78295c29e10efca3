"""The processes that the checks run: Kinesis servers, moto, and our own. All on loopback, on free ports."""

import json
import os
import queue
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
START_TIMEOUT = 120


class Tools:
    """Where `interop/run` put what it built and installed."""

    def __init__(self, root, target, tools):
        self.root, self.target, self.tools = (Path(path).resolve() for path in (root, target, tools))
        self.scratch = self.tools / "scratch"
        self.pusher = self.target / "debug" / "kinesis-pusher"
        self.receipts = self.target / "debug" / "examples" / "receipts"
        self.codec = self.target / "debug" / "examples" / "interop"

    def java(self, module, main, *arguments):
        classpath = f"{self.tools}/java/{module}/classes:{self.tools}/java/{module}/lib/*"
        # One collector thread and a small heap: several JVMs share two cores with servers and producers.
        return ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:CICompilerCount=1",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Daws.accessKeyId=interop",
                "-Daws.secretAccessKey=interop", "-Daws.region=us-east-1", "-cp", classpath, f"interop.{main}",
                *map(str, arguments)]


def environment():
    """The environment without anything of the AWS files, with credentials that every emulator takes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**kept, "AWS_ACCESS_KEY_ID": "interop", "AWS_SECRET_ACCESS_KEY": "interop", "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


class Process:
    """A child process with a log file, killed when its block ends."""

    def __init__(self, name, command, log, cwd=None, env=None, stdin=subprocess.PIPE):
        self.name, self.log = name, Path(log)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.errors = self.log.open("wb")
        self.child = subprocess.Popen(
            [str(word) for word in command], cwd=cwd, env=env or environment(), stdin=stdin,
            stdout=subprocess.PIPE, stderr=self.errors,
        )
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            self.lines.put(line.decode(errors="replace").rstrip("\n"))
        self.lines.put(None)

    def wait_for(self, pattern, timeout=START_TIMEOUT):
        """The match of the first line of standard output that fits."""
        end = time.monotonic() + timeout
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise RuntimeError(f"{self.name} says nothing like {pattern!r} within {timeout} s; see {self.log}") from None
            if line is None:
                raise RuntimeError(f"{self.name} has ended; see {self.log}")
            if match := re.search(pattern, line):
                return match

    def tell(self, line):
        self.child.stdin.write(f"{line}\n".encode())
        self.child.stdin.flush()

    def stop(self):
        self.child.kill()
        self.child.wait()
        self.errors.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class KinesisMock(Process):
    """kinesis-mock of npm, at the version that the tests of `kinesis-batcher-local` pin."""

    def __init__(self, tools, name="kinesis-mock"):
        installed = tools.tools / "servers"
        env = {**environment(), "KINESIS_MOCK_PLAIN_PORT": "1", "KINESIS_MOCK_TLS_PORT": "2", "SHARD_LIMIT": "100000",
               "LOG_LEVEL": "ERROR"}
        for change in ("CREATE_STREAM", "DELETE_STREAM", "MERGE_SHARDS", "SPLIT_SHARD", "UPDATE_SHARD_COUNT"):
            env[f"{change}_DURATION"] = "10ms"
        super().__init__(
            name, ["node", "--require", tools.root / "crates/kinesis-batcher-local/node/preload.cjs", "main.js"],
            tools.scratch / f"{name}.log", cwd=installed / "node_modules/kinesis-local", env=env,
        )
        ports = {}
        while len(ports) < 2:
            match = self.wait_for(r"^listening (\d+) (\d+)")
            ports[match[1]] = int(match[2])
        self.endpoint, self.tls_port = f"http://127.0.0.1:{ports['1']}", ports["2"]


class Local(Process):
    """`kinesis-pusher local`."""

    def __init__(self, tools, name="local"):
        super().__init__(name, [tools.pusher, "local", "--port", "0"], tools.scratch / f"{name}.log")
        self.endpoint = self.wait_for(r"(http://127\.0\.0\.1:\d+)")[1]


class Moto(Process):
    """moto's server: the KCL's leases lie in its DynamoDB."""

    def __init__(self, tools):
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        super().__init__(
            "moto", [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port], tools.scratch / "moto.log"
        )
        wait_until(lambda: answers(self.endpoint + "/moto-api/data.json"), "moto listens")


class Proxy(Process):
    """Our proxy before a Kinesis server: see proxy.py."""

    def __init__(self, tools, upstream, name, *flags):
        super().__init__(
            name, [sys.executable, HERE / "proxy.py", upstream, *flags], tools.scratch / f"{name}.log"
        )
        listening = self.wait_for(r"(https?://127\.0\.0\.1:(\d+))")
        self.endpoint, self.port = listening[1], int(listening[2])


class Kcl(Process):
    """One JVM that runs any number of KCL applications."""

    def __init__(self, tools, moto):
        super().__init__("kcl", tools.java("clients", "Kcl", moto.endpoint), tools.scratch / "kcl.log")


class Filter:
    """A process that answers each line of JSON with one."""

    def __init__(self, command, directory=None):
        self.process = subprocess.Popen(
            [str(word) for word in command], cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            encoding="utf-8", env=environment(),
        )

    def ask(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args} died on {json.dumps(request)[:600]}")
        return json.loads(line)

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status == 200
    except OSError:
        return False


def wait_until(condition, what, timeout=START_TIMEOUT, interval=0.1):
    """Polls until the condition holds."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > end:
            raise RuntimeError(f"not within {timeout} s: {what}")
        time.sleep(interval)
    return value

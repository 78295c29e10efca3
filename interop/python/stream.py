"""A stream, the records that are written to it, and what is stored in it."""

import base64
import json
import random
import subprocess
import threading
import time
import zlib
from dataclasses import dataclass, field

import boto3
from botocore.config import Config

from servers import environment, wait_until

KEYS = 200


def client(endpoint):
    return boto3.client(
        "kinesis", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="interop",
        aws_secret_access_key="interop",
        config=Config(retries={"max_attempts": 3}, connect_timeout=10, read_timeout=60, parameter_validation=False),
    )


def payload(number):
    """A record: its number, its key, and filling, all from the number alone."""
    rng = random.Random(number)
    return f"{number} key{rng.randrange(KEYS)} " + "x" * rng.randrange(40, 160)


@dataclass(frozen=True)
class Place:
    """Where a record is stored: the sequence number and, of a member of an aggregate, its index."""

    shard: str
    sequence: str
    sub: int | None


@dataclass
class Written:
    """What the writer says of its records."""

    delivered: set = field(default_factory=set)
    places: dict = field(default_factory=dict)
    possibly_duplicated: set = field(default_factory=set)
    # Of a writer that does not say which.
    possibly_duplicated_count: int = 0
    retried: int = 0
    problems: list = field(default_factory=list)


class Stream:
    def __init__(self, tools, name, endpoint, shards=4):
        self.tools, self.name, self.endpoint = tools, name, endpoint
        self.client = client(endpoint)
        self.client.create_stream(StreamName=name, ShardCount=shards)
        self.wait_active()
        self.changes = []

    def wait_active(self):
        def active():
            summary = self.client.describe_stream_summary(StreamName=self.name)["StreamDescriptionSummary"]
            return summary["StreamStatus"] == "ACTIVE"

        wait_until(active, f"{self.name} is active", 60, 0.05)

    def open_shards(self):
        shards = self.all_shards()
        opened = [shard for shard in shards if "EndingSequenceNumber" not in shard["SequenceNumberRange"]]
        return sorted(opened, key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))

    def all_shards(self):
        shards, answer = [], self.client.list_shards(StreamName=self.name)
        while True:
            shards += answer["Shards"]
            if not (token := answer.get("NextToken")):
                return shards
            answer = self.client.list_shards(NextToken=token)

    def split(self):
        def width(shard):
            return int(shard["HashKeyRange"]["EndingHashKey"]) - int(shard["HashKeyRange"]["StartingHashKey"])

        widest = max(self.open_shards(), key=width)
        middle = int(widest["HashKeyRange"]["StartingHashKey"]) + width(widest) // 2 + 1
        self.client.split_shard(StreamName=self.name, ShardToSplit=widest["ShardId"], NewStartingHashKey=str(middle))
        self.changed("split")

    def merge(self):
        for lower, upper in zip(opened := self.open_shards(), opened[1:]):
            if int(lower["HashKeyRange"]["EndingHashKey"]) + 1 == int(upper["HashKeyRange"]["StartingHashKey"]):
                self.client.merge_shards(
                    StreamName=self.name, ShardToMerge=lower["ShardId"], AdjacentShardToMerge=upper["ShardId"]
                )
                return self.changed("merge")
        raise RuntimeError(f"{self.name} has no two shards side by side")

    def double(self):
        self.client.update_shard_count(
            StreamName=self.name, TargetShardCount=2 * len(self.open_shards()), ScalingType="UNIFORM_SCALING"
        )
        self.changed("double")

    def changed(self, change):
        self.wait_active()
        self.changes.append(f"{change} → {len(self.open_shards())}")

    def stored(self):
        """What `kinesis-pusher read` finds: (place, key, bytes) of each record."""
        command = [self.tools.pusher, "read", "--stream", self.name, "--endpoint-url", self.endpoint,
                   "--until-caught-up", "--output", "json"]
        done = subprocess.run(command, env=environment(), capture_output=True, timeout=600)
        if done.returncode:
            raise RuntimeError(f"read of {self.name}: {done.stderr.decode(errors='replace')[-500:]}")
        records = []
        for line in done.stdout.splitlines():
            record = json.loads(line)
            place = Place(record["shard_id"], record["sequence_number"], record["sub_sequence_number"])
            records.append((place, record["partition_key"], base64.b64decode(record["data_base64"])))
        return records


def write(tools, stream, count, seconds, *, writer, aggregate, order, changes=(), through=None, tls_port=None):
    """Feeds a producer evenly and changes the shards meanwhile, at equal distances."""
    endpoint = through or stream.endpoint
    if writer == "KPL":
        command = tools.java("clients", "Kpl", stream.name, tls_port, tools.scratch)
    elif writer == "push":
        command = [tools.pusher, "push", "--stream", stream.name, "--endpoint-url", endpoint, "--summary", "json",
                   "--progress", "never", "--partition-key", r"regex:^\d+ (\S+)", "--request-bytes", "1MiB"]
        command += ["--order", "partition-key"] if order else []
    else:
        command = [tools.receipts, stream.name, endpoint] + (["--order"] if order else [])
    command += ["--aggregate"] if aggregate else []
    log = (tools.scratch / f"{stream.name}.writer.log").open("wb")
    child = subprocess.Popen(
        [str(word) for word in command], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
    )
    output, failures = [], []
    reading = threading.Thread(target=lambda: output.extend(child.stdout), daemon=True)
    if writer != "push":
        # A JVM takes seconds to start: the load begins with the first receipt.
        child.stdin.write(f"{payload(0)}\n".encode())
        child.stdin.flush()
        output.append(child.stdout.readline())
    threads = [
        reading,
        threading.Thread(target=feed, args=(child.stdin, writer != "push", count, seconds), daemon=True),
        threading.Thread(target=change_shards, args=(stream, changes, seconds, failures), daemon=True),
    ]
    for thread in threads:
        thread.start()
    code = child.wait()
    for thread in threads:
        thread.join()
    output = b"".join(output)
    log.close()
    written = summary_of_push(output, count) if writer == "push" else receipts(output)
    written.problems += failures
    if code:
        written.problems.append(f"the writer exits with {code}; see {log.name}")
    return written


def feed(pipe, first, count, seconds):
    start, number = time.monotonic(), int(first)
    try:
        while number < count:
            due = min(count, int(count * (time.monotonic() - start) / seconds) + 1)
            if due > number:
                pipe.write("".join(payload(n) + "\n" for n in range(number, due)).encode())
                pipe.flush()
                number = due
            time.sleep(0.02)
        pipe.close()
    except BrokenPipeError:
        pass


def change_shards(stream, changes, seconds, failures):
    start = time.monotonic()
    for index, change in enumerate(changes):
        time.sleep(max(0.0, start + seconds * (index + 1) / (len(changes) + 1) - time.monotonic()))
        try:
            getattr(stream, change)()
        except Exception as error:  # The writer goes on, and the check says what failed.
            failures.append(f"{change}: {error}")


def summary_of_push(output, count):
    summary = json.loads(output.splitlines()[-1]) if output.strip() else {}
    written = Written(
        possibly_duplicated_count=summary.get("records_possibly_duplicated", 0),
        retried=summary.get("records_retried", 0),
    )
    if summary.get("records_delivered") == count:
        written.delivered = set(range(count))
    else:
        written.problems.append(f"push delivered {summary.get('records_delivered')} of {count}")
    return written


def receipts(output):
    written = Written()
    for line in output.splitlines():
        receipt = json.loads(line)
        number = receipt["number"]
        written.delivered.add(number)
        written.places[number] = Place(receipt["shard"], receipt["sequence_number"], receipt["sub_sequence_number"])
        written.retried += receipt["attempts"] > 1
        if receipt["possible_duplicate"]:
            written.possibly_duplicated.add(number)
    written.possibly_duplicated_count = len(written.possibly_duplicated)
    return written


def crc(number):
    return zlib.crc32(payload(number).encode())

"""AWS's SDKs as clients of `kinesis-pusher local`: each writes, reshards and reads."""

import json
import subprocess
import sys

from kcl import Result
from servers import HERE, Local, environment
from stream import Stream, client

RECORDS = 900
# The shard that was split has two children, each of the three that were doubled two more.
SHARDS_AT_THE_END = 6


def run_all(tools, options):
    node = ["node", HERE.parent / "node" / "sdk.js"]
    programs = {
        "boto3": ([sys.executable, HERE / "sdks.py"], None, []),
        "Java 2": (tools.java("clients", "Sdk"), None, []),
        "Go 2": ([tools.tools / "go" / "sdk"], None, []),
        "JavaScript 3, h2c": (node, tools.tools / "node", []),
        "JavaScript 3, HTTP/1.1": (node, tools.tools / "node", ["http1"]),
    }
    with Local(tools, "local-sdks") as local:
        for name, (command, directory, flags) in programs.items():
            stream = "sdk-" + "".join(filter(str.isalnum, name))
            done = subprocess.run(
                [*map(str, command), local.endpoint, stream, str(RECORDS), *flags], cwd=directory, env=environment(),
                capture_output=True, text=True, timeout=240,
            )
            yield judge(f"local ← SDK: {name}", done)


def judge(name, done):
    if done.returncode:
        return Result(name, "failed", [line for line in done.stderr.splitlines() if line.strip()][-5:])
    saw = json.loads(done.stdout.splitlines()[-1])
    problems = [
        f"{what}: {saw[what]} in the place of {expected}"
        for what, expected in (
            ("read", RECORDS), ("unexpected", 0), ("again", 0), ("missing_stream", True), ("open", SHARDS_AT_THE_END),
        )
        if saw[what] != expected
    ]
    if not saw["children"]:
        problems.append("the end of no closed shard names its children")
    return Result(name, f"{saw['read']} of {saw['count']} read back, {saw['protocol']}", problems)


def main(endpoint, name, count):
    """The same with boto3."""
    count = int(count)
    kinesis = client(endpoint)
    try:
        kinesis.describe_stream_summary(StreamName=f"{name}-none")
        missing = False
    except kinesis.exceptions.ResourceNotFoundException:
        missing = True
    stream = Stream(None, name, endpoint, shards=2)

    def put(start, end):
        for first in range(start, end, 100):
            entries = [{"PartitionKey": f"key{n}", "Data": f"record {n}".encode()}
                       for n in range(first, min(first + 100, end))]
            reply = kinesis.put_records(StreamName=name, Records=entries)
            if reply["FailedRecordCount"]:
                raise RuntimeError(f"failed: {reply['Records']}")

    put(0, count // 3)
    stream.split()
    put(count // 3, 2 * count // 3)
    stream.double()
    put(2 * count // 3, count)
    read, again, children = set(), 0, 0
    for shard in stream.all_shards():
        closed, empty = "EndingSequenceNumber" in shard["SequenceNumberRange"], 0
        iterator = kinesis.get_shard_iterator(
            StreamName=name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while iterator and (closed or empty < 3):
            page = kinesis.get_records(ShardIterator=iterator, Limit=1000)
            data = [record["Data"].decode() for record in page["Records"]]
            again += sum(text in read for text in data)
            read.update(data)
            empty = 0 if data else empty + 1
            children += len(page.get("ChildShards", []))
            iterator = page.get("NextShardIterator")
            if empty > 50:
                raise RuntimeError(f"{shard['ShardId']} is closed and has no end")
    expected = len(read & {f"record {n}" for n in range(count)})
    print(json.dumps({
        "count": count, "missing_stream": missing, "unexpected": len(read) - expected, "again": again,
        "open": len(stream.open_shards()), "children": children,
        "protocol": kinesis.meta.service_model.resolved_protocol, "read": expected,
    }))


if __name__ == "__main__":
    main(*sys.argv[1:])

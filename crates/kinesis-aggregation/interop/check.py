"""Compares the crate with AWS's `aws-kinesis-agg` of PyPI and of npm, both ways, on generated cases.

Run it by `interop/run`, which installs what it needs.
"""

import argparse
import base64
import json
import random
import re
import subprocess
import sys
from pathlib import Path

from aws_kinesis_agg.aggregator import AggRecord, messages_pb2
from aws_kinesis_agg.deaggregator import deaggregate_records

MAGIC = b"\xf3\x89\x9a\xc2"
MIB = 1 << 20
HASH_KEY_MAX = str(2**128 - 1)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--ours", required=True, help="the interop example, built")
    arguments.add_argument("--node-modules", required=True, help="the directory that holds node_modules")
    arguments.add_argument("--cases", type=int, default=3000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--write-golden", type=Path, metavar="DIRECTORY")
    options = arguments.parse_args()

    here = Path(__file__).resolve().parent
    ours = Filter([options.ours])
    node = Filter(["node", str(here / "codec.js")], options.node_modules)
    codecs = Codecs(ours, PythonPackage(), node)
    rng = random.Random(options.seed)
    cases = [*named_cases(ours), *((f"random {n}", random_members(rng)) for n in range(options.cases))]

    passed = failed = 0
    for name, members in cases:
        mismatches = codecs.compare(members, rng)
        passed, failed = passed + (not mismatches), failed + bool(mismatches)
        for mismatch in mismatches:
            print(f"{name} (seed {options.seed}): {mismatch}", file=sys.stderr)
    if options.write_golden and not failed:
        codecs.write_golden(options.write_golden, cases)
    print(f"interop: {codecs.readings} readings agreed on between the crate and AWS's packages")
    print(f"{passed} passed, {failed} failed")
    return failed > 0


class Codecs:
    def __init__(self, ours, python, node):
        self.ours, self.python, self.node = ours, python, node
        self.readings = 0

    def compare(self, members, rng):
        """What went wrong in each direction, and with a damaged copy."""
        mismatches = []

        def expect(what, answer, expected):
            if answer == {"members": expected}:
                self.readings += 1
            else:
                mismatches.append(f"{what}: got {shortened(answer)}, expected {shortened(expected)}")

        written = self.ours.encode(members)
        expect("ours, read by ours", self.ours.decode(written), members)
        expect("ours, read by Python", self.python.decode(written), as_aws_reads(members))
        expect("ours, read by Node", self.node.decode(written), as_aws_reads(members))
        by_python = self.python.encode(members)
        expect("Python's, read by ours", self.ours.decode(by_python), members)
        if len(by_python) != len(written):
            mismatches.append(f"Python takes {len(by_python)} bytes of base64, ours {len(written)}")
        by_node = self.node.encode(members)
        expect("Node's, read by ours", self.ours.decode(by_node), as_node_writes(members))

        for writer, data in (("ours", written), ("Python", by_python), ("Node", by_node)):
            damaged = damage(data, rng)
            answers = [codec.decode(damaged) for codec in (self.ours, self.python, self.node)]
            if not all("plain" in answer for answer in answers):
                mismatches.append(f"not all take a damaged aggregate of {writer} for plain: {shortened(answers)}")
        return mismatches

    def write_golden(self, directory, cases):
        small = [(name, members) for name, members in cases if len(json.dumps(members)) < 1500][:24]
        for file, write, expected in (
            ("ours", self.ours.encode, lambda members: members),
            ("python", self.python.encode, lambda members: members),
            ("node", self.node.encode, as_node_writes),
        ):
            lines = [
                json.dumps({"name": name, "data": write(members), "members": expected(members)})
                for name, members in small
            ]
            (directory / f"{file}.jsonl").write_text("\n".join(lines) + "\n")


class Filter:
    """A process that answers each line of JSON with one."""

    def __init__(self, command, directory=None):
        self.process = subprocess.Popen(
            command, cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def encode(self, members):
        answer = self.ask({"encode": members})
        return answer["data"]

    def decode(self, data):
        answer = self.ask({"decode": data})
        for member in answer.get("members", []):
            member["tags"] = member.get("tags", [])
        return answer

    def ask(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args[0]} died on {shortened(request)}")
        return json.loads(line)


class PythonPackage:
    def encode(self, members):
        # It overestimates: to it, a key that is text is always a new one. So it gets room to spare.
        record = AggRecord(16 * MIB)
        for member in members:
            data = base64.b64decode(member["data"])
            if not record.add_user_record(member["partition_key"], data, member["explicit_hash_key"]):
                raise SystemExit("the Python package finds the case too large")
            # It has no way to add tags, but its message type has.
            for key, value in member["tags"]:
                tag = record.agg_record.records[-1].tags.add(key=key)
                if value is not None:
                    tag.value = value
        return base64.b64encode(record.get_contents()[2]).decode()

    def decode(self, data):
        about = {"sequenceNumber": "1", "kinesisSchemaVersion": "1.0", "approximateArrivalTimestamp": 0}
        records = deaggregate_records([{"kinesis": {"data": data, "partitionKey": "outer", **about}}])
        if not all(record["kinesis"].get("aggregated") for record in records):
            return {"plain": "not aggregated"}
        message = messages_pb2.AggregatedRecord.FromString(base64.b64decode(data)[4:-16])
        return {
            "members": [
                {
                    "partition_key": record["kinesis"]["partitionKey"],
                    "explicit_hash_key": record["kinesis"]["explicitHashKey"],
                    "data": record["kinesis"]["data"].decode(),
                    "tags": [[tag.key, tag.value if tag.HasField("value") else None] for tag in raw.tags],
                }
                for record, raw in zip(records, message.records, strict=True)
            ]
        }


def as_aws_reads(members):
    """Both packages give a member without an explicit hash key the first of the table, if there is one. The KCL
    does not."""
    first = next((m["explicit_hash_key"] for m in members if m["explicit_hash_key"] is not None), None)
    return [{**m, "explicit_hash_key": m["explicit_hash_key"] if m["explicit_hash_key"] is not None else first}
            for m in members]


def as_node_writes(members):
    """The package for Node takes its tables from Object.keys, which moves keys that look like array indexes to
    the front: members get each other's keys. It drops tags."""

    def moved(keys):
        in_order = list(dict.fromkeys(key for key in keys if key is not None))
        is_index = [key for key in in_order if re.fullmatch("0|[1-9][0-9]*", key) and int(key) < 2**32 - 1]
        table = sorted(is_index, key=int) + [key for key in in_order if key not in is_index]
        return {None: None, **dict(zip(in_order, table, strict=True))}

    keys = moved([m["partition_key"] for m in members])
    explicit = moved([m["explicit_hash_key"] for m in members])
    return [
        {
            **m,
            "partition_key": keys[m["partition_key"]],
            "explicit_hash_key": explicit[m["explicit_hash_key"]],
            "tags": [],
        }
        for m in members
    ]


def named_cases(ours):
    yield "one member", [member("k", b"data")]
    yield "an empty payload", [member("k", b"")]
    yield "only empty payloads", [member(f"k{n}", b"") for n in range(50)]
    yield "a payload that begins with the magic", [member("k", MAGIC), member("k", MAGIC + b"x" * 40)]
    yield "a payload that is an aggregate", [member("k", base64.b64decode(ours.encode([member("k", b"inner")])))]
    yield "the first explicit hash key", [member("k", b"d", "0"), member("l", b"e", "0")]
    yield "the last explicit hash key", [member("k", b"d", HASH_KEY_MAX)]
    yield "both ends and none", [member("k", b"d", HASH_KEY_MAX), member("k", b"e", "0"), member("k", b"f")]
    yield "keys of every plane", [member(key, b"d") for key in ("é", "漢字", "🦀🦀", "\u0000", "a\u0301", "\uffff")]
    yield "the longest key", [member("🦀" * 256, b"d"), member("k" * 256, b"e")]
    yield "tags", [member("k", b"d", None, [["name", "value"], ["empty", ""], ["bare", None]]), member("k", b"e")]
    yield "indexes of two bytes", [member(f"k{n}", b"%d" % n, str(n + 2**64)) for n in range(300)]
    yield "indexes of three bytes", [member(f"k{n}", b"") for n in range(16_500)]
    yield "many members of one key", [member("k", b"0123456789") for _ in range(20_000)]
    yield "the largest aggregate, of one member", largest(ours, [])
    yield "the largest aggregate, of many", largest(ours, [member(f"k{n % 1000}", bytes(100)) for n in range(7000)])


def largest(ours, members):
    """`members` and one more, so that the whole has 1 MiB to the byte."""
    size = MIB
    while True:
        last = member("last", b"\xa5" * size)
        answer = ours.ask({"encode": [*members, last]})
        length = answer.get("full") or len(base64.b64decode(answer["data"]))
        if length == MIB:
            return [*members, last]
        size += MIB - length


def random_members(rng):
    keys = [random_text(rng) for _ in range(rng.choice([1, 2, 10, 200]))]
    hash_keys = ["0", HASH_KEY_MAX, str(rng.getrandbits(128)), str(rng.getrandbits(64)), str(rng.getrandbits(8))]
    with_hash_keys = rng.choice([0, 0, 0.3, 1])
    with_tags = rng.random() < 0.1
    size = rng.choice([0, 10, 100, 300])
    return [
        member(
            rng.choice(keys),
            rng.choice([b"", b"", MAGIC]) + rng.randbytes(rng.randint(0, size)),
            rng.choice(hash_keys) if rng.random() < with_hash_keys else None,
            [[random_text(rng), rng.choice([None, random_text(rng)])] for _ in range(rng.randint(0, 3))]
            if with_tags
            else [],
        )
        for _ in range(rng.choice([1, 1, 2, 5, 30, 300]))
    ]


def random_text(rng):
    alphabet = rng.choice(["0123456789", "abcdefghij", "äß漢🦀\u0000\u200d", "".join(map(chr, range(1, 0x800)))])
    return "".join(rng.choice(alphabet) for _ in range(rng.choice([1, 2, 8, 36, rng.randint(1, 256)])))


def member(partition_key, data, explicit_hash_key=None, tags=()):
    return {
        "partition_key": partition_key,
        "explicit_hash_key": explicit_hash_key,
        "data": base64.b64encode(data).decode(),
        "tags": list(tags),
    }


def damage(data, rng):
    """Changes a byte behind the magic. (Before, nobody would take it for an aggregate in the first place.)"""
    damaged = bytearray(base64.b64decode(data))
    at = rng.randrange(len(MAGIC), len(damaged))
    damaged[at] ^= 1 << rng.randrange(8)
    return base64.b64encode(damaged).decode()


def shortened(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 600 else f"{text[:600]}… ({len(text)} characters)"


if __name__ == "__main__":
    sys.exit(main())

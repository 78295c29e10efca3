"""Compares `kinesis-aggregation` with AWS's packages for Python, Node, Java and Go, both ways, on generated cases."""

import base64
import hashlib
import json
import random
import re

from aws_kinesis_agg.aggregator import AggRecord, messages_pb2
from aws_kinesis_agg.deaggregator import deaggregate_records

from kcl import Result
from servers import Filter, HERE

MAGIC = b"\xf3\x89\x9a\xc2"
MIB = 1 << 20
HASH_KEY_MAX = str(2**128 - 1)


def run_all(tools, options):
    """Every case through every codec."""
    ours = Codec([tools.codec])
    readers = {
        "Node": Codec(["node", HERE.parent / "node" / "codec.js"], tools.tools / "node"),
        "Java": Codec(tools.java("codec", "Codec")),
        "the KCL": Codec(tools.java("clients", "KclCodec")),
        "Go": Codec([tools.tools / "go" / "codec"]),
    }
    codecs = Codecs(ours, {"Python": PythonPackage(), **readers})
    rng = random.Random(options.seed)
    cases = [*named_cases(ours), *((f"random {n}", random_members(rng)) for n in range(options.cases))]
    problems, failed = [], 0
    for name, members in cases:
        mismatches = codecs.compare(members, rng)
        failed += bool(mismatches)
        problems += [f"{name} (seed {options.seed}): {mismatch}" for mismatch in mismatches[: 6 - len(problems)]]
    if options.write_golden and not failed:
        codecs.write_golden(tools.root / "crates" / "kinesis-aggregation" / "tests" / "golden", cases)
    for codec in (ours, *readers.values()):
        codec.stop()
    cross = ", ".join(f"{name} {count}" for name, count in codecs.agreed.items())
    yield Result("codec", f"{len(cases)} cases, {failed} differ; readings agreed on: {cross}", problems)


class Codecs:
    def __init__(self, ours, others):
        self.ours, self.others = ours, others
        self.agreed = {}

    def compare(self, members, rng):
        """What went wrong in each direction, and with a damaged copy."""
        mismatches = []

        def expect(what, answer, expected):
            if answer == {"members": expected}:
                self.agreed[what] = self.agreed.get(what, 0) + 1
            else:
                mismatches.append(f"{what}: got {shortened(answer)}, expected {shortened(expected)}")

        written = self.ours.encode(members)
        encoded = {"ours": written}
        expect("ours → ours", self.ours.decode(written), members)
        for name, codec in self.others.items():
            expect(f"ours → {name}", codec.decode(written), READS[name](members))
            if name not in WRITES or (data := codec.encode(members)) is None:
                continue
            encoded[name] = data
            expect(f"{name} → ours", self.ours.decode(data), WRITES[name](members))
            # Those that write the same message need the same room.
            if name in ("Python", "Go") and len(data) != len(written):
                mismatches.append(f"{name} takes {len(data)} bytes of base64, ours {len(written)}")

        for writer, data in encoded.items():
            damaged = damage(data, rng)
            for reader, codec in {"ours": self.ours, **self.others}.items():
                if "plain" not in (answer := codec.decode(damaged)):
                    mismatches.append(f"{reader} takes a damaged aggregate of {writer} for whole: {shortened(answer)}")
        return mismatches

    def write_golden(self, directory, cases):
        small = [(name, members) for name, members in cases if len(json.dumps(members)) < 1500][:24]
        for file, write, expected in (
            ("ours", self.ours.encode, lambda members: members),
            ("python", self.others["Python"].encode, lambda members: members),
            ("node", self.others["Node"].encode, as_node_writes),
        ):
            lines = [
                json.dumps({"name": name, "data": write(members), "members": expected(members)})
                for name, members in small
            ]
            (directory / f"{file}.jsonl").write_text("\n".join(lines) + "\n")


class Codec(Filter):
    """A codec in a process of its own."""

    def encode(self, members):
        """In base64; None of a writer that refuses the case."""
        return self.ask({"encode": members}).get("data")

    def decode(self, data):
        answer = self.ask({"decode": data})
        for member in answer.get("members", []):
            member["tags"] = member.get("tags") or []
        return answer


class PythonPackage:
    def encode(self, members):
        # It overestimates: to it, a key that is text is always a new one. So it gets room to spare.
        record = AggRecord(16 * MIB)
        for member in members:
            data = base64.b64decode(member["data"])
            if not record.add_user_record(member["partition_key"], data, member["explicit_hash_key"]):
                raise RuntimeError("the Python package finds the case too large")
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


def as_kcl_reads(members):
    """The KCL and awslabs' package for Java hand out no tags."""
    return [{**m, "tags": []} for m in members]


def as_go_reads(members):
    """awslabs' package for Go hands out neither tags nor explicit hash keys."""
    return [{**m, "explicit_hash_key": None, "tags": []} for m in members]


def as_java_writes(members):
    """awslabs' package for Java gives a member without an explicit hash key the MD5 of its key. It drops tags."""

    def hash_key(key):
        return str(int.from_bytes(hashlib.md5(key.encode()).digest(), "big"))

    return [
        {**m, "explicit_hash_key": m["explicit_hash_key"] or hash_key(m["partition_key"]), "tags": []} for m in members
    ]


def as_they_are(members):
    return members


READS = {"Python": as_aws_reads, "Node": as_aws_reads, "Java": as_kcl_reads, "the KCL": as_kcl_reads, "Go": as_go_reads}
WRITES = {"Python": as_they_are, "Node": as_node_writes, "Java": as_java_writes, "Go": as_they_are}


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

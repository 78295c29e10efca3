"""What the KCL's processors get of a stream, against receipts, against what `read` finds, and against the input."""

import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import md5

import stream as streams
from servers import Kcl, KinesisMock, Local, Moto, Proxy, wait_until
from stream import Place, Stream, crc, write

CHANGES = ("split", "split", "merge", "double")
# Short enough to be noticed by a person, long enough for two loaded cores.
PROGRESS_TIMEOUT = 90


@dataclass(frozen=True)
class Scenario:
    server: str
    writer: str
    aggregate: bool
    order: bool
    records: int
    changes: tuple = CHANGES
    # Each Nth reply to PutRecords is lost, so that records are sent again though they are stored.
    lose_replies: int = 0

    @property
    def name(self):
        words = [self.writer, "aggregated" if self.aggregate else "plain", "ordered" if self.order else "",
                 "replies-lost" if self.lose_replies else ""]
        return "-".join([self.server, *filter(None, words)])


class Application:
    """One KCL application on one stream, and what it has written down so far."""

    def __init__(self, kcl, tools, stream):
        self.kcl, self.name = kcl, f"app-{stream.name}"
        self.file = tools.scratch / f"{stream.name}.kcl.tsv"
        self.file.unlink(missing_ok=True)
        self.offset, self.rest = 0, b""
        self.started, self.ended, self.leases_lost = set(), set(), 0
        self.records = []  # (Place, key, number, crc), in the order of processing
        self.places = set()
        self.caught_up = Counter()
        kcl.tell(f"start {self.name} {stream.name} {stream.endpoint} {self.file}")

    def update(self):
        if not self.file.exists():
            return self
        with self.file.open("rb") as file:
            file.seek(self.offset)
            new = file.read()
        self.offset += len(new)
        *lines, self.rest = (self.rest + new).split(b"\n")
        for line in lines:
            event, shard, *fields = line.decode().split("\t")
            if event == "record":
                sequence, sub, key, number, checksum = fields
                place = Place(shard, sequence, None if sub == "-" else int(sub))
                self.places.add(place)
                self.records.append((place, key, number, int(checksum)))
            elif event == "init":
                self.started.add(shard)
            elif event == "end":
                self.ended.add(shard)
            elif event == "lost":
                self.leases_lost += 1
            else:
                self.caught_up[shard] += 1
        return self

    def wait_started(self, shards):
        wait_until(lambda: shards <= self.update().started, f"the KCL works on {sorted(shards)}")

    def wait_read(self, expected, open_shards):
        """Until the processors have got everything, or have long been at the end of each open shard."""
        target, seen, since = None, -1, time.monotonic()
        while not expected <= self.update().places:
            if len(self.places) != seen:
                seen, since, target = len(self.places), time.monotonic(), None
            elif target is None:
                target = {shard: self.caught_up[shard] + 8 for shard in open_shards}
            elif all(self.caught_up[shard] >= count for shard, count in target.items()):
                return
            if time.monotonic() - since > PROGRESS_TIMEOUT:
                return
            time.sleep(0.2)

    def stop(self):
        self.kcl.tell(f"stop {self.name}")


@dataclass
class Result:
    name: str
    figures: str
    problems: list


class Servers:
    """Each is started when it is first asked for, and all end together."""

    def __init__(self, tools):
        self.tools, self.running, self.lock = tools, {}, threading.Lock()

    def __getitem__(self, name):
        make = {"kinesis-mock": KinesisMock, "local": Local, "moto": Moto,
                "kcl": lambda tools: Kcl(tools, self["moto"])}[name]
        with self.lock:
            known = self.running.get(name)
        if known is None:
            known = make(self.tools)
            with self.lock:
                self.running[name] = known
        return known

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self.running.values():
            server.stop()


def run(tools, servers, scenario, rate):
    """One scenario from an empty stream to the comparison."""
    stream = Stream(tools, scenario.name, servers[scenario.server].endpoint)
    application = Application(servers["kcl"], tools, stream)
    proxy = None
    try:
        application.wait_started({shard["ShardId"] for shard in stream.open_shards()})
        if scenario.lose_replies or scenario.writer == "KPL":
            flags = ["--lose-replies", scenario.lose_replies] + (["--tls"] if scenario.writer == "KPL" else [])
            proxy = Proxy(tools, stream.endpoint, f"{scenario.name}.proxy", *flags)
        written = write(
            tools, stream, scenario.records, scenario.records / rate, writer=scenario.writer,
            aggregate=scenario.aggregate, order=scenario.order, changes=scenario.changes,
            through=proxy and proxy.endpoint, tls_port=proxy and proxy.port,
        )
        stored = stream.stored()
        foreign = foreign_places(stream, stored)
        expected = {place for place, _, _ in stored} - foreign
        application.wait_read(expected, {s["ShardId"] for s in stream.open_shards()})
    finally:
        application.stop()
        if proxy:
            proxy.stop()
    problems = list(written.problems)
    problems += check_read(scenario, written, stored)
    problems += check_processed(scenario, written, expected, application)
    again = len(application.records) - len(application.places)
    dropped = len(foreign - application.places)
    figures = f"{len(written.delivered)} of {scenario.records} delivered, {missed(written, application)} missed, " \
              f"{len(stored) - len(written.delivered)} stored twice, of these {dropped} dropped by the KCL, " \
              f"{again} processed again; {', '.join(stream.changes)}"
    return Result(f"KCL ← {scenario.name}", figures, problems)


def missed(written, application):
    return len(written.delivered - {int(number) for _, _, number, _ in application.records if number.isdigit()})


def check_read(scenario, written, stored):
    """`read` finds what receipts say, byte for byte, and nothing else but possible duplicates."""
    problems, places = [], defaultdict(set)
    for place, key, data in stored:
        number = data.split(b" ", 1)[0]
        if not number.isdigit() or data != streams.payload(int(number)).encode() or key != data.decode().split(" ")[1]:
            problems.append(f"read: {place} is not as it was written: {data[:40]}")
        else:
            places[int(number)].add(place)
    missing = written.delivered - places.keys()
    if missing:
        problems.append(f"read: {len(missing)} delivered records are not stored, such as {sorted(missing)[:5]}")
    for number, place in written.places.items():
        found = places[number]
        if scenario and scenario.writer == "KPL":
            # Its results do not say where in the aggregate.
            found = {Place(f.shard, f.sequence, None) for f in found}
        if place not in found:
            problems.append(f"read: the receipt of {number} says {place}, it is in {sorted(map(str, found))}")
    return shortened(problems)


def foreign_places(stream, stored):
    """Members of aggregates that the KCL may drop whole: one of them belongs to another shard than it is stored in."""
    ranges = {shard["ShardId"]: [int(shard["HashKeyRange"][end]) for end in ("StartingHashKey", "EndingHashKey")]
              for shard in stream.all_shards()}
    foreign = set()
    for place, key, _ in stored:
        first, last = ranges[place.shard]
        # The writers here give no explicit hash keys.
        if place.sub is not None and not first <= int.from_bytes(md5(key.encode()).digest(), "big") <= last:
            foreign.add((place.shard, place.sequence))
    return {place for place, _, _ in stored if (place.shard, place.sequence) in foreign}


def check_processed(scenario, written, expected, application):
    problems = []
    by_number, last_of_key = defaultdict(dict), {}
    for place, key, number, checksum in application.records:
        if not number.isdigit() or checksum != crc(int(number)) or key != streams.payload(int(number)).split(" ")[1]:
            problems.append(f"the KCL got a record that was not written so: {place} {key} {number}")
            continue
        number = int(number)
        redelivered = place in by_number[number]
        first = not by_number[number]
        by_number[number][place] = True
        # Copies and what the KCL repeats come later than their first; of first ones, a key's are in order.
        if scenario and scenario.order and first and not redelivered:
            if number < last_of_key.get(key, -1):
                problems.append(f"order: {number} of {key} after {last_of_key[key]}")
            last_of_key[key] = max(number, last_of_key.get(key, -1))
    missing = written.delivered - by_number.keys()
    if missing:
        problems.append(f"{len(missing)} of {len(written.delivered)} missed by the KCL, such as {sorted(missing)[:5]}")
    if unseen := expected - application.places:
        problems.append(f"{len(unseen)} stored records never reached a processor")
    copied = {number: places for number, places in by_number.items() if len(places) > 1}
    if scenario and scenario.writer == "KPL":
        # It does not say: its SDK sends a request again that was not answered, and the result counts one attempt.
        unexplained = copied.keys() - written.possibly_duplicated
        if unexplained and not scenario.lose_replies:
            problems.append(f"{len(unexplained)} stored twice though no reply was lost and the KPL counts one attempt")
    elif written.places:
        # One that was not delivered has no receipt, and is a problem by itself.
        for number in (copied.keys() & written.delivered) - written.possibly_duplicated:
            problems.append(f"{number} is stored twice, and its receipt knows of no possible duplicate")
    elif len(copied) > written.possibly_duplicated_count:
        problems.append(f"{len(copied)} stored twice, {written.possibly_duplicated_count} possible duplicates reported")
    return shortened(problems)


def shortened(problems):
    return problems if len(problems) < 6 else [*problems[:5], f"… and {len(problems) - 5} more"]


def scenarios(records, server):
    """Every combination, with a quarter of the records each; and the whole number aggregated through `push`."""
    part = max(1_000, records // 8)
    yield Scenario(server, "push", True, False, records)
    for writer in ("library", "push"):
        for aggregate in (False, True):
            for order in (False, True):
                if (writer, aggregate, order) != ("push", True, False):
                    yield Scenario(server, writer, aggregate, order, part)
    yield Scenario(server, "library", True, False, part, lose_replies=9)
    yield Scenario(server, "library", False, False, part, lose_replies=9)


def kpl_scenarios(records, server):
    """The KPL needs TLS, which a proxy speaks for both servers."""
    part = max(1_000, records // 8)
    yield Scenario(server, "KPL", True, False, records // 2)
    yield Scenario(server, "KPL", False, False, part)
    yield Scenario(server, "KPL", True, False, part, lose_replies=9)


def run_kpl(tools, options):
    """What the KPL writes, read by `kinesis-pusher read` and by the KCL."""
    yield from run_all(tools, options, kpl_scenarios)


def run_all(tools, options, scenarios=scenarios):
    """Several at a time: most of a scenario is waiting."""
    with Servers(tools) as servers:
        # Not at the same time, or each would start them.
        servers["moto"], servers["kcl"]
        for server in options.servers:
            servers[server]
        chosen = [s for server in options.servers for s in scenarios(options.records, server)
                  if not options.scenario or options.scenario in s.name]

        def guarded(scenario):
            try:
                rate = options.rate if scenario.records > options.records // 8 else options.rate / 5
                return run(tools, servers, scenario, rate)
            except Exception as error:
                return Result(f"KCL ← {scenario.name}", "did not end", [f"{type(error).__name__}: {error}"])

        with ThreadPoolExecutor(options.at_once) as pool:
            yield from pool.map(guarded, chosen)

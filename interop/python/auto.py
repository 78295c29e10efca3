"""A stream that ignores keys, as one with record distribution `AUTO` does.

The KCL drops an aggregate whose members belong to other shards than the one it lies in, so a producer must not aggregate
there."""

import base64
from concurrent.futures import ThreadPoolExecutor

import stream as streams
from kcl import Application, Result, Servers, check_processed, check_read
from servers import Filter, Proxy
from stream import Stream, payload, write


def run_all(tools, options):
    """Ours, which must lose nothing; and aggregates made on purpose, of which the KCL must lose some."""
    records = max(1_000, options.records // 8)
    with Servers(tools) as servers:
        servers["moto"], servers["kinesis-mock"]
        servers["kcl"]
        with ThreadPoolExecutor(3) as pool:
            running = [pool.submit(forced, tools, servers, records)]
            for writer in ("push", "library"):
                running.append(pool.submit(ours, tools, servers, writer, records, options.rate / 2))
            for result in running:
                yield result.result()


def ours(tools, servers, writer, records, rate):
    name = f"AUTO-{writer}-aggregated"
    stream = Stream(tools, name, servers["kinesis-mock"].endpoint)
    application = Application(servers["kcl"], tools, stream)
    application.wait_started({shard["ShardId"] for shard in stream.open_shards()})
    with Proxy(tools, stream.endpoint, f"{name}.proxy", "--auto", "--spread") as proxy:
        written = write(tools, stream, records, records / rate, writer=writer, aggregate=True, order=False,
                        through=proxy.endpoint)
    stored = stream.stored()
    places = {place for place, _, _ in stored}
    application.wait_read(places, {shard["ShardId"] for shard in stream.open_shards()})
    application.stop()
    problems = written.problems + check_read(None, written, stored)
    problems += check_processed(None, written, places, application)
    aggregated = sum(place.sub is not None for place in places)
    if aggregated:
        problems.append(f"{aggregated} records are in aggregates")
    missed = len(written.delivered) - numbers(application)
    figures = f"{len(written.delivered)} of {records} delivered, {missed} missed, {aggregated} in aggregates"
    return Result(f"KCL ← {name}", figures, problems)


def forced(tools, servers, records):
    """What the check above would see of a producer that aggregates all the same."""
    stream = Stream(tools, "AUTO-forced", servers["kinesis-mock"].endpoint)
    application = Application(servers["kcl"], tools, stream)
    application.wait_started({shard["ShardId"] for shard in stream.open_shards()})
    codec = Filter([tools.codec])
    with Proxy(tools, stream.endpoint, "AUTO-forced.proxy", "--auto", "--spread") as proxy:
        client = streams.client(proxy.endpoint)
        for first in range(0, records, 10):
            members = [
                {"partition_key": payload(n).split(" ")[1], "explicit_hash_key": None,
                 "data": base64.b64encode(payload(n).encode()).decode(), "tags": []}
                for n in range(first, min(first + 10, records))
            ]
            data = base64.b64decode(codec.ask({"encode": members})["data"])
            client.put_records(StreamName=stream.name, Records=[{"PartitionKey": "any", "Data": data}])
    codec.stop()
    places = {place for place, _, _ in stream.stored()}
    application.wait_read(places, {shard["ShardId"] for shard in stream.open_shards()})
    application.stop()
    lost = records - numbers(application)
    problems = [] if lost else ["the KCL lost nothing: this check cannot fail"]
    if len(places) != records:
        problems.append(f"{len(places)} of {records} are stored")
    return Result("KCL ← AUTO, aggregates by force", f"{lost} of {records} missed, as it must be", problems)


def numbers(application):
    """How many different records reached a processor."""
    return len({number for _, _, number, _ in application.records})

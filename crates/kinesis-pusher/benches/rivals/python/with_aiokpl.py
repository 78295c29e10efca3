"""aiokpl, a Kinesis producer in pure Python: `aggregate` as it is by default, `plain` without aggregation."""

import asyncio
from collections import deque

from aiokpl import Config, Producer
from contestant import ENDPOINT, REGION, STREAM, Arguments, Paced, key


def config(arguments):
    settings = {"region": REGION, "endpoint_url": ENDPOINT, "aggregation_enabled": arguments.variant == "aggregate"}
    # No limits, as for the others.
    settings["rate_limit_records_per_sec_per_shard"] = 1e9
    settings["rate_limit_bytes_per_sec_per_shard"] = 1e12
    if arguments.rate:
        # The fastest: with 1 ms or none it spends its time on timers, and the latency grows.
        settings["record_max_buffered_time_ms"] = 5.0
    return Config(**settings)


async def main():
    arguments = Arguments()
    async with Producer(config(arguments)) as producer:

        def put(number, line):
            return producer.put_record(stream=STREAM, partition_key=key(number), data=line)

        if arguments.rate:
            await at_a_rate(put, list(arguments.lines()), arguments.rate)
        else:
            await all_at_once(put, arguments.lines())


async def all_at_once(put, lines):
    outcomes = deque()
    for number, line in enumerate(lines):
        outcomes.append(await put(number, line))
        if len(outcomes) == OUTCOMES_KEPT:
            assert (await outcomes.popleft().wait()).success
    for outcome in outcomes:
        assert (await outcome.wait()).success


async def at_a_rate(put, lines, rate):
    paced = Paced(len(lines), rate)

    async def acknowledge(number, outcome):
        assert (await outcome.wait()).success
        paced.acknowledged(number)

    async with asyncio.TaskGroup() as acknowledgements:
        async for numbers in paced.batches():
            for number in numbers:
                acknowledgements.create_task(acknowledge(number, await put(number, lines[number])))
    paced.report()


# As many as the other contestants have in flight.
OUTCOMES_KEPT = 16 * 500

asyncio.run(main())

"""async-kinesis: `plain` with a key for each record, `aggregate` in the KPL's format, which takes no keys."""

import asyncio
import logging

from contestant import ENDPOINT, REGION, STREAM, Arguments, Paced, key
from kinesis import Producer
from kinesis.processors import KPLStringProcessor, StringProcessor

# It warns of limits above the service's.
logging.getLogger("kinesis").setLevel(logging.ERROR)


def settings(arguments):
    aggregate = arguments.variant == "aggregate"
    return {
        "region_name": REGION,
        "endpoint_url": ENDPOINT,
        "processor": KPLStringProcessor() if aggregate else StringProcessor(),
        # One call fewer at the start.
        "skip_describe_stream": True,
        # No limits, as for the others; they cannot be switched off.
        "put_rate_limit_per_shard": 10**9,
        "put_bandwidth_limit_per_shard": 10**9,
        "buffer_time": 0.0005 if arguments.rate else 0.5,
    }


async def main():
    arguments = Arguments()
    lines = list(arguments.lines()) if arguments.rate else []
    paced = arguments.rate and Paced(len(lines), arguments.rate)

    async def after_flush(items):
        for item in items:
            # Each line begins with its number.
            paced.acknowledged(int(item.data[: item.data.index(b",")]))

    async with Producer(STREAM, after_flush_fun=paced and after_flush, **settings(arguments)) as producer:

        def put(number, line):
            keyed = arguments.variant == "plain"
            return producer.put(line.decode(), partition_key=key(number) if keyed else None)

        if paced:
            async for numbers in paced.batches():
                for number in numbers:
                    await put(number, lines[number])
        else:
            for number, line in enumerate(arguments.lines()):
                await put(number, line)
    if paced:
        paced.report()


asyncio.run(main())

"""The loop that everybody writes first, over aiobotocore: no limits, no retries of single records."""

import asyncio
from itertools import islice

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from contestant import ENDPOINT, REGION, REQUEST_RECORDS, REQUESTS_IN_FLIGHT, STREAM, Arguments, Paced, key


async def main():
    arguments = Arguments()
    lines = list(arguments.lines()) if arguments.rate else []
    paced = arguments.rate and Paced(len(lines), arguments.rate)
    config = AioConfig(max_pool_connections=REQUESTS_IN_FLIGHT)
    async with get_session().create_client(
        "kinesis", region_name=REGION, endpoint_url=ENDPOINT, config=config
    ) as client:
        free = asyncio.Semaphore(REQUESTS_IN_FLIGHT)

        async def put(batch):
            records = [{"Data": line, "PartitionKey": key(number)} for number, line in batch]
            try:
                reply = await client.put_records(StreamName=STREAM, Records=records)
            finally:
                free.release()
            assert reply["FailedRecordCount"] == 0
            if paced:
                for number, _ in batch:
                    paced.acknowledged(number)

        async with asyncio.TaskGroup() as requests:
            async for batch in due(lines, paced) if paced else full(arguments.lines()):
                await free.acquire()
                requests.create_task(put(batch))
        if paced:
            paced.report()


async def due(lines, paced):
    async for numbers in paced.batches():
        for first in range(numbers.start, numbers.stop, REQUEST_RECORDS):
            yield [(number, lines[number]) for number in range(first, min(numbers.stop, first + REQUEST_RECORDS))]


async def full(lines):
    numbered = enumerate(lines)
    while batch := list(islice(numbered, REQUEST_RECORDS)):
        yield batch


asyncio.run(main())

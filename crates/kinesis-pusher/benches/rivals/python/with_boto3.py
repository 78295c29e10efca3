"""The loop that everybody writes first, over boto3, with a thread for each request in flight."""

from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice

import boto3
from botocore.config import Config
from contestant import ENDPOINT, REGION, REQUEST_RECORDS, REQUESTS_IN_FLIGHT, STREAM, Arguments, key


def main():
    config = Config(max_pool_connections=REQUESTS_IN_FLIGHT)
    client = boto3.client("kinesis", region_name=REGION, endpoint_url=ENDPOINT, config=config)

    def put(batch):
        records = [{"Data": line, "PartitionKey": key(number)} for number, line in batch]
        reply = client.put_records(StreamName=STREAM, Records=records)
        assert reply["FailedRecordCount"] == 0

    numbered = enumerate(Arguments().lines())
    with ThreadPoolExecutor(REQUESTS_IN_FLIGHT) as threads:
        requests = set()
        while batch := list(islice(numbered, REQUEST_RECORDS)):
            if len(requests) == REQUESTS_IN_FLIGHT:
                done, requests = wait(requests, return_when=FIRST_COMPLETED)
                for request in done:
                    request.result()
            requests.add(threads.submit(put, batch))
        for request in requests:
            request.result()


main()

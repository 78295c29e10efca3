"""What the contestants in Python share: the arguments, the lines, their keys, a load of a fixed rate, and the answer."""

import asyncio
import os
import signal
import sys
import time

ENDPOINT = os.environ["AWS_ENDPOINT_URL_KINESIS"]
REGION = os.environ["AWS_REGION"]
STREAM = os.environ["RIVALS_STREAM"]
# As Kinesis takes them.
REQUEST_RECORDS = 500
# As many as the other contestants have.
REQUESTS_IN_FLIGHT = 16


class Arguments:
    """`SCRIPT VARIANT FILE [RATE]`: all lines of the file as fast as it goes, or RATE of them a second."""

    def __init__(self):
        # Whoever hangs is ended, whatever its event loop does.
        signal.alarm(int(os.environ["RIVALS_SECONDS_MAX"]))
        self.variant, self.file, *rate = sys.argv[1:]
        self.rate = int(rate[0]) if rate else None

    def lines(self):
        """One after the other: whoever measures memory does not want all of them in it."""
        with open(self.file, "rb") as lines:
            for line in lines:
                yield line.rstrip(b"\n")


def key(number):
    """As long as a UUID, and cheaper than one, which in Python would be a cost of its own."""
    return f"{number:036d}"


class Paced:
    """A load of so many records a second: who is late catches up, and latency counts from when a record was due."""

    def __init__(self, count, rate):
        self.count = count
        self.rate = rate
        self.started = None
        self.latencies = []

    async def batches(self):
        """Ranges of the records that are due, as they fall due: a millisecond is as fine as the timers are."""
        self.started = time.perf_counter()
        sent = 0
        while sent < self.count:
            due = min(self.count, int((time.perf_counter() - self.started) * self.rate) + 1)
            if due > sent:
                yield range(sent, due)
                sent = due
            next_due = self.started + sent / self.rate
            await asyncio.sleep(max(0, next_due - time.perf_counter()))

    def acknowledged(self, number):
        now = time.perf_counter()
        self.latencies.append(now - self.started - number / self.rate)

    def report(self):
        """Microseconds, one a line."""
        print("\n".join(str(int(latency * 1e6)) for latency in self.latencies))

"""The KPL and the library on the same four shards at once, each offered twice what the shards take.

It is not part of the check: the figures are material for the rate controller, and depend on the machine.
"""

import subprocess
import threading
import time

import stream as streams
from kcl import Result, Servers
from servers import Proxy, environment

SECONDS_TOGETHER = 20
# The first seconds of each phase do not count: a JVM starts, and rates settle.
SECONDS_SETTLING = 5
SECONDS_ALONE = 15
LINES_PER_SECOND = {False: 8_000, True: 40_000}
SHARDS = 4


class Writer:
    """A program that prints a line for each record that was delivered."""

    def __init__(self, command, tools, name, rate):
        self.log = (tools.scratch / f"{name}.log").open("wb")
        self.child = subprocess.Popen([str(word) for word in command], env=environment(), stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=self.log)
        self.rate, self.sent, self.is_over, self.delivered = rate, 0, threading.Event(), 0
        self.threads = [threading.Thread(target=self._feed, daemon=True), threading.Thread(target=self._count, daemon=True)]
        for thread in self.threads:
            thread.start()

    def _feed(self):
        # Payloads again and again: making a new one for each line would take more than the writers do.
        lines = [f"{streams.payload(number)}\n".encode() for number in range(4_000)]
        start = time.monotonic()
        while not self.is_over.is_set():
            due = int(self.rate * (time.monotonic() - start))
            # A writer that takes less holds the pipe up; what it missed is not made up for.
            batch = min(due - self.sent, len(lines))
            if batch > 0:
                self.child.stdin.write(b"".join(lines[:batch]))
                self.child.stdin.flush()
                self.sent = due
            time.sleep(0.02)
        self.child.stdin.close()

    def _count(self):
        for _ in self.child.stdout:
            self.delivered += 1

    def wait_first(self):
        end = time.monotonic() + 60
        while not self.delivered:
            if time.monotonic() > end or self.child.poll() is not None:
                raise RuntimeError(f"nothing was delivered; see {self.log.name}")
            time.sleep(0.05)

    def stop(self):
        self.is_over.set()

    def kill(self):
        self.stop()
        self.child.kill()
        self.child.wait()
        self.log.close()


def rates(writers, seconds):
    """Records a second that each delivers."""
    before = [writer.delivered for writer in writers]
    start = time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - start
    return [round((writer.delivered - count) / elapsed) for writer, count in zip(writers, before)]


def run_all(tools, options):
    with Servers(tools) as servers:
        for aggregate in (False, True):
            yield run(tools, servers["local"], aggregate)


def run(tools, server, aggregate):
    name = f"beside-{'aggregated' if aggregate else 'plain'}"
    stream = streams.Stream(tools, name, server.endpoint, SHARDS)
    proxy = Proxy(tools, server.endpoint, f"{name}.proxy", "--tls")
    flags = ["--aggregate"] if aggregate else []
    rate, writers = LINES_PER_SECOND[aggregate], []
    try:
        kpl = tools.java("clients", "Kpl", name, proxy.port, tools.scratch) + flags
        for command, label in ((kpl, "kpl"), ([tools.receipts, name, server.endpoint, *flags], "library")):
            writers.append(Writer(command, tools, f"{name}.{label}", rate))
            writers[-1].wait_first()
        kpl, library = writers
        time.sleep(SECONDS_SETTLING)
        together = rates(writers, SECONDS_TOGETHER)
        kpl.stop()
        kpl.child.wait(timeout=60)
        time.sleep(SECONDS_SETTLING)
        (alone,) = rates([library], SECONDS_ALONE)
    finally:
        for writer in writers:
            writer.kill()
        proxy.stop()
    figures = f"records/s: KPL {together[0]}, library {together[1]}; library alone, {SECONDS_SETTLING} s after: {alone}"
    return Result(f"{name} on {SHARDS} shards", figures, [] if all(together) else ["a writer gets nothing"])

"""Runs the checks against AWS's own clients and prints a table. Start it by `interop/run`."""

import argparse
import shutil
import sys
import time

import auto
import beside
import codec
import kcl
import mutants
import protocol
import sdks
from kcl import Result
from servers import Tools

PARTS = {"codec": codec.run_all, "kcl": kcl.run_all, "auto": auto.run_all, "kpl": kcl.run_kpl,
         "sdks": sdks.run_all, "protocol": protocol.run_all, "beside": beside.run_all}
# Figures of two loaded cores decide nothing.
ONLY_BY_NAME = {"beside"}


def main():
    arguments = argparse.ArgumentParser(prog="interop/run", description=__doc__)
    arguments.add_argument("--root", required=True, help=argparse.SUPPRESS)
    arguments.add_argument("--target", required=True, help=argparse.SUPPRESS)
    arguments.add_argument("--tools", required=True, help=argparse.SUPPRESS)
    arguments.add_argument("--only", action="append", choices=sorted(PARTS), help="this part; may be given again")
    arguments.add_argument("--mutants", action="store_true", help="only: break the workspace and expect the KCL to notice")
    arguments.add_argument("--scenario", default="", help="only KCL scenarios, or mutants, with this in their names")
    arguments.add_argument("--records", type=int, default=20_000, help="of the longest KCL scenario")
    arguments.add_argument("--rate", type=int, default=1_500, help="records a second of the longest KCL scenario")
    arguments.add_argument("--long", action="store_true", help="200,000 records, on every server")
    arguments.add_argument("--at-once", type=int, default=4, help="KCL scenarios at the same time")
    arguments.add_argument("--cases", type=int, default=3_000, help="generated cases of the codec")
    arguments.add_argument("--seed", type=int, default=1, help="of the codec's cases")
    arguments.add_argument("--write-golden", action="store_true", help="rewrite kinesis-aggregation's golden files")
    arguments.add_argument("--server", dest="servers", action="append", choices=("kinesis-mock", "local"))
    options = arguments.parse_args()
    if options.long:
        options.records = max(options.records, 200_000)
    options.servers = options.servers or ["kinesis-mock", "local"]
    tools = Tools(options.root, options.target, options.tools)
    shutil.rmtree(tools.scratch, ignore_errors=True)
    tools.scratch.mkdir(parents=True)

    results, start = [], time.monotonic()
    names = options.only or [name for name in PARTS if name not in ONLY_BY_NAME]
    parts = {"mutants": mutants.run_all} if options.mutants else {name: PARTS[name] for name in names}
    for name, run in parts.items():
        try:
            for result in run(tools, options):
                results.append(result)
                show(result, time.monotonic() - start)
        except Exception as error:
            results.append(Result(name, "did not run", [f"{type(error).__name__}: {error}"]))
            show(results[-1], time.monotonic() - start)
    table(results)
    failed = sum(bool(result.problems) for result in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    return failed > 0


def show(result, seconds):
    print(f"[{seconds:5.0f} s] {'FAILED' if result.problems else 'ok'}: {result.name}: {result.figures}", flush=True)
    for problem in result.problems:
        print(f"    {problem}", flush=True)


def table(results):
    print("\n| check | result | figures |\n|---|---|---|")
    for result in results:
        print(f"| {result.name} | {'**failed**' if result.problems else 'ok'} | {result.figures} |")
    print()


if __name__ == "__main__":
    sys.exit(main())

"""Breaks the workspace on purpose, one way at a time, and sees whether the KCL notices."""

import copy as copies
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import auto
import kcl
from kcl import Result, Scenario, Servers


@dataclass(frozen=True)
class Mutant:
    name: str
    file: str
    find: str
    replace: str
    on_auto: bool = False


MUTANTS = (
    Mutant(
        "codec: a member gets the key before its own",
        "crates/kinesis-aggregation/src/builder.rs",
        "out.extend_from_slice(&[RECORDS, 4 + data_len, PARTITION_KEY_INDEX, index, DATA, data_len]);",
        "out.extend_from_slice(&[RECORDS, 4 + data_len, PARTITION_KEY_INDEX, index.saturating_sub(1), DATA, data_len]);",
    ),
    Mutant(
        "re-routing: an aggregate in the wrong shard is believed to be delivered",
        "crates/kinesis-batcher-core/src/batcher/misplaced.rs",
        "let is_record = matches!(entry.content, Content::Record(_));",
        "let is_record = true;",
    ),
    Mutant(
        "AUTO: aggregation goes on",
        "crates/kinesis-batcher-core/src/batcher/reshard.rs",
        "!self.map.shards().is_empty() && !self.doubts_map",
        "!self.doubts_map",
        on_auto=True,
    ),
)


def run_all(tools, options):
    """A mutant that passes is a failure."""
    copy = tools.tools / "mutant"
    with Servers(tools) as servers:
        for mutant in (mutant for mutant in MUTANTS if options.scenario in mutant.name):
            name = f"mutant: {mutant.name}"
            # The same path each time, so that cargo compiles only what differs.
            lay_out(tools, copy)
            source = copy / mutant.file
            text = source.read_text()
            if text.count(mutant.find) != 1:
                yield Result(name, "does not fit the sources", [f"{mutant.file} has not exactly one {mutant.find!r}"])
                continue
            source.write_text(text.replace(mutant.find, mutant.replace))
            broken = build(tools, copy)
            if mutant.on_auto:
                servers["moto"], servers["kinesis-mock"]
                result = auto.ours(broken, servers, "push", 2_000, 1_000)
            else:
                servers["moto"], servers["local"]
                scenario = Scenario("local", "push", True, False, 4_000)
                result = kcl.run(broken, servers, scenario, 800)
            noticed = [problem for problem in result.problems if "KCL" in problem or "processor" in problem]
            problems = [] if noticed else ["the KCL noticed nothing", *result.problems]
            yield Result(name, f"caught: {noticed[0][:100]}" if noticed else result.figures, problems)
                        # Streams and applications have the same names for each mutant.
            for server in ("kcl", "moto", "kinesis-mock", "local"):
                if server in servers.running:
                    servers.running.pop(server).stop()


def lay_out(tools, copy):
    """The workspace's sources; a file that is the same keeps its time, by which cargo knows it."""
    wanted = set()
    for part in ("Cargo.toml", "Cargo.lock", "crates", "examples"):
        top = tools.root / part
        for file in [top] if top.is_file() else [f for f in top.rglob("*") if f.is_file()]:
            relative = file.relative_to(tools.root)
            if "target" in relative.parts or "node_modules" in relative.parts:
                continue
            wanted.add(relative)
            other = copy / relative
            if not other.exists() or other.read_bytes() != file.read_bytes():
                other.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, other)
    for file in [f for f in copy.rglob("*") if f.is_file()]:
        if file.relative_to(copy) not in wanted:
            file.unlink()


def build(tools, copy):
    """The tools with a broken `kinesis-pusher`.

    It has a target directory of its own: to cargo, two copies of a workspace are the same, and one would pass for the
    other."""
    target = tools.tools / "mutant-target"
    if not target.exists():
        copy_dependencies(tools.target, target)
    cargo = {**os.environ, "CARGO_TARGET_DIR": str(target)}
    command = ["cargo", "build", "--quiet", "--locked", "--workspace", "--bin", "kinesis-pusher"]
    # A mutation may leave an import unused.
    subprocess.run(command, cwd=copy, env=cargo, check=True, stderr=subprocess.DEVNULL)
    broken = copies.copy(tools)
    broken.pusher = target / "debug" / "kinesis-pusher"
    return broken


def copy_dependencies(source, target):
    """What cargo compiled of other crates, so that it need not do it again."""
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)

    def ours_or_programs(directory, names):
        in_deps = directory.endswith("/deps")
        return [name for name in names
                if "kinesis" in name or (in_deps and Path(name).suffix not in (".rlib", ".rmeta", ".so", ".d"))]

    for directory in (".fingerprint", "build", "deps"):
        shutil.copytree(source / "debug" / directory, partial / "debug" / directory, ignore=ours_or_programs)
    partial.rename(target)

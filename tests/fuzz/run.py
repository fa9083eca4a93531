#!/usr/bin/env python3
"""Run each fuzzer of a build folder for a while, from its seeds; one result line each.

SPDX-License-Identifier: MIT
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tools" / "lib"))
sys.dont_write_bytecode = True  # the source tree stays as it is
from xmhftools import base  # noqa: E402

SHORT, LONG = 4, 300  # seconds for each fuzzer


def targets(build):
    """What tests/fuzz/fuzz.am lists."""
    return base.run(["make", "-s", "list-fuzz-targets"], "ask what fuzzers there are",
                    cwd=build).split()


def run(build, name, seconds):
    """Fuzz one target; its result line, and the output if it found something."""
    folder = pathlib.Path(build).absolute() / "tests" / "fuzz"
    seeds = SOURCE / "tests" / "fuzz" / "corpus" / name
    with tempfile.TemporaryDirectory(prefix="corpus-", dir=folder) as corpus:
        argv = [folder / name, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048",
                "-print_final_stats=1", f"-artifact_prefix={folder}/{name}-", corpus]
        if seeds.is_dir():
            argv.append(seeds)
        try:
            done = subprocess.run([str(part) for part in argv], check=False, text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, errors="replace",
                                  timeout=seconds + 120)
        except (subprocess.TimeoutExpired, OSError) as problem:
            return f"not ok fuzz/{name}: {problem}"
    found = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stdout)
    inputs = int(found.group(1)) if found else 0
    if done.returncode or not inputs:
        tail = "\n".join(f"  {line}" for line in done.stdout.splitlines()[-60:])
        return f"not ok fuzz/{name}: status {done.returncode} after {inputs} inputs\n{tail}"
    return f"ok fuzz/{name} ({inputs} inputs)"


def main():
    parser = argparse.ArgumentParser(description="Run the fuzzers of a build folder.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these: fuzz_acpi")
    parser.add_argument("--build", default=".", metavar="DIR", help="the build folder (default: .)")
    parser.add_argument("--all", action="store_true", help=f"{LONG} s each instead of {SHORT} s")
    args = parser.parse_args()
    seconds = LONG if args.all else SHORT
    known = targets(args.build)
    for name in args.names:
        if name not in known:
            raise base.ToolError(f"no fuzzer is called {name}: they are {', '.join(known)}")
    bad = False
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for line in pool.map(lambda name: run(args.build, name, seconds), args.names or known):
            print(line, flush=True)
            bad = bad or line.startswith("not ok")
    return 1 if bad else 0


base.main(main)

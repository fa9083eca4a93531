#!/usr/bin/env python3
"""Tests of the SDK: the usual mistakes, in every form of image; a line for each test.

SPDX-License-Identifier: MIT

Each source of tests/sdk/mistakes is built by pal-cc in every way that this machine has compilers
for, and must be refused as it says, or work, or die, as it says; in native mode here, under the
hypervisor by tests/e2e/sdk.py. Beside each lie eight pages of a pattern, which nothing may bring
out.
"""
import argparse
import concurrent.futures
import os
import pathlib
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tools" / "lib"))
sys.dont_write_bytecode = True  # the source tree stays as it is
from xmhftools import base  # noqa: E402
import images  # noqa: E402
import mistakes  # noqa: E402
from mistakes import Bad  # noqa: E402


def test_list(known):
    """Each of the usual mistakes has a source."""
    missing = set(mistakes.MISTAKES) - {mistake.mistake for mistake in known.values()}
    if missing:
        raise Bad(f"no source shows {', '.join(sorted(missing))}")
    extra = {mistake.mistake for mistake in known.values()} - set(mistakes.MISTAKES)
    if extra:
        raise Bad(f"not in the list: {', '.join(sorted(extra))}")
    return f"{len(known)} sources show {len(mistakes.MISTAKES)} mistakes"


def outcome(mistake, build):
    """What must happen, in a word."""
    if mistake.refused(build):
        return "named at build time"
    if mistake.path.parent.name == "hosts":
        return "compiles"
    lines = {line.kind for line, _ in mistake.calls(build)}
    return "dies, and says why" if lines == {"DIES"} else "works"


def judge(bench, mistake, pool):
    """All builds of one mistake: (good, lines)."""
    builds = bench.builds(mistake)
    problems = list(pool.map(lambda build: bench.one(mistake, build), builds))
    bad = [(build, problem) for build, problem in zip(builds, problems) if problem]
    if not bad:
        how = sorted({outcome(mistake, build) for build in builds})
        return True, [f"ok {mistake.name}: {mistake.mistake}: {', '.join(how)} ({len(builds)} "
                      "builds)"]
    lines = [f"not ok {mistake.name}: {len(bad)} of {len(builds)} builds: "
             f"{', '.join(str(build) for build, _ in bad)}"]
    for build, problem in bad[:2]:
        lines += [f"    {build}: {line}" for line in problem.splitlines()[:30]]
    return False, lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these tests")
    parser.add_argument("--list", action="store_true", help="list the tests and do nothing")
    parser.add_argument("--all", action="store_true", help="at more levels of optimisation")
    parser.add_argument("--build", default=base.build_root(), metavar="DIR",
                        help="build folder (default: $XMHF_BUILD, or in the cache)")
    args = parser.parse_args()
    known = images.sources()
    if args.list:
        print("\n".join(["list", *known]))
        return 0
    unknown = [name for name in args.names if name not in known and name != "list"]
    if unknown:
        raise base.ToolError(f"no test is called {', '.join(unknown)}; see --list")
    base.stop_on_signals()
    good = True
    if not args.names or "list" in args.names:
        try:
            print(f"ok list: {test_list(known)}", flush=True)
        except Bad as problem:
            print(f"not ok list: {problem}", flush=True)
            good = False
    chosen = [known[name] for name in args.names if name != "list"] or (
        [] if args.names else list(known.values()))
    start = time.monotonic()
    levels = images.LEVELS + images.MORE_LEVELS if args.all else None
    with tempfile.TemporaryDirectory(prefix="xmhf-sdk-") as scratch, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        bench = images.Bench(args.build, scratch, levels)
        for mistake in chosen:
            well, lines = judge(bench, mistake, pool)
            print("\n".join(lines), flush=True)
            good = good and well
    print(f"    {time.monotonic() - start:.0f} s")
    return 0 if good else 1


base.main(main)

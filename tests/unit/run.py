#!/usr/bin/env python3
"""Run the unit tests of a build folder; one result line for each test function.

SPDX-License-Identifier: MIT
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tools" / "lib"))
sys.dont_write_bytecode = True  # the source tree stays as it is
from xmhftools import base  # noqa: E402

LIMIT = 300  # seconds for one program


def programs(build):
    """What tests/unit/tests.am lists."""
    return base.run(["make", "-s", "list-unit-tests"], "ask what unit tests there are",
                    cwd=build).split()


def parse_tap(text):
    """cmocka's TAP output as (planned, [(kind, name, reason)])."""
    planned, results = 0, []
    for line in text.splitlines():
        plan = re.match(r"1\.\.(\d+)", line)
        result = re.match(r"(not ok|ok) \d+ (-|# SKIP) (\S+)", line)
        if plan:
            planned += int(plan.group(1))
        elif result:
            kind = "skip" if "SKIP" in result.group(2) else result.group(1)
            results.append([kind, result.group(3), ""])
        elif results and results[-1][0] == "not ok" and line.startswith("#"):
            results[-1][2] = f"{results[-1][2]} {line[1:].strip()}".strip()
    return planned, results


def run(build, program, functions=()):
    """Run a test program: its result lines, of these functions or all, and whether all is well."""
    name, lines = os.path.basename(program), []
    env = {**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP", "srcdir": str(SOURCE)}
    try:
        done = subprocess.run([f"./{program}"], cwd=build, env=env, timeout=LIMIT, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, errors="replace")
    except (subprocess.TimeoutExpired, OSError) as problem:
        return [f"not ok {name}: {problem}"], False
    # cmocka gives the messages of failures on either stream.
    planned, results = parse_tap(done.stdout)
    for kind, test, reason in results:
        if not functions or test in functions or kind == "not ok":
            lines.append(f"{kind} {name}/{test}" + (f": {reason}" if kind != "ok" else ""))
    bad = any(kind == "not ok" for kind, _, _ in results)
    if not bad and (done.returncode or not results or len(results) != planned):
        lines.append(f"not ok {name}: ended with status {done.returncode} after {len(results)} "
                     f"of {planned} tests")
        bad = True
    for function in set(functions) - {test for _, test, _ in results}:
        lines.append(f"not ok {name}/{function}: there is no such test")
        bad = True
    if bad:
        lines += [f"  {line}" for line in done.stderr.splitlines()[:60]]
    return lines, not bad


def select(build, names):
    """Programs to run, and which of their functions are told: {program: [function]}."""
    known = {os.path.basename(program): program for program in programs(build)}
    chosen = {program: [] for program in known.values()} if not names else {}
    for name in names:
        program, _, function = name.partition("/")
        if program not in known:
            raise base.ToolError(f"no unit test is called {program}: they "
                                 f"are {', '.join(sorted(known))}")
        chosen.setdefault(known[program], []).extend([function] if function else [])
    return chosen


def main():
    parser = argparse.ArgumentParser(description="Run the unit tests of a build folder.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these: test_walk, or one "
                        "function of it: test_walk/test_name")
    parser.add_argument("--build", default=".", metavar="DIR", help="the build folder (default: .)")
    args = parser.parse_args()
    chosen, good = select(args.build, args.names), True
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for lines, well in pool.map(lambda item: run(args.build, *item), chosen.items()):
            print("\n".join(lines), flush=True)
            good = good and well
    return 0 if good else 1


base.main(main)

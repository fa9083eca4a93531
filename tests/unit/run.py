#!/usr/bin/env python3
"""Run the unit tests of a build folder; one result line for each test function.

SPDX-License-Identifier: MIT
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 300  # seconds for one program


def programs(build):
    """What tests/unit/tests.am lists."""
    done = subprocess.run(["make", "-s", "list-unit-tests"], cwd=build, check=True,
                          stdout=subprocess.PIPE, text=True)
    return done.stdout.split()


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


def run(build, program):
    """Run one test program and print its results."""
    name = os.path.basename(program)
    env = {**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP", "srcdir": str(SOURCE)}
    try:
        done = subprocess.run([f"./{program}"], cwd=build, env=env, timeout=LIMIT, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, errors="replace")
    except (subprocess.TimeoutExpired, OSError) as problem:
        print(f"not ok {name}: {problem}", flush=True)
        return False
    # cmocka gives the messages of failures on either stream.
    planned, results = parse_tap(done.stdout)
    for kind, test, reason in results:
        print(f"{kind} {name}/{test}" + (f": {reason}" if kind != "ok" else ""), flush=True)
    bad = any(kind == "not ok" for kind, _, _ in results)
    if not bad and (done.returncode or not results or len(results) != planned):
        print(f"not ok {name}: ended with status {done.returncode} after {len(results)} "
              f"of {planned} tests", flush=True)
        bad = True
    if bad:
        print("\n".join(f"  {line}" for line in done.stderr.splitlines()[:60]), flush=True)
    return not bad


def main():
    parser = argparse.ArgumentParser(description="Run the unit tests of a build folder.")
    parser.add_argument("--build", default=".", metavar="DIR", help="the build folder (default: .)")
    args = parser.parse_args()
    good = [run(args.build, program) for program in programs(args.build)]
    return 0 if all(good) else 1


sys.exit(main())

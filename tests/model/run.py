#!/usr/bin/env python3
"""Check the model of PALs' lives with SPIN, and that each seeded bug is found; a line each.

SPDX-License-Identifier: MIT
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # the source tree stays as it is
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "lib"))
from xmhftools import base  # noqa: E402

MODEL = pathlib.Path(__file__).resolve().parent / "pal.pml"
LIMIT = 1500  # seconds for one search

PROPERTIES = {
    "one_cpu": "no two CPUs own one activation",
    "token_once": "a token is consumed at most once",
    "token_own_call": "a token resumes the call that it was given for, never a later one",
    "wiped_unreferenced": "memory of a PAL is wiped only when nobody uses it, and not used then",
    "unregistered_idle": "unregistering never succeeds while a CPU runs the PAL",
    "same_pal": "a recycled slot is never taken for its predecessor",
    "gives_back": "code is written back only to the owner, of a PAL that is leaving",
    "reaped_once": "a dead PAL is handed to the reaper once",
    "one_step": "only one CPU works on a registration, and nobody ends it meanwhile",
    "at_rest": "with no CPU inside nothing is half done, locked, lost or wedged",
    "busy_runs": "a PAL is called busy only while a CPU runs it",
    "dead_is_silent": "the death of a call discards the results of the PAL's other calls",
    "no_deadlock": "some CPU can always go on",
}
LIVENESS = {"killed_is_wiped": "each killed PAL is wiped, as long as hypercalls are made"}

# The bug, and the property that shows it first.
SEEDS = {
    "SEED_ENTRY_WITHOUT_CAS": "one_cpu",
    "SEED_THE_RUNNING_ARE_CLAIMED": "unregistered_idle",
    "SEED_TOKEN_STAYS": "token_once",
    "SEED_ANY_TOKEN_WILL_DO": "token_once",
    "SEED_BUSY_REGISTRATIONS_END": "one_step",
    "SEED_SAME_GENERATION": "same_pal",
    "SEED_REFERENCE_GIVEN_BACK_EARLY": "wiped_unreferenced",
    "SEED_THE_DYING_ARE_UNREGISTERED": "gives_back",
    "SEED_PUT_FORGETS_THE_DEAD": "at_rest",
    "SEED_CALLS_DO_NOT_WIPE": "killed_is_wiped",
    "SEED_THE_INTERRUPTED_ARE_BUSY": "busy_runs",
    "SEED_THE_DEAD_GIVE_RESULTS": "dead_is_silent",
    "SEED_CLAIMS_STAY": "at_rest",
    "SEED_CLAIMED_TOKENS_ARE_LOST": "at_rest",
    "SEED_A_FAULT_LOSES_THE_TOKEN": "at_rest",
}

# CPUs, PALs one after the other, interruptions, exits that wiping takes, activations (1).
SMALL = {"CPUS": 2, "BIRTHS": 2, "TOKENS": 2, "PARTS": 1}
TWO = {"CPUS": 2, "BIRTHS": 1, "TOKENS": 2, "PARTS": 1, "ACTS": 2}
OF_TWO = ("SEED_THE_INTERRUPTED_ARE_BUSY", "SEED_THE_DEAD_GIVE_RESULTS", "SEED_CLAIMS_STAY",
          "SEED_CLAIMED_TOKENS_ARE_LOST")
FAIR = {"CPUS": 2, "BIRTHS": 1, "TOKENS": 1, "PARTS": 2, "LIVENESS": 1}
LARGE = [{**TWO, "BIRTHS": 2}, {"CPUS": 2, "BIRTHS": 2, "TOKENS": 2, "PARTS": 2},
         {"CPUS": 3, "BIRTHS": 1, "TOKENS": 1, "PARTS": 1}]


def build(defines, folder):
    """The checker `pan`, for liveness or for everything else."""
    flags = [f"-D{name}={value}" for name, value in defines.items()]
    kind = ["-DNFAIR=3"] if "LIVENESS" in defines else ["-DSAFETY"]
    for argv in (["spin", "-a", *flags, str(MODEL)],
                 ["cc", "-O2", "-w", "-DCOLLAPSE", "-DMEMLIM=3500", *kind, "-o", "pan", "pan.c"]):
        done = subprocess.run(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False, timeout=LIMIT)
        if done.returncode or "rror:" in done.stdout:
            raise RuntimeError(f"{argv[0]} failed: {done.stdout[-600:]}")


def search(defines):
    """The violated property or None, and the number of states."""
    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        build(defines, folder)
        how = ["-a", "-f"] if "LIVENESS" in defines else []
        done = subprocess.run(["./pan", *how, "-m1000000", "-w24"], cwd=folder, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              timeout=LIMIT)
    text = done.stdout
    states = re.search(r"(\d+) states, stored", text)
    named = re.search(r"assertion violated .*\|\|(\w+)\)+ \(at depth", text)
    if named:
        return named.group(1), states
    if "acceptance cycle" in text:
        return "killed_is_wiped", states
    if "invalid end state (" in text:
        return "no_deadlock", states
    if "errors: 0" not in text or "not completed" in text or "too small" in text or not states:
        raise RuntimeError("the search was not completed: " + text[-600:])
    return None, states


def told(defines):
    return ", ".join(f"{name} {value}" for name, value in defines.items() if name != "LIVENESS")


def check(properties, defines):
    """One search for all of these. True if they hold."""
    try:
        broken, states = search(defines)
    except (RuntimeError, OSError, subprocess.SubprocessError) as problem:
        print(f"not ok model/{told(defines)}: {' '.join(str(problem).split())}", flush=True)
        return False
    if broken:
        print(f"not ok model/{broken}: broken with {told(defines)}", flush=True)
        return False
    for name, sentence in properties.items():
        print(f"ok model/{name}: {sentence} ({told(defines)}; {states.group(1)} states)",
              flush=True)
    return True


def check_seed(seed, expected):
    defines = {**(FAIR if expected in LIVENESS else TWO if seed in OF_TWO else SMALL), seed: 1}
    try:
        broken, _ = search(defines)
    except (RuntimeError, OSError, subprocess.SubprocessError) as problem:
        broken = " ".join(str(problem).split())
    good = broken == expected
    print(f"{'ok' if good else 'not ok'} model/{seed}: found as {broken}"
          + ("" if good else f", should be {expected}"), flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description="Check the model of PALs' lives with SPIN.")
    parser.add_argument("--all", action="store_true", help="three CPUs and large PALs too "
                        "(3 GB, some minutes)")
    args = parser.parse_args()
    if not shutil.which("spin"):
        print("not ok model: spin is missing: apt-get install spin")
        return 1
    good = [check_seed(*seed) for seed in SEEDS.items()]
    good += [check(PROPERTIES, SMALL), check(PROPERTIES, TWO)]
    good.append(check(LIVENESS, FAIR))
    if args.all:
        good += [check(PROPERTIES, defines) for defines in LARGE]
    return 0 if all(good) else 1


base.main(main)

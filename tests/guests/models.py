#!/usr/bin/env python3
"""Start the hypervisor on each CPU model of Bochs that has virtualization: a PAL, or a refusal.

SPDX-License-Identifier: MIT
"""
import argparse
import collections
import pathlib
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True  # the source tree stays as it is
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import run  # noqa: E402
from run import base, bench  # noqa: E402

EPILOG = """\
An unknown MSR is #GP on all of them (ignore_bad_msrs=0), as on real CPUs. tests/guests/models.cfg
says which model must do what.
"""
Model = collections.namedtuple("Model", "name cpus result feature")
MEMORY = 128   # MiB
SECONDS = 120
RANDOM = re.compile(r"^\[xmhf\] (random: .*(?:RD|timing).*?)\r?$", re.M)
FATAL = re.compile(r"PANIC|>>PANIC<<|crash:")


def read_config():
    """The models to start, and the names of those that have no VMX."""
    models, without = [], set()
    for line in (run.SOURCE / "tests/guests/models.cfg").read_text().splitlines():
        words = line.split("#")[0].split(maxsplit=3)
        if words and words[0] == "without":
            without.update(line.split()[1:])
        elif words:
            models.append(Model(words[0], int(words[1]), words[2], (words + [""])[3]))
    return models, without


def known_models():
    """What this Bochs has."""
    done = subprocess.run([base.need("bochs", "bochs"), "-help", "cpu"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    found = re.search(r"^Supported CPU models:\n\n((?:\w+\n)+)", done.stdout, re.M)
    if not found:
        raise base.ToolError("bochs -help cpu doesn't list its CPU models")
    return found.group(1).split()


def up(model, text):
    """What is wrong with a machine that should run the PAL, or None."""
    verdict = run.VERDICT.search(text)
    if not verdict or verdict.group(1) != "PASS":
        return verdict.group(0) if verdict else "no verdict"
    if not re.search(rf"^\[xmhf[^\]]*\] up on {model.cpus} CPU", text, re.M):
        return f"the hypervisor isn't on {model.cpus} CPUs"
    if not RANDOM.search(text):
        return "the log doesn't name a source of random numbers"
    return None


def refused(model, text):
    """What is wrong with a machine that should be refused, or None."""
    lines = re.findall(r"^\[xmhf\] (cannot start: .*)", text, re.M)
    if "launch refused" not in text or len(lines) != 1:
        return f"{len(lines)} lines say why it can't start"
    if f"lacks {model.feature}" not in lines[0]:
        return f"the line doesn't name {model.feature}: {lines[0]}"
    return None


def boot(model, args):
    """The serial log of one machine, up to its verdict or the last line of a refusal."""
    guest = model.result if model.result != "refused" else "pal"
    qemu = model.name.startswith("qemu:")
    args.bench = "svm" if qemu else "vmx"
    args.cpu_model = model.name.removeprefix("qemu:")
    test = run.Test(name=model.name, program=guest, cpus=model.cpus, mem=MEMORY, bench=args.bench,
                    seconds=SECONDS, end="verdict", control="no", when="ci", arguments="")
    return run.boot(test, args, hypervisor=True).log


def run_model(model, args, known):
    """(kind, reason, log) of one model."""
    if not model.name.startswith("qemu:") and model.name not in known:
        return "skip", "this Bochs doesn't have it", ""
    text = boot(model, args)
    problem = (refused if model.result == "refused" else up)(model, text)
    if problem or FATAL.search(text):
        return "not ok", problem or FATAL.search(text).group(0), text
    if model.result == "refused":
        return "ok", f"refused in one line, for it lacks {model.feature}", text
    return "ok", f"{run.VERDICT.search(text).group(2)}; {RANDOM.search(text).group(1)}", text


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=EPILOG)
    add = parser.add_argument
    add("names", nargs="*", metavar="MODEL", help="only these")
    add("--all", action="store_true", help="accepted: there are no long ones")
    add("--build", default=base.build_root(), metavar="DIR", type=pathlib.Path,
        help="build folder (default: $XMHF_BUILD, or in the cache)")
    add("--hv-append", default="", metavar="ARGS", help="the hypervisor's options")
    add("--patience", type=run.inputs.number(0.01, 1000, float), default=1, metavar="F",
        help="multiply all time limits by F")
    args = parser.parse_args()
    args.build, args.bench = args.build.absolute(), "vmx"
    return args


def main():
    args = parse()
    every, without = read_config()
    unknown = set(args.names) - {m.name for m in every}
    if unknown:
        raise base.ToolError(f"models.cfg has no {', '.join(sorted(unknown))}; it "
                             f"has {', '.join(m.name for m in every)}")
    models = [m for m in every if m.name in args.names or not args.names]
    run.build_guests(args)
    bench.hypervisor_image(None, args.build)
    known, counts = known_models(), collections.Counter()
    for name in [n for n in known if n not in without | {m.name for m in every}]:
        print(f"not ok {name}: models.cfg doesn't say whether it has VMX")
        counts["not ok"] += 1
    for model in models:
        start = time.monotonic()
        kind, reason, log = run_model(model, args, known)
        print(f"{kind} {model.name}: {reason} ({time.monotonic() - start:.1f} s)")
        if kind == "not ok":
            for line in log.splitlines()[-25:]:
                print(f"    | {line}")
        sys.stdout.flush()
        counts[kind] += 1
    print(f"{counts['ok']} passed, {counts['not ok']} failed, {counts['skip']} skipped")
    return 1 if counts["not ok"] or not counts["ok"] else 0


base.main(main)

#!/usr/bin/env python3
"""Print what the hypervisor costs, in instructions, beside its goals and its predecessor.

SPDX-License-Identifier: MIT

In these machines one instruction is one tick of the TSC, so nothing here depends on how fast
the computer is. notes/performance.md tells how each figure is made.
"""
import argparse
import json
import pathlib
import re
import signal
import subprocess
import sys

sys.dont_write_bytecode = True  # the source tree stays as it is
SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(SOURCE / "tools" / "lib"))
from xmhftools import base, bochs  # noqa: E402
import uefi_bench  # noqa: E402

# Bochs is told that the CPU does 1e9 instructions a second, as QEMU is, so that the guest's timer
# interrupts are as rare in both. A character on the serial port then takes 87,000: be quiet.
# A bare Linux doesn't trust this model's TSC deadline timer and waits 100 ms to measure the other.
BENCHES = {
    "svm": ("SVM", ["--icount", "--append", "iomem=relaxed"]),
    "vmx": ("VMX", ["--bench", "vmx", "--cpus", "1", "--append",
                    "quiet lapic=notscdeadline iomem=relaxed",
                    "--hv-append", "quiet"]),
}
BOCHS_MODEL = bochs.CPU_MODEL + ", ips=1000000000, ignore_bad_msrs={}"
MEMORY = 512  # MiB


class Row:
    """One line of the table. `value` takes the hypervisor's results and the bare ones. What
    `may_lack` isn't measured on each bench, nor by --quick."""

    def __init__(self, what, value, goal=None, ceiling=None, predecessor=None, form="{:,.0f}",
                 may_lack=False):
        self.what, self.value, self.form, self.may_lack = what, value, form, may_lack
        self.goals = goal if isinstance(goal, dict) else dict.fromkeys(BENCHES, goal)
        self.ceiling, self.predecessor = ceiling, predecessor

    def verdict(self, bench, value):
        """What to think of the value: text, and whether a ceiling is exceeded."""
        goal = self.goals[bench]
        if value is None:
            return ("", False) if self.may_lack else ("not measured", True)
        if self.ceiling is not None and value > self.ceiling:
            return f"ABOVE CEILING {self.form.format(self.ceiling)}", True
        if goal is None:
            return "", False
        return ("ok" if value <= goal else f"goal missed by {100 * (value / goal - 1):.0f}%"), False

    def show(self, value):
        return "-" if value is None else self.form.format(value)


def result(name):
    return lambda hypervisor, _bare: hypervisor[name]


def more(name):
    """Ticks in per cent of the bare machine's, beyond 100."""
    return lambda hypervisor, bare: 100 * (hypervisor[name] / bare[name] - 1)


PER_CENT = "{:+.2f} %"
ROWS = (
    Row("null PAL call", result("call-null"), 1000, 1250, 69498),
    Row("call with 10 integers", result("call-10-integers"), 1500, 1800, 397446),
    Row("call with a pointer to 384 words", result("call-384-words"), 4000, 8000, 118471),
    Row("null call of an image", result("call-image"), None, 1500),
    Row("  of a 32-bit image by a 64-bit program: more",
        lambda h, _: h["call-image-32"] - h["call-image"], 150, 150),
    Row("CPUID exit, asked before", result("cpuid"), {"svm": 400, "vmx": 200}, 200, 3557),
    Row("CPUID exit, a new question", result("cpuid-new"), {"svm": 400, "vmx": 350}, 550, 3557),
    Row("end of interrupt (store to the APIC)", result("eoi"), 300, 300),
    Row("hypercall that asks for a number", result("hypercall"), None, 1500),
    Row("register 4 pages, without hashing", result("register-4"), 12000, 20000, 766403),
    Row("  hashing them", result("hash-4"), 800e3, 1e6),
    Row("  the same by the SHA extensions", result("sha-hash-4"), 60e3, 80e3),
    Row("unregister 4 pages", result("unregister-4"), 6000, 12000, 83236),
    Row("register 64 pages, without hashing", result("register-64"), 100000, 250000, 9120861),
    Row("  hashing them", result("hash-64"), 12.8e6, 15e6),
    Row("  the same by the SHA extensions", result("sha-hash-64"), 900e3, 1.2e6),
    Row("unregister 64 pages", result("unregister-64"), 60000, 80000, 1264686),
    Row(f"MiB taken of {MEMORY}", lambda h, _: h["protected"] / 2**20, 8, 8, 216, "{:,.1f}"),
    Row("added to boot", lambda h, b: h["boot-ticks"] + h["kernel-boot"] - b["kernel-boot"],
        20e6, 40e6, 922e6),
    Row("  of it until the guest's first instruction", result("boot-ticks")),
    Row("UEFI: until the next loader's first instruction", result("uefi-ticks"), 20e6, 20e6,
        may_lack=True),
    Row(f"UEFI: MiB taken of {MEMORY}, all in all", lambda h, _: h["uefi-taken"] / 2**20, 8, 8,
        form="{:,.3f}", may_lack=True),
    Row("page touch, against bare", more("page-touch"), 1, 3, form=PER_CENT),
    Row("vfork and exec, no C library, against bare", more("vfork-exec"), 1, 3, form=PER_CENT),
    Row("vfork and exec, glibc, against bare", more("vfork-exec-glibc"), 2, 8, form=PER_CENT),
    Row("short programs and pipes, against bare", more("compute-ticks"), None, 8, form=PER_CENT),
)


class Machine:
    """Boots the guest and reads what guest_bench prints."""

    def __init__(self, args):
        self.args = args
        self.build = pathlib.Path(args.build).absolute()
        self.process = None

    def argv(self, bench, hypervisor):
        program = self.build / "tests" / "bench" / "guest_bench"
        tiny = program.parent / "guest_tiny"
        for path in (program, tiny):
            if not path.exists():
                raise base.ToolError(f"there is no {path}: run make in the build folder first")
        argv = [SOURCE / "tools" / "xmhf-run", "--build", self.build, "--mem", MEMORY,
                *BENCHES[bench][1], "--add", program, "--add", tiny,
                "--add", SOURCE / "tests" / "bench" / "compute.sh"]
        if not hypervisor:
            argv.append("--no-hypervisor")
        if bench == "vmx":
            argv += ["--cpu-model", BOCHS_MODEL.format(int(not hypervisor))]
        quick = ["--quick"] if self.args.quick else []
        return [str(part) for part in [*argv, "--", "guest_bench", *quick]]

    def run(self, bench, hypervisor):
        """The results by name."""
        base.say(f"bench.py: booting, {BENCHES[bench][0]}, "
                 f"{'with' if hypervisor else 'without'} the hypervisor")
        self.process = subprocess.Popen(self.argv(bench, hypervisor), stdout=subprocess.PIPE,
                                        stdin=subprocess.DEVNULL, text=True)
        results = {}
        try:
            for line in self.process.stdout:
                found = re.fullmatch(r"([\w-]+) (\d+)\n", line)
                if found:
                    results[found.group(1)] = int(found.group(2))
                    self.progress(line.strip())
                else:
                    base.say(line.rstrip())
            status = self.process.wait()
        finally:
            self.stop()
        if status != 0:
            raise base.ToolError(f"the guest's measurements ended with status {status}")
        return results

    def progress(self, text):
        if self.args.verbose:
            base.say(f"  {text}")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


def sha_figures(build):
    """The tiny guest sha256: it runs on a CPU with SHA extensions, which the benches' CPUs lack."""
    base.say("bench.py: booting, the tiny guest sha256 in Bochs")
    text = base.run([SOURCE / "tests/guests/run.py", "--build", build, "--bench", "vmx",
                     "--verbose", "sha256"], "run the tiny guest sha256")
    return {name: int(value) for name, value in re.findall(r"(sha-[\w-]+) (\d+)", text)}


def value_of(row, hypervisor, bare):
    try:
        return row.value(hypervisor, bare)
    except KeyError:
        return None


def print_table(lines):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        cells = [cell.ljust(width) if i in (0, len(line) - 1) else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(line, widths))]
        print("  ".join(cells).rstrip())


def table(results):
    """Print all rows, one group of columns per bench. Return the rows above their ceiling."""
    lines = [["instructions"]]
    for bench in results:
        lines[0] += [BENCHES[bench][0], "goal"]
    lines[0] += ["predecessor", "verdict"]
    bad = []
    for row in ROWS:
        line, verdicts = [row.what], []
        for bench, machine in results.items():
            value = value_of(row, machine["hypervisor"], machine["bare"])
            text, above = row.verdict(bench, value)
            line += [row.show(value), row.show(row.goals[bench])]
            verdicts.append(f"{BENCHES[bench][0]} {text}" if text and len(results) > 1 else text)
            if above:
                bad.append(f"{row.what}: {row.show(value)}, {text}")
        lines.append([*line, row.show(row.predecessor), "; ".join(filter(None, verdicts))])
    print_table(lines)
    return bad


def exit_table(results):
    """Exits by reason of the idle guest and of the computing one, per second of the guest."""
    for bench, machine in results.items():
        values = machine["hypervisor"]
        lines = [["exits by reason, " + BENCHES[bench][0], "number", "per 1e9 instructions"]]
        for name, title in (("idle", "idle guest"), ("compute", "short programs and pipes")):
            ticks = values.get(f"{name}-ticks", 0)
            for key, count in values.items():
                if key.startswith(f"{name}-exits-") and ticks:
                    lines.append([f"{title}: {key.rsplit('-', 1)[1]}", f"{count:,}",
                                  f"{count * 1e9 / ticks:,.0f}"])
        print()
        print_table([[*line, ""] for line in lines])


def pal_table(results):
    """What the hypervisor counted of each PAL of the measurements."""
    for bench, machine in results.items():
        values = machine["hypervisor"]
        lines = [["PALs, " + BENCHES[bench][0], "calls", "exits from it", "interruptions"]]
        for name in (key[4:-6] for key in values if re.fullmatch("pal-.*-calls", key)):
            lines.append([name, *(f"{values[f'pal-{name}-{what}']:,}"
                                  for what in ("calls", "exits", "interruptions"))])
        print()
        print_table(lines)


def parse():
    parser = argparse.ArgumentParser(description="Count the instructions that the hypervisor's "
                                     "operations take, and print them beside goals and the "
                                     "predecessor's figures.")
    parser.add_argument("--build", default=base.build_root(), metavar="DIR",
                        help="build folder (default: $XMHF_BUILD, or in the cache)")
    parser.add_argument("--bench", default="svm", metavar="LIST",
                        help="svm (default), vmx, or svm,vmx for both side by side")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, shorter loads")
    parser.add_argument("--check", action="store_true",
                        help="exit with status 1 if a ceiling is exceeded")
    parser.add_argument("--json", metavar="FILE", help="also write every figure to FILE")
    parser.add_argument("--verbose", action="store_true", help="show figures as they come")
    args = parser.parse_args()
    args.benches = args.bench.split(",")
    for name in args.benches:
        if name not in BENCHES:
            parser.error(f"no bench {name}: the benches are {', '.join(BENCHES)}")
    return args


def main():
    args = parse()
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    machine, results = Machine(args), {}
    for bench in args.benches:
        results[bench] = {"hypervisor": machine.run(bench, True), "bare": machine.run(bench, False)}
    figures = sha_figures(machine.build)
    if "svm" in results and not args.quick:
        results["svm"]["hypervisor"].update(uefi_bench.figures(machine.build))
    for runs in results.values():
        runs["hypervisor"].update(figures)
    bad = table(results)
    print("flushes against side channels: none is in a call (notes/threat-model.md)")
    exit_table(results)
    pal_table(results)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(results, indent=1) + "\n", encoding="ascii")
    for line in bad:
        base.say(f"bench.py: {line}")
    return 1 if bad and args.check else 0


if __name__ == "__main__":
    base.main(main)

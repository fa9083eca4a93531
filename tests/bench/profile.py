#!/usr/bin/env python3
"""Print which functions of the core the instructions of one operation go to.

SPDX-License-Identifier: MIT

The guest does the operation for ever; the emulator logs each instruction for a moment; what
lies between two passes through loop_mark of guest_bench or guest_keystore is one operation. A
pass in which the guest's kernel took a turn (an interrupt) is left out.
"""
import argparse
import bisect
import collections
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types

sys.dont_write_bytecode = True  # the source tree stays as it is
SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(SOURCE / "tools" / "lib"))
from xmhftools import base, bench, bochs, debian, initramfs  # noqa: E402

USER_END = 1 << 47
TRACE = {
    "svm": re.compile(rb"Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/"),
    "vmx": re.compile(rb"\(0\)\.\[\d+\] \[0x[0-9a-f]+\] [0-9a-f]{4}:([0-9a-f]+) "),
}
WARM_UP, PASSES = 3, 3  # in Bochs
KEYSTORE = ("sign-ed25519", "sign-p256", "agree-x25519", "hmac-64")


class Symbols:
    """Functions of an ELF file by address."""

    def __init__(self, path):
        text = base.run(["nm", "-n", "--defined-only", path], f"read the symbols of {path}")
        fields = [line.split() for line in text.splitlines()]
        known = sorted((int(f[0], 16), f[2]) for f in fields if len(f) == 3 and f[1] in "tTwW")
        self.addresses = [address for address, _ in known]
        self.names = [name for _, name in known]

    def name(self, address):
        at = bisect.bisect_right(self.addresses, address) - 1
        return self.names[at] if at >= 0 else "?"

    def address(self, name):
        if name not in self.names:
            raise base.ToolError(f"there is no function {name}")
        return self.addresses[self.names.index(name)]


class Monitor:
    """QEMU's human monitor, through QMP."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.stream = self.socket.makefile("rw")
        self.stream.readline()  # the greeting
        self.send("qmp_capabilities")

    def send(self, command, **arguments):
        self.stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.stream.flush()
        while True:  # events come in between
            answer = json.loads(self.stream.readline())
            if "return" in answer or "error" in answer:
                return answer

    def human(self, line):
        self.send("human-monitor-command", **{"command-line": line})


def program_of(args):
    """The guest's program, which has the operation."""
    name = "guest_keystore" if args.operation in KEYSTORE else "guest_bench"
    return pathlib.Path(args.build).absolute() / "tests" / "bench" / name


def record_vmx(args, folder):
    """The same in Bochs, whose debugger stops at the XCHG in loop_mark and logs what it steps
    over. Every pass is recorded from there, so the log says where it begins."""
    build = pathlib.Path(args.build).absolute()
    kernel = "cloud-amd64"
    program = program_of(args)
    (folder / "initrd.gz").write_bytes(initramfs.make(
        debian.kernel_arch(kernel), [program.name, "--loop", args.operation], "end",
        [str(program)], kernel))
    files = types.SimpleNamespace(
        hypervisor=bench.hypervisor_image(None, build), kernel=bench.kernel_file(kernel),
        append=f"{bench.LINUX_ARGUMENTS} {bochs.LINUX_ARGUMENTS}")
    machine = types.SimpleNamespace(cpus=1, mem=192, cpu_model=args.cpu_model, hv_append="",
                                    boot="grub-mb2")
    argv = bochs.command(machine, files, folder)
    with open(folder / "bochsrc", "a", encoding="ascii") as config:
        config.write("magic_break: enabled=1\n")
    (folder / "go.rc").write_text("c\n" * WARM_UP + "trace on\n" + "c\n" * PASSES + "q\n",
                                  encoding="ascii")
    base.say("profile.py: booting and recording")
    process = bench.spawn(argv, folder)
    try:
        process.wait(600)
    except subprocess.TimeoutExpired as late:
        raise base.ToolError("the machine didn't get to the operation in time") from late
    finally:
        bench.stop(process)
    return folder / "emulator.txt"


def record_svm(args, folder):
    """Boot, let the guest loop, and log its instructions; return the log's path."""
    log, qmp = folder / "trace", folder / "qmp"
    program = program_of(args)
    argv = [SOURCE / "tools" / "xmhf-run", "--icount", "--build", args.build, "--qmp", qmp,
            "--add", program, "--", program.name, "--loop", args.operation]
    process = subprocess.Popen([str(part) for part in argv], stdout=subprocess.PIPE,
                               stdin=subprocess.DEVNULL, text=True)
    try:
        base.say("profile.py: booting")
        if process.stdout.readline() != "looping\n":
            raise base.ToolError("the guest didn't start the operation")
        base.say("profile.py: recording")
        monitor = Monitor(qmp)
        monitor.human("stop")
        monitor.human("singlestep on")
        monitor.human(f"logfile {log}")
        monitor.human("log exec,nochain")
        monitor.human("cont")
        while not log.exists() or log.stat().st_size < args.size << 20:
            if process.poll() is not None:
                raise base.ToolError("the machine ended while recording")
            time.sleep(0.05)
        monitor.human("stop")
        monitor.human("log none")
    finally:
        process.terminate()
        process.wait()
    return log


def passes(log, mark, trace):
    """Lists of addresses, one for each pass through the loop."""
    current = None
    with open(log, "rb") as lines:
        for line in lines:
            found = trace.search(line)
            if not found:
                continue
            pc = int(found.group(1), 16)
            if pc == mark:
                if current:
                    yield current
                current = []
            if current is not None:
                current.append(pc)


def choose(log, mark, trace):
    """The shortest pass: nothing but the operation is in it."""
    best = None
    for addresses in passes(log, mark, trace):
        if best is None or len(addresses) < len(best):
            best = addresses
    if best is None:
        raise base.ToolError("no whole pass in the record; give a larger --size")
    return best


def place(pc, core, guest):
    """Which line of the profile an address belongs to."""
    if pc >= core.addresses[0] and pc < 1 << 64 and core.name(pc) != "?" and pc > USER_END:
        return core.name(pc)
    return f"guest: {guest.name(pc) if pc < guest.addresses[-1] + 4096 else 'PAL'}"


def source_lines(path, addresses):
    """`file:line` of each address."""
    done = subprocess.run(["addr2line", "-s", "-e", str(path)], stdout=subprocess.PIPE, text=True,
                          input="".join(f"{a:#x}\n" for a in addresses), check=True)
    return dict(zip(addresses, done.stdout.splitlines()))


def print_counts(counts, total):
    for name, count in counts.most_common():
        if count:
            print(f"{count:10,}  {100 * count / total:5.1f}%  {name}")


def show(args, addresses, core, core_path, guest):
    print(f"{args.operation}: {len(addresses):,} instructions, loop and guest's part included")
    if args.order:
        runs = []
        for pc in addresses:
            name = place(pc, core, guest)
            if not runs or runs[-1][0] != name:
                runs.append([name, 0])
            runs[-1][1] += 1
        for name, count in runs:
            print(f"{count:10,}  {name}")
        return
    print_counts(collections.Counter(place(pc, core, guest) for pc in addresses), len(addresses))
    if args.lines:
        inside = [pc for pc in addresses if pc > USER_END]
        where = source_lines(core_path, sorted(set(inside)))
        print()
        print_counts(collections.Counter(where[pc] for pc in inside), len(addresses))


def main():
    parser = argparse.ArgumentParser(description="Count the instructions of one operation by "
                                     "function of the core.")
    parser.add_argument("operation", metavar="NAME", help="cpuid, cpuid-new, hypercall, call-null, "
                        "call-10-integers, call-384-words, register-N for N pages; of the "
                        f"keystore: {', '.join(KEYSTORE)}")
    parser.add_argument("--build", default=base.build_root(), metavar="DIR",
                        help="build folder (default: $XMHF_BUILD, or in the cache)")
    parser.add_argument("--bench", choices=sorted(TRACE), default="svm",
                        help="svm: QEMU (default); vmx: Bochs")
    parser.add_argument("--cpu-model", metavar="M", help="CPU model of Bochs")
    parser.add_argument("--size", type=int, default=16, metavar="MiB",
                        help="record until the log has this size (default 16)")
    parser.add_argument("--lines", action="store_true", help="count by source line too")
    parser.add_argument("--order", action="store_true",
                        help="instead of sums, the functions in the order they ran")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    build = pathlib.Path(args.build)
    core, guest = (Symbols(build / "xmhf-core.elf"),
                   Symbols(program_of(args)))
    with tempfile.TemporaryDirectory(prefix="xmhf-profile-") as folder:
        record = record_vmx if args.bench == "vmx" else record_svm
        log = record(args, pathlib.Path(folder))
        addresses = choose(log, guest.address("loop_mark"), TRACE[args.bench])
    show(args, addresses, core, build / "xmhf-core.elf", guest)
    return 0


base.main(main)

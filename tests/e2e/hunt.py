#!/usr/bin/env python3
"""Hunt a hang: many boots, many runs of a program in each, and a dump of all CPUs if one stops.

SPDX-License-Identifier: MIT

A machine counts as hung when nothing came from it for --limit seconds of time that it *had*: the
time that its threads waited for a core of the host doesn't count, so a busy host is no hang, and a
machine whose CPUs all sleep is one. notes/bugs/qemu-stale-code.md has what was hunted.
"""
import argparse
import bisect
import os
import pathlib
import re
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import types

sys.dont_write_bytecode = True  # the source tree stays as it is
from common import MEMORY, Failed, base  # noqa: E402
import live  # noqa: E402
import vmx  # noqa: E402
from xmhftools import inputs  # noqa: E402

# What can be hunted: program, its argument, and the hypervisor's options.
GAME = {
    "budget": ("tests/programs/pal_spin", "budget", "palbudget=1"),
    "budget32": ("tests/programs/pal_spin32", "budget", "palbudget=1"),
    "spin": ("tests/programs/pal_spin", "1", ""),
    "race": ("tests/programs/pal_race", "1", ""),
    "boot": (None, "true", ""),
}
SAMPLES, PAUSE = 6, 0.3  # of a machine that hangs, and seconds in between
STALE = "does the emulator run code that is gone"  # tests/programs/join.h asks that
MARK = re.compile(rb"\n#(\d+) (\d+)\n")
ADDRESS = re.compile(r"\b(RIP|EIP)=([0-9a-f]{8,16})")


class Hung(Exception):
    """Nothing came for too long."""


class Symbols:
    """Names for addresses, of `nm -n` or a System.map."""

    def __init__(self, text):
        rows = [line.split() for line in text.splitlines() if len(line.split()) == 3]
        self.rows = sorted((int(row[0], 16), row[2]) for row in rows if row[1] in "tTwW")

    def name(self, address):
        at = bisect.bisect(self.rows, (address, "~")) - 1
        if at < 0 or address - self.rows[at][0] > 0x10000:
            return None
        return f"{self.rows[at][1]}+{address - self.rows[at][0]:#x}"


def all_symbols(machine):
    """Of the core and of the guest's kernel (which is booted with nokaslr)."""
    core = base.run(["nm", "-n", machine.machines.build / "xmhf-core.elf"],
                    "list the core's symbols")
    kernel = live.bench.kernel_file(machine.KERNEL).parent / "System.map"
    return [Symbols(core), Symbols(kernel.read_text(encoding="ascii"))]


def named(text, symbols):
    """The dump with a name behind each instruction pointer."""
    def name(found):
        address = int(found.group(2), 16)
        names = [table.name(address) for table in symbols]
        return f"{found.group(0)} <{next((known for known in names if known), 'user or unknown')}>"
    return ADDRESS.sub(name, text)


def dump_qemu(machine, folder):
    """All CPUs some times, once what else tells of a hang. The machine is stopped at the end."""
    def monitor(line, **of):
        return machine.qmp("human-monitor-command", **{"command-line": line, **of})
    for number in range(SAMPLES):
        machine.qmp("stop")
        yield f"--- sample {number}\n{monitor('info registers -a')}"
        if number + 1 < SAMPLES:
            machine.qmp("cont")
            time.sleep(PAUSE)
    for cpu in range(int(machine.args.cpus)):
        of = {"cpu-index": cpu}
        yield f"--- cpu {cpu}\n{monitor('info lapic', **of)}\n{monitor('x /8i $eip', **of)}"
    for line in ("info pic", "info irq", "info jit"):
        yield f"--- {line}\n{monitor(line)}"
    machine.qmp("pmemsave", val=0, size=machine.mem << 20, filename=str(folder / "memory"))
    yield core_state(machine, folder)


def core_state(machine, folder):
    """What the core knows of each CPU, by its symbols. Leaves core.dump for more questions:
    gdb xmhf-core.elf core.dump"""
    found = re.search(r"^\[xmhf\] protected range: (\d+) KiB at (0x[0-9a-f]+)", machine.log(), re.M)
    if not found or not shutil.which("gdb"):
        return "--- the core's memory: no protected range yet, or gdb isn't installed"
    first, size = int(found.group(2), 16), int(found.group(1)) << 10
    with open(folder / "memory", "rb") as memory:
        memory.seek(first)
        data = memory.read(size)
    # An ELF core file with one part: where the core sees its own memory.
    ident = b"\x7fELF\2\1\1".ljust(16, b"\0")
    header = ident + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    part = struct.pack("<IIQQQQQQ", 1, 7, 4096, live.CORE_VA, 0, size, size, 4096)
    (folder / "core.dump").write_bytes((header + part).ljust(4096, b"\0") + data)
    ask = ["-ex", "set print pretty on", "-ex", "p vcpu_count"]
    for cpu in range(int(machine.args.cpus)):
        ask += ["-ex", f"p *vcpus[{cpu}]"]
    done = subprocess.run(["gdb", "-batch", "-nx", *ask, machine.machines.build / "xmhf-core.elf",
                           folder / "core.dump"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, text=True, check=False)
    return f"--- the core's CPUs\n{done.stdout}"


def dump_bochs(machine, _folder):
    for number in range(SAMPLES):
        machine.debugger.interrupt()
        for cpu in range(2):
            machine.debugger(f"set $cpu={cpu}")
            yield f"--- sample {number}, cpu {cpu}\n" + "".join(
                machine.debugger(line) for line in ("r", "sreg", "u /8"))
        if number + 1 < SAMPLES:
            machine.debugger.send("c")
            time.sleep(PAUSE)


def keep(machine, folder, said):
    """Everything there is to know of a machine that hangs, in a folder that stays."""
    folder.mkdir(parents=True, exist_ok=True)
    symbols = all_symbols(machine)
    dump = dump_qemu if machine.machines.args.bench == "svm" else dump_bochs
    with open(folder / "cpus.txt", "w", encoding="utf-8") as out:
        for text in dump(machine, folder):
            out.write(named(text.replace("\r", ""), symbols) + "\n")
            out.flush()
    threads = [f"{task.name} {(task / 'comm').read_text().strip()} {(task / 'wchan').read_text()} "
               f"{(task / 'stat').read_text().split(') ')[1][0]} "
               f"{(task / 'schedstat').read_text().strip()}"
               for task in pathlib.Path(f"/proc/{machine.process.pid}/task").iterdir()]
    (folder / "threads.txt").write_text("\n".join(threads) + "\n", encoding="utf-8")
    (folder / "said.txt").write_bytes(said)
    shutil.copy(machine.folder / "serial.log", folder)
    for name in ("xmhf-core.elf", "xmhf.elf"):
        shutil.copy(machine.machines.build / name, folder)


def hear(machine, deadline):
    """Wait for the end of the agent's command: (text, status)."""
    logged = 0
    deadline.restart()
    while True:
        found = MARK.search(machine.heard)
        if found:
            text = machine.heard[:found.start()]
            machine.heard = machine.heard[found.end():]
            return text.decode(errors="replace"), int(found.group(2))
        if select.select([machine.agent], [], [], 1)[0]:
            data = machine.agent.recv(65536)
            if not data:
                raise Failed(f"the machine ended:\n{machine.tail()}")
            machine.heard += data
            deadline.restart()
        size = (machine.folder / "serial.log").stat().st_size
        if size != logged:
            logged = size
            deadline.restart()
        if deadline.had() > deadline.seconds:
            raise Hung(f"nothing came for {deadline.had():.0f} s of its own time")


def cpu_seconds(pid):
    words = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


class Hunt:
    """Counts, and what is told of them."""

    def __init__(self, args, machines):
        self.args, self.machines = args, machines
        self.runs = self.boots = self.hangs = self.failed = self.stale = 0
        self.cpu = self.longest = 0.0

    def tell(self, text):
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    def one_run(self, machine, deadline):
        """Each of the programs once."""
        for name in self.args.game:
            program, argument, _ = GAME[name]
            began = cpu_seconds(machine.process.pid)
            command = argument if program is None else f"{pathlib.Path(program).name} {argument}"
            machine.send(command)
            text, status = hear(machine, deadline)
            self.longest = max(self.longest, cpu_seconds(machine.process.pid) - began)
            self.stale += text.count(STALE)
            if status != 0 or re.search(r"^(not ok|Bail out)", text, re.M):
                self.failed += 1
                self.tell(f"not ok: {command} ended with status {status}:\n{text}")
        self.runs += 1

    def machine(self):
        """The next machine: some on one core of the host, some on all that there are."""
        pinned = self.args.pin == "yes" or (self.args.pin == "some" and self.boots % 3 != 2)
        adds = [self.machines.build / GAME[name][0] for name in self.args.game if GAME[name][0]]
        return live.live_machine(self.machines, smp=str(self.args.cpus), adds=adds, one_core=pinned,
                                 hv_append=GAME[self.args.game[0]][2], append="nokaslr")

    def boot(self):
        """One machine and the runs in it."""
        with self.machine() as machine:
            deadline = live.bench.Deadline(machine.process, self.args.limit)
            try:
                hear(machine, deadline)
                for _ in range(min(self.args.rounds, self.args.runs - self.runs)):
                    self.one_run(machine, deadline)
            except Hung as problem:
                self.hangs += 1
                folder = self.args.keep / f"hang-{os.getpid()}-{self.hangs}"
                self.tell(f"HUNG after {self.runs} runs in {self.boots} boots: {problem}; "
                          f"see {folder}\n"
                          f"{machine.tail()}")
                keep(machine, folder, machine.heard)
            self.cpu += cpu_seconds(machine.process.pid)
        self.boots += 1

    def told(self):
        return (f"{self.runs} runs of {', '.join(self.args.game)} in {self.boots} "
                f"boots, {self.hangs} hangs, "
                f"{self.failed} failed, {self.stale} times old code ran; the emulator took "
                f"{self.cpu:.0f} s of CPU, the longest run {self.longest:.0f} s")

    def whole(self):
        end, in_a_row = time.monotonic() + self.args.minutes * 60, 0
        while (in_a_row < 3 and self.runs < self.args.runs and time.monotonic() < end
               and self.hangs < self.args.hangs):
            in_a_row += 1
            try:
                self.boot()
                in_a_row = 0
            except (Failed, base.ToolError, OSError) as problem:
                self.failed += 1
                self.tell(f"not ok: a machine failed: {problem}")
            self.tell(self.told())


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("game", nargs="*", metavar="GAME", default=["budget"],
        help=f"what runs, one after the other: {', '.join(GAME)} (default: budget)")
    add("--bench", choices=("svm", "vmx"), default="svm", help="the machine (default svm)")
    add("--runs", type=inputs.number(1, 1000000), default=500, metavar="N",
        help="stop after so many (default 500)")
    add("--rounds", type=inputs.number(1, 1000000), default=20, metavar="N",
        help="runs in one boot (default 20)")
    add("--cpus", type=inputs.number(1, 16), default=2, metavar="N",
        help="of the guest (default 2)")
    add("--limit", type=inputs.number(1, 86400, float), default=200, metavar="S",
        help="seconds of the machine's own time without a word that are a hang (default 200)")
    add("--minutes", type=inputs.number(0.1, 10000, float), default=600, metavar="M",
        help="stop after so long (default 600)")
    add("--hangs", type=inputs.number(1, 1000), default=1, metavar="N",
        help="stop after so many hangs (default 1)")
    add("--pin", choices=("yes", "no", "some"), default="some",
        help="the emulator on one core of the host (default: two boots of three)")
    add("--load", type=inputs.number(0, 64), default=0, metavar="N",
        help="that many busy loops beside it (default 0)")
    add("--keep", type=pathlib.Path, metavar="DIR",
        help="where dumps go (default: the build folder)")
    add("--build", default=base.build_root(), metavar="DIR", type=pathlib.Path,
        help="build folder (default: $XMHF_BUILD, or in the cache)")
    args = parser.parse_args()
    for name in args.game:
        if name not in GAME:
            parser.error(f"no game {name}: there are {', '.join(GAME)}")
    if len({GAME[name][2] for name in args.game}) > 1:
        parser.error("these games need different options of the hypervisor, so different machines")
    args.build = args.build.absolute()
    args.keep = (args.keep or args.build).absolute()
    return args


def main():
    args = parse()
    base.stop_on_signals()
    live.bench.hypervisor_image(None, args.build)
    for program in (args.build / GAME[name][0] for name in args.game if GAME[name][0]):
        if not program.exists():
            raise base.ToolError(f"there is no {program}: {inputs.how_to_build(args.build)}")
    loops = [subprocess.Popen(["sh", "-c", "while :; do :; done"],
                              preexec_fn=live.bench.die_with_parent)
             for _ in range(args.load)]
    try:
        with tempfile.TemporaryDirectory(prefix="xmhf-hunt-") as scratch:
            machines = types.SimpleNamespace(args=args, build=args.build,
                                             scratch=pathlib.Path(scratch),
                                             memory=MEMORY if args.bench == "svm" else vmx.MEMORY,
                                             boot=None)
            hunt = Hunt(args, machines)
            try:
                hunt.whole()
            finally:
                print(f"{'not ok' if hunt.hangs or hunt.failed else 'ok'} hunt: {hunt.told()}",
                      flush=True)
    finally:
        for loop in loops:
            loop.kill()
    return 1 if hunt.hangs or hunt.failed else 0


base.main(main)

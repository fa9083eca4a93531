#!/usr/bin/env python3
"""End-to-end tests: whole machines with a stock Linux guest, with and without the hypervisor.

SPDX-License-Identifier: MIT

Each test boots one machine or two through tools/xmhf-run and prints what it proved.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the source tree stays as it is
from common import (E2E, MEMORY, PROGRAMS, SEED, SOURCE, Failed, Skipped, base,  # noqa: E402
                    check, compile_program, masked, warnings)
import attacks  # noqa: E402
import boot_debian  # noqa: E402
import boot_machines  # noqa: E402
import boot_secure  # noqa: E402
import boot_svm  # noqa: E402
import boot_uefi  # noqa: E402
import cookbook  # noqa: E402
import debugger  # noqa: E402
import firmware  # noqa: E402
import grub_efi  # noqa: E402
import guests  # noqa: E402
import lockdown  # noqa: E402
import logs  # noqa: E402
import pals  # noqa: E402
import probing  # noqa: E402
import resets  # noqa: E402
import roots  # noqa: E402
import scale  # noqa: E402
import sdk  # noqa: E402
import sdk_examples  # noqa: E402
import stress  # noqa: E402
import vmx  # noqa: E402
import windows  # noqa: E402
from xmhftools import bochs  # noqa: E402


# What Machines.looks() prints before the kernel's messages.
LOOKS = "/proc/iomem /proc/cpuinfo"


class Run:
    """What one machine gave."""

    def __init__(self, status, output, log, complaint):
        self.status, self.output, self.log, self.complaint = status, output, log, complaint

    def text(self):
        return self.output.decode(errors="replace")

    def ended_well(self):
        """Fail unless the command ended with status 0."""
        check(self.status == 0, f"status {self.status}: {self.complaint.strip()}\n{self.text()}")
        return self

    def logged(self, pattern):
        """Fail unless the serial log has a line with this; return the match."""
        found = re.search(pattern, self.log, re.M)
        check(found, f"the serial log has no line like {pattern!r}")
        return found


class Machines:
    """Starts machines for the tests of one bench."""

    def __init__(self, args, scratch):
        self.args = args
        self.scratch = pathlib.Path(scratch)
        self.build = pathlib.Path(args.build).absolute()
        # Searching all memory takes as long as there is memory, and Bochs is slow.
        self.memory = MEMORY if args.bench == "svm" else vmx.MEMORY
        self.boot = None  # xmhf-run's --boot, where a test doesn't choose
        self.looked = {}  # what looks() has seen

    def run(self, command, *options, hypervisor=True, adds=()):
        log = self.scratch / "serial.log"
        log.unlink(missing_ok=True)
        argv = [SOURCE / "tools" / "xmhf-run", "--bench", self.args.bench, "--build", self.build,
                "--mem", str(self.memory), "--log", log, *options]
        if self.boot and "--boot" not in options:
            argv += ["--boot", self.boot]
        if not hypervisor:
            argv.append("--no-hypervisor")
        for add in adds:
            argv += ["--add", str(add)]
        done = subprocess.run([str(a) for a in [*argv, "--", *command]], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False)
        for line in done.stderr.decode(errors="replace").splitlines():
            if "trying once more" in line:
                print(f"    {line}", flush=True)
        text = log.read_bytes().decode(errors="replace").replace("\r", "") if log.exists() else ""
        return Run(done.returncode, done.stdout, text, done.stderr.decode(errors="replace"))

    def run_compared(self, command, hypervisor, *options):
        """A guest, or its control, both on the CPU that a bare Linux needs in Bochs."""
        same = ["--cpu-model",
                bochs.cpu_option(None, bare=True)] if self.args.bench == "vmx" else []
        return self.run(command, *same, *options, hypervisor=hypervisor).ended_well()

    def looks(self, hypervisor, again=False):
        """How a guest or its control sees itself (LOOKS, then the kernel's messages). Booted once
        for all tests that ask, unless `again`."""
        key = (hypervisor, self.boot)
        if again or key not in self.looked:
            odd = ["--hv-append", "palmem=2000 frob=1"] if hypervisor else []
            self.looked[key] = self.run_compared(shell(f"cat {LOOKS}; dmesg -r"), hypervisor, *odd)
        return self.looked[key]

    def compile(self, name):
        """A static program from tests/programs, for the guest."""
        return compile_program(name, self.scratch)

    def example(self, name):
        """A program of the PAL SDK, as built."""
        return self._built(self.build / "pal_sdk" / "examples" / name)

    def pal_test(self, name):
        """A program of tests/programs that uses PALs, as built."""
        return self._built(self.build / "tests" / "programs" / name)

    def built(self, name):
        """A program of the build folder."""
        return self._built(self.build / name)

    @staticmethod
    def _built(program):
        if not program.exists():
            raise Skipped(f"there is no {program}")
        return program


def shell(script):
    return ["sh", "-c", script]


# --- the bench itself, without the hypervisor ---------------------------------

def test_bench_tools(_machines):
    """The tools' pure parts, on the host."""
    for name in ("test_tools.py", "test_efi.py"):
        base.run([E2E / name], "pass the tools' host tests", stdin=subprocess.DEVNULL)
    return "output framing, log reading, cpio archives, disks and arguments hold"


def test_bench_output(machines):
    """xmhf-run passes on bytes and status, and reports a machine that fails."""
    data = os.urandom(100000) + b"\0xmhf-end-\0"
    (machines.scratch / "bytes").write_bytes(data)
    run = machines.run(shell("cat bytes; exit 7"), hypervisor=False,
                       adds=[machines.scratch / "bytes"])
    check(run.status == 7, f"exit 7 in the guest became {run.status}: {run.complaint}")
    check(run.output == data, f"{len(data)} bytes became {len(run.output)} or others")
    run = machines.run(shell("echo c >/proc/sysrq-trigger; sleep 60"), hypervisor=False)
    check(run.status == 125, f"a guest panic gave status {run.status}, not 125")
    return "100,011 arbitrary bytes and status 7 came through; a guest panic gave 125"


def test_search_can_find(machines):
    """memsearch finds a secret where there is one, and only there."""
    script = (f"mkfifo p; holdsecret {SEED} <p >o & pid=$!; exec 4>p; "
              "until grep -q ready o; do usleep 50000; done; "
              f"memsearch --kcore {masked(SEED)}; echo kernel $?; "
              f"memsearch --pid $pid {masked(SEED)}; echo process $?; "
              f"memsearch --kcore {masked(SEED + 1)}; echo other $?")
    run = machines.run(shell(script), hypervisor=False,
                       adds=[machines.compile("memsearch"), machines.compile("holdsecret")])
    text = run.ended_well().text()
    for line in ("kernel 0", "process 0", "other 1"):
        check(line in text, f"no \"{line}\" in:\n{text}")
    return "a secret was found in /proc/kcore and in its process, another secret was not"


# --- booting ------------------------------------------------------------------

def boot(machines, cpus, *options):
    run = machines.run(shell("nproc; uname -r"), "--cpus", str(cpus), *options).ended_well()
    seen = run.text().split()
    check(seen[:1] == [str(cpus)], f"the guest has {seen[:1]} CPUs, not {cpus}")
    run.logged(rf"^\[xmhf[^\]]*\] up on {cpus} CPU")
    run.logged(r"^\[xmhf[^\]]*\] DMA protection: off")
    return f"hypervisor and Linux {seen[1]} both run on {cpus} CPUs"


def statistics(text, cpus):
    """Check what xmhf-stat --per-cpu printed: {kind: [all CPUs, CPU 0, CPU 1, ...]}."""
    def line(pattern):
        found = re.search(pattern, text, re.M)
        check(found, f"xmhf-stat says nothing like {pattern!r}:\n{text}")
        return [int(number) for number in found.groups()]
    check(line(r"^CPUs +(\d+)$") == [cpus], text)
    check(line(r"^protected +(\d+) KiB$")[0] > 0 and line(r"^boot +(\d+) TSC ticks")[0] > 0, text)
    free, total = line(r"^PAL pool +(\d+) of (\d+) pages free$")
    check(0 < free <= total, text)
    kinds = {row[0]: [int(number) for number in row[1].split()]
             for row in re.findall(rf"^([A-Z_]+) +(\d+(?: +\d+){{{cpus}}})  \S", text, re.M)}
    for kind, (everywhere, *each) in kinds.items():
        # Asked for one after the other, while exits go on.
        check(everywhere <= sum(each), f"{kind}: {everywhere} on all CPUs is more than {each}")
        check(sum(each) <= everywhere + 1000, f"{kind}: {everywhere} on all CPUs, but {each}")
    for kind in ("CPUID", "NESTED_FAULT"):
        check(min(kinds.get(kind, [0])) > 0, f"a CPU had no exit {kind}:\n{text}")
    check(kinds["HYPERCALL"][0] > 100, f"hardly any hypercalls:\n{text}")
    check(not any(kind in kinds for kind in ("ENTRY_FAILED", "UNKNOWN", "SHUTDOWN")), text)
    return kinds


def boot_and_use(machines, cpus, hypervisor=True):
    """Kernel warnings of a boot, and under the hypervisor what came before: PALs, counts."""
    script = "nproc; uname -r; " + ("echo @@ pal_test; pal_test 20; echo @@ end $?; "
                                    "xmhf-stat --per-cpu; " if hypervisor else "") + "dmesg -r"
    return machines.run(shell(script), "--cpus", str(cpus), hypervisor=hypervisor,
                        adds=[machines.pal_test("pal_test"),
                              machines.build / "tools" / "xmhf-stat"]).ended_well()


def boot_all(machines, cpus, control):
    """Linux boots as it does bare, PALs work in it, and the hypervisor's counts make sense."""
    bare, guest = set(), None
    for _ in range(5 if control else 1):  # a busy host causes warnings of its own
        bare |= warnings(boot_and_use(machines, cpus, False).text()) if control else set()
        run = boot_and_use(machines, cpus)
        seen = run.text().split()
        check(seen[:1] == [str(cpus)], f"the guest has {seen[:1]} CPUs, not {cpus}")
        run.logged(rf"^\[xmhf[^\]]*\] up on {cpus} CPU")
        run.logged(r"^\[xmhf[^\]]*\] DMA protection: off")
        (name, output, status), = pals.parts_of(run, ["pal_test"])
        made = pals.counted(output, name)
        check(status == 0, f"{name} ended with status {status}:\n{output}")
        kinds = statistics(run.text(), cpus)
        new = warnings(run.text())
        guest = new if guest is None else guest & new
        if not control or guest <= bare:
            break
    else:
        raise Failed("new kernel warnings:\n  " + "\n  ".join(sorted(guest - bare)))
    told = f"; {len(guest)} kinds of kernel warning, all of them also bare" if control else ""
    return (f"hypervisor and Linux {seen[1]} both run on {cpus} CPUs, PALs pass {made} checks, "
            f"{kinds['HYPERCALL'][0]} hypercalls and {kinds['CPUID'][0]} CPUIDs were counted{told}")


def test_boot_1(machines):
    """Linux with 1 CPU, and PALs in it."""
    return boot_all(machines, 1, machines.args.bench == "svm")


def test_boot_2(machines):
    """Linux with 2 CPUs, and PALs in it."""
    return boot_all(machines, 2, False)  # test_dmesg compares with the control


def test_boot_4(machines):
    """Linux with 4 CPUs, and PALs in it."""
    return boot_all(machines, 4, machines.args.bench == "svm")


def test_boot_grub_mb1(machines):
    """GRUB, multiboot 1."""
    return boot(machines, 2, "--boot", "grub-mb1") + ", loaded by GRUB as multiboot 1"


def test_boot_grub_mb2(machines):
    """GRUB, multiboot 2."""
    return boot(machines, 2, "--boot", "grub-mb2") + ", loaded by GRUB as multiboot 2"


def test_boot_686(machines):
    """A 32-bit kernel without PAE."""
    return boot(machines, 2, "--kernel", "686")


def test_boot_686_pae(machines):
    """A 32-bit kernel with PAE."""
    return boot(machines, 2, "--kernel", "686-pae")


def test_boot_pti(machines):
    """Linux that switches page tables at each system call."""
    run = machines.run(shell("dmesg | grep -c 'page tables isolation: enabled'"),
                       "--append", "pti=on").ended_well()
    return f"a guest with page table isolation ran ({run.text().strip()} line says so)"


def test_boot_bochs_svm(machines):
    """Another emulator's AMD CPU, which has next-RIP and flush-by-ASID, unlike QEMU's."""
    if not shutil.which("bochs"):
        raise Skipped("Bochs is not installed (apt-get install bochs bochsbios vgabios)")
    return boot(machines, 2, "--bench", "vmx", "--cpu-model", "zambezi",
                "--kernel", "cloud-amd64") + ", on Bochs' AMD CPU"


# --- what the guest can see ----------------------------------------------------

def test_dmesg(machines):
    """The guest's kernel has nothing new to complain about."""
    # A busy host makes the kernel complain about clocks now and then, with and without
    # the hypervisor. What the hypervisor causes is there every time, and only with it.
    guest, control = None, set()
    for time_over in range(4):
        control |= warnings(machines.looks(False, again=time_over > 0).text())
        seen = warnings(machines.looks(True, again=time_over > 0).text())
        guest = seen if guest is None else guest & seen
        if guest <= control:
            return f"{len(guest)} kinds of kernel warning, all of them also without the hypervisor"
    raise Failed("new kernel warnings:\n  " + "\n  ".join(sorted(guest - control)))


def ram_kib(run):
    """Total System RAM of /proc/iomem."""
    total = 0
    for start, end in re.findall(r"^([0-9a-f]+)-([0-9a-f]+) : System RAM", run.text(), re.M):
        total += int(end, 16) - int(start, 16) + 1
    return total >> 10


def test_memory_taken(machines):
    """How much memory the hypervisor takes from the guest; options that it doesn't understand."""
    before = ram_kib(machines.looks(False))
    run = machines.looks(True)
    for word, why in (("palmem=2000", "1 to 1000 MiB"), ("frob=1", "no such option")):
        check(re.search(rf"the hypervisor says: option not understood: {word} .*{why}",
                        run.complaint),
              f"the user isn't told of {word}: {run.complaint}")
    after = ram_kib(run)
    taken = before - after
    check(taken > 0, "the guest's memory map hides nothing")
    check(taken <= 32 << 10, f"{taken} KiB taken, more than 32 MiB")
    return f"{taken} KiB of {before} KiB are out of the guest's memory map (goal 8192)"


def test_no_svm_in_guest(machines):
    """The guest does not see the CPU feature that the hypervisor uses."""
    def counted(run, flag):
        return sum(flag in line.split() for line in run.text().splitlines()
                   if line.startswith("flags"))
    flag, bare, guest = machines.args.bench, machines.looks(False), machines.looks(True)
    check(counted(bare, flag) == 2, f"control: {flag} seen {counted(bare, flag)} times, not 2")
    check(counted(guest, flag) == 0, f"the guest sees {flag} {counted(guest, flag)} times")
    told = counted(guest, "hypervisor")
    check(told == 2, f"the hypervisor bit is set on {told} CPUs, not 2")
    return f"{flag} is hidden, the hypervisor bit is set on both CPUs; the control run shows {flag}"


# --- leaving -------------------------------------------------------------------

def test_reset(machines):
    """A guest's reset resets the machine."""
    # QEMU ends at a reset (-no-reboot); had nothing happened, `sleep` would end with status 0.
    for way, script in (("reboot", "reboot -f"), ("triple fault", "echo b >/proc/sysrq-trigger")):
        run = machines.run(shell(f"sync; {script}; sleep 60"))
        check(run.status == 125 and "stopped before" in run.complaint,
              f"after {way}: status {run.status}: {run.complaint}")
    return "reboot and sysrq-b each ended the machine"


def test_hotplug(machines):
    """A CPU taken down and up again by the guest works, several times."""
    script = ("c=/sys/devices/system/cpu/cpu1/online; for i in 1 2 3 4 5; do echo 0 >$c || exit 1; "
              "echo 1 >$c || exit 1; taskset 2 true || exit 1; done; nproc")
    run = machines.run(shell(script)).ended_well()
    check(run.text().split() == ["2"], f"afterwards: {run.text()}")
    return "CPU 1 went down and came up 5 times and runs programs"


# --- PALs -----------------------------------------------------------------------

def demo(machines, hypervisor):
    adds = [machines.example("demo_pal"), machines.compile("memsearch"), PROGRAMS / "demo-guest.sh"]
    command = ["sh", "demo-guest.sh", str(SEED), masked(SEED), str(machines.memory)]
    return machines.run(command, hypervisor=hypervisor, adds=adds).ended_well().text()


def test_pal_secret(machines):
    """A PAL works, and root does not find its secret."""
    text = demo(machines, True)
    for line in ("pal: registered", "= 42 ok", "verdict kernel: not found",
                 "verdict process: not found", "verdict physical: not found", "pal: unregistered",
                 "verdict afterwards: not found"):
        check(line in text, f"no \"{line}\" in:\n{text}")
    return "a PAL gave 42, and neither kcore, nor its process, nor other addresses had its secret"


def test_pal_secret_control(machines):
    """The same search without the hypervisor does find it."""
    text = demo(machines, False)
    for line in ("running unprotected", "verdict kernel: found", "verdict process: found"):
        check(line in text, f"no \"{line}\" in:\n{text}")
    return "without the hypervisor the same search found the secret in kcore and in the process"


# What palabuse tries to register, and how it must be refused.
FAULT = "a fault in the caller"
FOREIGN = {"the local APIC": "NOT_RAM", "the HPET": "NOT_RAM", "the BIOS ROM": "NOT_RAM",
           "the video memory": "NOT_RAM", "the protected range": "NOT_RAM", "the zero page": FAULT,
           "an unmapped address": FAULT, "libc.so.6, private": FAULT, "libc.so.6, shared": FAULT,
           "su, private": FAULT, "su, shared": FAULT, "busybox, private": FAULT,
           "busybox, shared": FAULT,
           "another PAL's DATA": "OVERLAP"}


def libc_folder(machines):
    """The host's C library for the guest, which has none of its own. (A file by itself would be
    taken for a program that can't run there.)"""
    folder = machines.scratch / "lib"
    folder.mkdir(exist_ok=True)
    found = base.run(["gcc", "-print-file-name=libc.so.6"], "ask for the C library").strip()
    shutil.copyfile(found, folder / "libc.so.6")
    return folder


def test_pal_foreign(machines):
    """Registrations that are malformed, or of memory that is not the caller's to write."""
    range_line = machines.run(["true"]).ended_well().logged(
        r"^\[xmhf\] protected range: \d+ KiB at (0x[0-9a-f]+)")
    # busybox is su too; the copy is a set-uid program of root's, as /bin/su is.
    script = ("cp /bin/busybox su; chmod 4755 su; f='lib/libc.so.6 su /bin/busybox'; ls -l su; "
              "sha256sum $f >before; palabuse foreign $1 $f || exit 1; sha256sum $f | cmp - before "
              "&& echo files unchanged")
    run = machines.run(["sh", "-c", script, "sh", range_line.group(1)], "--append", "iomem=relaxed",
                       adds=[machines.compile("palabuse"), libc_folder(machines)])
    run.ended_well()
    check("BAD:" not in run.text(), run.text())
    for line in ("-rwsr-xr-x", "another process: 3 files and the zero page are as before",
                 "files unchanged"):
        check(line in run.text(), f"no \"{line}\" in:\n{run.text()}")
    for what, how in FOREIGN.items():
        for section in ("CODE", "DATA", "STACK", "PARAM"):
            check(f"{what} as {section}: {how}\n" in run.text(),
                  f"{what} as {section} was not {how}:\n{run.text()}")
    refused = len(re.findall(r": (?:[A-Z_]{3,}|a fault in the caller)$", run.text(), re.M))
    check(refused >= 21 + 4 * len(FOREIGN) + 1, f"only {refused} cases were tried:\n{run.text()}")
    return (f"{refused} bad registrations refused, {len(FOREIGN)} kinds of foreign memory among "
            f"them; no byte, "
            "file or pool page changed by them, no other process sees a change")


def fuzz(machines, count):
    seed = int.from_bytes(os.urandom(4), "little")
    run = machines.run(["palabuse", "fuzz", str(count), str(seed)], "--timeout", "900",
                       adds=[machines.compile("palabuse")])
    check(run.status == 0 and "BAD:" not in run.text(),
          f"seed {seed}: status {run.status}\n{run.text()}{run.complaint}")
    return f"commands 0 to 65535 and {count} random hypercalls (seed {seed}), nothing leaked"


def test_hypercall_fuzz(machines):
    """Random hypercalls from ring 3, 30,000 of them; fewer where Linux' signals take long."""
    return fuzz(machines, 30000 if machines.args.bench == "svm" else vmx.FUZZ)


def test_hypercall_fuzz_long(machines):
    """Random hypercalls from ring 3, 500,000 of them."""
    return fuzz(machines, 500000)


# --- another hypapp ---------------------------------------------------------------

def test_helloworld(machines):
    """The tutorial's hypapp boots Linux and sees every CPUID, also those with a kept answer."""
    build = machines.scratch / "helloworld"
    build.mkdir()
    for command in ([SOURCE / "configure", "--with-hypapp=helloworld", "MINGW64=no"],
                    ["make", f"-j{os.cpu_count() or 1}", "xmhf.elf"]):
        base.run(command, "build the hypervisor with helloworld", cwd=build)
    count = compile_program("count", machines.scratch, SOURCE / "hypapps/helloworld/program")
    run = machines.run(["sh", "-c", "count && countcpuid 1000"], "--image", build / "xmhf.elf",
                       adds=[machines.compile("countcpuid"), count]).ended_well()
    run.logged(r"^\[xmhf[^\]]*\] helloworld: hypercall 0x110 ")
    return f"under helloworld: {run.text().strip()}"


# --- costs ------------------------------------------------------------------------

def test_budgets(machines):
    """No operation takes more instructions than its ceiling (tests/bench)."""
    done = subprocess.run([SOURCE / "tests" / "bench" / "bench.py", "--build", machines.build,
                           "--bench", machines.args.bench, "--quick", "--check"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True, check=False)
    check(done.returncode == 0, f"{done.stdout}{done.stderr}")
    found = re.search(r"^null PAL call +([\d,]+)", done.stdout, re.M)
    return f"a null PAL call takes {found.group(1)} instructions, no operation exceeds its ceiling"


BASIC = (test_bench_tools, test_bench_output, test_search_can_find, test_boot_1, test_boot_2,
         test_boot_4,
         test_boot_grub_mb1, test_boot_grub_mb2, test_dmesg, test_memory_taken,
         test_no_svm_in_guest, test_reset, test_hotplug, test_pal_secret, test_pal_secret_control,
         test_budgets,
         test_pal_foreign, test_hypercall_fuzz, test_helloworld, *attacks.BASIC, *cookbook.BASIC,
         *firmware.BASIC, *guests.BASIC, *lockdown.BASIC, *logs.BASIC,
         *pals.BASIC, *probing.BASIC,
         *resets.BASIC, *roots.BASIC, *scale.BASIC, *sdk.BASIC, *stress.BASIC, *windows.BASIC,
         *sdk_examples.BASIC)
MORE = (test_boot_686, test_boot_686_pae, test_boot_pti, test_boot_bochs_svm,
        test_hypercall_fuzz_long, *attacks.MORE, *cookbook.MORE, *debugger.MORE, *firmware.MORE,
        *guests.MORE, *logs.MORE,
        *pals.MORE, *probing.MORE, *resets.MORE, *roots.MORE, *scale.MORE, *sdk.MORE,
        *windows.MORE,
        *sdk_examples.MORE)  # only with --all, or by name


# Hours of the same, for make soak or by name.
SOAK = (*attacks.SOAK, *stress.SOAK)
# What the group pal of check.sh runs, besides all tests of pals.py and attacks.py.
ABOUT_PALS = (test_pal_secret, test_pal_secret_control, test_pal_foreign, test_budgets,
              test_hypercall_fuzz, test_hypercall_fuzz_long, stress.test_soak,
              stress.test_exit_duration)
# Of the tests for --all, those that this group always runs.
PAL_TOO = (attacks.test_pal_oom, attacks.test_pal_tables, pals.test_pal_budget,
           pals.test_pal_rt, scale.test_pal_large,
           windows.test_wine_32, windows.test_wine_control)


def by_uefi(test):
    """The same test with UEFI firmware."""
    def run(machines):
        machines.boot = "uefi"
        try:
            return test(machines)
        finally:
            machines.boot = None
    run.__name__ = test.__name__.replace("test_", "test_uefi_", 1)
    run.__doc__ = f"By UEFI: {test.__doc__}"
    run.__module__ = "boot_svm"
    return run


def svm_by_uefi(everything):
    """Of the other tests, those of every run, or all that boot_svm.py doesn't leave out."""
    return [by_uefi(test) for test in (*BASIC, *MORE)
            if name_of(test) in boot_svm.CHOSEN
            or everything and name_of(test) not in boot_svm.SKIPS]


def boot_tests(everything):
    """The group boot."""
    chosen = [*grub_efi.BASIC, *boot_uefi.BASIC, *boot_machines.BASIC, *boot_secure.BASIC]
    more = [*grub_efi.MORE, *boot_uefi.MORE, *boot_machines.MORE, *boot_debian.MORE,
            *boot_secure.MORE, *boot_svm.MORE]
    return [*chosen, *(more if everything else ()), *svm_by_uefi(everything)]


def name_of(test):
    return test.__name__[len("test_"):].replace("_", "-")


def select(args):
    """The tests to run."""
    known = {name_of(test): test for test in (*BASIC, *MORE, *SOAK, *boot_tests(True))}
    unknown = [name for name in args.names if name not in known]
    if unknown:
        raise base.ToolError(f"no test is called {', '.join(unknown)}; see --list")
    if args.names:
        return [known[name] for name in args.names]
    if args.group == "boot":
        return boot_tests(args.all)
    chosen = [*BASIC, *(MORE if args.all else PAL_TOO if args.pal else ())]
    if args.soak:
        chosen = list(SOAK)
    elif args.pal:
        chosen = [test for test in chosen if test in ABOUT_PALS or about_pals(test)]
    if args.bench == "vmx" and not args.all:
        some = (vmx.WITH_SOAK if args.soak else vmx.WITH_PAL if args.pal
                else (*vmx.EVERY_TIME, *vmx.SKIPS))
        chosen = [test for test in chosen if name_of(test) in some]
    return chosen


def about_pals(test):
    return test.__module__ in ("pals", "attacks", "scale", "sdk", "windows")


def run_one(test, machines):
    """Run one test and say how it went, as tests/check.py reads it."""
    start, cpu = time.monotonic(), base.cpu_seconds()
    reason = vmx.SKIPS.get(name_of(test)) if machines.args.bench == "vmx" else None
    try:
        if reason:
            raise Skipped(reason)
        result, text = "ok", test(machines)
    except (Failed, base.ToolError) as exc:
        result, text = "not ok", str(exc)
    except Skipped as exc:
        result, text = "skip", str(exc)
    first, *rest = text.splitlines() or [""]
    print(f"{result} {name_of(test)}: {first} ({time.monotonic() - start:.0f} s, "
          f"{base.cpu_seconds() - cpu:.0f} s of CPU)")
    for line in rest:
        print(f"    {line}")
    sys.stdout.flush()
    return result


def main():
    parser = argparse.ArgumentParser(description="Run the end-to-end tests. The last line is "
                                     "\"N passed, N failed, N skipped\".")
    parser.add_argument("group", nargs="?", choices=("svm", "vmx", "boot"), default="svm",
                        help="boot: the bench svm with UEFI firmware")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these tests")
    parser.add_argument("--list", action="store_true",
                        help="list the tests (of --all, --pal or --soak, if given) and do nothing")
    parser.add_argument("--all", action="store_true", help="also the slow tests")
    parser.add_argument("--pal", action="store_true", help="only the tests of PALs")
    parser.add_argument("--soak", action="store_true", help="only the longest tests of PALs")
    parser.add_argument("--build", default=base.build_root(), metavar="DIR",
                        help="build folder (default: $XMHF_BUILD, or in the cache)")
    args = parser.parse_args()
    args.bench = "svm" if args.group == "boot" else args.group
    if args.list:
        some = args.names or args.all or args.pal or args.soak or args.group == "boot"
        for test in select(args) if some else (*BASIC, *MORE, *SOAK):
            when = ("  (--pal, --all)" if test in PAL_TOO else "  (--all)" if test in MORE
                    else "  (--soak)" if test in SOAK else "")
            print(f"{name_of(test):20} {test.__doc__}{when}")
        return 0
    base.stop_on_signals()
    tests = select(args)
    counts = {"ok": 0, "not ok": 0, "skip": 0}
    with tempfile.TemporaryDirectory(prefix="xmhf-e2e-") as scratch:
        machines = Machines(args, scratch)
        for number, test in enumerate(tests, 1):
            if args.soak:
                print(f"    {time.strftime('%H:%M')} {name_of(test)} begins, {number} "
                      f"of {len(tests)}", flush=True)
            counts[run_one(test, machines)] += 1
    print(f"{counts['ok']} passed, {counts['not ok']} failed, {counts['skip']} skipped")
    return 1 if counts["not ok"] else 0


base.main(main)

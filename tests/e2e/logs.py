"""Crashes of the hypervisor made on purpose, and what tools/logdecode makes of their records.

SPDX-License-Identifier: MIT
"""
import re
import shutil
import subprocess

from common import Failed, Skipped, check
from live import live_machine

# What debug/testpanic.c does: the truth. Functions from the innermost on, repeats left out.
TRUTH = {
    "PANIC": ("no exception", ["testpanic"]),
    "RDMSR": ("#GP, general protection: RDMSR 0x491: IA32_VMX_VMFUNC doesn't exist on this CPU",
              ["hw_rdmsr", "testpanic_read_one", "testpanic_read_all", "testpanic_rdmsr",
               "testpanic"]),
    "STACK_OVERFLOW": ("#DF, double fault: stack overflow: CPU 0's main stack is full",
                       ["testpanic_recurse", "testpanic"]),
    "ASSERTION": ("assertion failed: kind != TESTPANIC_ASSERTION",
                  ["testpanic_assertion", "testpanic"]),
    "NULL_POINTER": ("#PF, page fault: write to 0x10, a null pointer's neighbourhood",
                     ["testpanic_null_pointer", "testpanic"]),
    "WRMSR": ("#GP, general protection: WRMSR 0xc0010117: AMD_VM_HSAVE_PA doesn't exist",
              ["hw_wrmsr", "testpanic_write_one", "testpanic_wrmsr", "testpanic"]),
}
OUTER = ("exit_hypercall", "guest_loop")
FRAME = re.compile(r"^  (?:#\d+ +(sure|likely|maybe) +| {11})(\w+)(?:[+. ]|$)", re.M)


def logdecode(machines, log, status=0):
    program = machines.build / "tools" / "logdecode"
    if not program.exists():
        raise Skipped(f"there is no {program} (it needs libdw-dev)")
    done = subprocess.run([program, "--images", machines.build], input=log, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    text = done.stdout.decode() + done.stderr.decode()
    check(done.returncode == status, f"logdecode's status is {done.returncode}:\n{text}")
    return text


def judge(kind, text):
    """Compare one decoded record with the truth; return the number of frames."""
    words, inner = TRUTH[kind]
    check(words in text, f"{kind}: not \"{words}\" in:\n{text}")
    check("DAMAGED" not in text, f"{kind}: damaged:\n{text}")
    found = FRAME.findall(text)
    names = [name for index, (_, name) in enumerate(found)
             if index == 0 or name != found[index - 1][1]]
    check(names[:len(inner)] == inner, f"{kind}: the stack is {names}, not {inner}:\n{text}")
    rest = names[len(inner):]
    check([name for name in rest if name in OUTER] == list(OUTER),
          f"{kind}: {OUTER} are not in this order in {rest}")
    # Behind guest_loop comes a call by pointer, which without optimisation is a guess.
    known = [sure for sure, _ in found[:[name for _, name in found].index(OUTER[-1])]]
    check("maybe" not in known, f"{kind}: a frame is only a guess:\n{text}")
    return len(found)


def crash(machine, machines, kind):
    """Crash a machine that is ready, boot it again, and judge both forms of the record."""
    start = len((machine.folder / "serial.log").read_bytes())
    # Always on CPU 0, for the words on its stack.
    machine.send_last(f"taskset 1 hvpanic {kind}")
    machine.stopped()
    machine.boot_again()
    machine.ready()
    text = logdecode(machines, (machine.folder / "serial.log").read_bytes()[start:])
    records = text.split("\nrecord ")
    check(len(records) == 3, f"{kind}: {len(records) - 1} records, not 2:\n{text}")
    check(re.search(r"^  CPU 1: stopped", records[1], re.M),
          f"{kind}: nothing of the other CPU:\n{text}")
    check("a guest could have written this" in records[1], f"{kind}: not marked:\n{text}")
    check("by the boot after it" in records[2] and "says the same as record 1" in records[2],
          f"{kind}: the next boot's record differs:\n{text}")
    return judge(kind, records[1])


def test_logdecode(machines):
    """Stacks of crashes on purpose, as logdecode gives them, are the true ones."""
    # QEMU forgives that, Bochs' Intel CPU has the MSR
    kinds = [kind for kind in TRUTH if kind != "RDMSR"]
    frames = 0
    with live_machine(machines, adds=[machines.compile("hvpanic")],
                      hv_append="testpanic") as machine:
        machine.ready()
        for kind in kinds:
            frames += crash(machine, machines, kind)
        whole = (machine.folder / "serial.log").read_bytes()
    check(logdecode(machines, whole).count("\nrecord ") == 2 * len(kinds), "records got lost")
    nothing = logdecode(machines, b"\n".join(whole.split(b"\n")[:3]), status=1)
    check("no crash record" in nothing, nothing)
    return (f"{', '.join(kinds)}: {frames} frames are as the source has them, and the next boot "
            f"agrees")


def test_logdecode_rdmsr(machines):
    """A bad RDMSR in inlined functions, on an emulator that answers it with #GP."""
    if not shutil.which("bochs"):
        raise Skipped("Bochs is not installed (apt-get install bochs bochsbios vgabios)")
    run = machines.run(["hvpanic", "RDMSR"], "--bench", "vmx", "--cpu-model", "zambezi", "--cpus",
                       "1", "--hv-append", "testpanic", adds=[machines.compile("hvpanic")])
    if "PANIC:" not in run.log:
        raise Failed(f"status {run.status}: {run.complaint}")
    frames = judge("RDMSR", logdecode(machines, run.log.encode()))
    return f"RDMSR 0x491 was explained, and {frames} frames are as the source has them"


BASIC = (test_logdecode,)
MORE = (test_logdecode_rdmsr,)

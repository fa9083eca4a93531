"""Attacks on PALs and on their callers, by the programs of tests/attack.

SPDX-License-Identifier: MIT

Each program names the line of notes/threat-model.md that it defends. They print "ok N - what" lines
and end with "1..N", like those of tests/e2e/pal.
"""
import re

from common import check
from pals import counted

LIMIT = 900  # seconds, several times what an idle host takes


def attack(machines, programs, *options):
    """Run programs, with their arguments, one after the other in one guest; count the checks."""
    script = "".join(f"echo @@ {line.split()[0]}; {line}; echo @@ end $?; " for line in programs)
    names = sorted({line.split()[0] for line in programs})
    run = machines.run(["sh", "-c", script + "echo; dmesg -r"], "--timeout", str(LIMIT), *options,
                       adds=[machines.attack(name) for name in names])
    run.ended_well()
    parts = re.findall(r"^@@ (\w+)\n(.*?)^@@ end (\d+)$", run.text(), re.M | re.S)
    check(len(parts) == len(programs), f"only {len(parts)} programs ran:\n{run.text()[-2000:]}")
    total = 0
    for name, output, status in parts:
        total += counted(output, name)
        check(status == "0", f"{name} ended with status {status}:\n{output[-2000:]}")
    return total


def test_pal_registers(machines):
    """No register of PAL or caller is seen by the other: x87, SSE, AVX, selectors, flags."""
    made = attack(machines, ["pal_regs", "pal_regs32"])
    return f"{made} checks of what is in registers at entry, interrupts, returns and deaths"


def test_pal_registers_32(machines):
    """The same on a 32-bit kernel, with PAE and without."""
    made = sum(attack(machines, ["pal_regs32"], "--kernel", kernel) for kernel in ("686-pae", "686"))
    return f"{made} checks"


def test_pal_registers_wide(machines):
    """The same with AVX-512, on Bochs' Skylake-X."""
    made = attack(machines, ["pal_regs"], "--bench", "vmx", "--kernel", "cloud-amd64", "--cpu-model",
                  "corei7_skylake_x")
    return f"{made} checks"


BASIC = (test_pal_registers,)
MORE = (test_pal_registers_32, test_pal_registers_wide)

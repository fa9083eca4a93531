"""Secure Boot: who may start xmhf.efi, and whom it may start.

SPDX-License-Identifier: MIT
"""
import re

from common import check
import pals
from efi import PROBE, EfiMachine
from xmhftools import uefi


def refused(machine, log, name):
    """The firmware refused this file."""
    path = re.escape(uefi.efi_path(name))
    check(re.search(rf"BdsDxe: failed to load .*{path}: Access Denied", log),
          f"{name} was not refused:\n{machine.tail()}")


def test_secure_unsigned(machines):
    """The firmware refuses xmhf.efi without a signature, and starts its next entry."""
    with EfiMachine(machines, boot="uefi-secure", sign=lambda name: name == PROBE,
                    options=[("next", PROBE, "off")]) as machine:
        refused(machine, machine.wait_end(), uefi.XMHF)
        check(machine.lines()[0].startswith("probe started, under XMHF 0"), machine.tail())
    return "unsigned, it is refused by the firmware"


def test_secure_db(machines):
    """Signed with a key in db it starts; what weakens protection and an unsigned loader don't."""
    with EfiMachine(machines, boot="uefi-secure", hv_append="testpanic",
                    words="mp vars off") as machine:
        log = machine.wait_end()
        check(machine.lines()[0].startswith("probe started, under XMHF 1"), log)
    check(re.search(r"option refused: testpanic ", log), f"the option isn't refused:\n{log}")
    with EfiMachine(machines, boot="uefi-secure", words="off", options=[("next", PROBE, "off")],
                    sign=lambda name: name in (uefi.XMHF, PROBE)) as machine:
        log = machine.wait_end()
    check(re.search(r"vmlinuz can't be started: ", log), f"an unsigned loader was started:\n{log}")
    return ("signed, it starts; testpanic is refused by name, an unsigned loader is not started "
            "and the firmware's next entry is")


def linux(machines, way, *options):
    """Linux under Secure Boot, with PALs."""
    run = machines.run(["sh", "-c", "dmesg | grep secureboot; echo @@ pal_test; pal_test 20; "
                        "echo @@ end $?"], "--boot", way, *options,
                       adds=[machines.pal_test("pal_test")]).ended_well()
    run.logged(r"^\[xmhf[^\]]*\] up on 2 CPU")
    check("Secure boot enabled" in run.text(), run.text())
    (name, output, status), = pals.parts_of(run, ["pal_test"])
    check(status == 0, output)
    return pals.counted(output, name)


def test_secure_linux(machines):
    """xmhf.efi and a kernel signed by db, PALs in it."""
    return f"Linux with Secure Boot on, {linux(machines, 'uefi-secure')} checks of PALs"


def test_secure_shim(machines):
    """shim starts what the machine's owner signed; Debian's signed GRUB and kernel behind it."""
    made = linux(machines, "uefi-shim")
    return f"firmware, shim, xmhf.efi by MOK, Debian's GRUB and kernel; {made} checks of PALs"


def test_secure_shim_unknown(machines):
    """shim refuses xmhf.efi without the owner's signature."""
    with EfiMachine(machines, boot="uefi-shim", sign=lambda name: False) as machine:
        machine.wait_log(r"Security Violation|Verification failed|Access Denied", 90)
        check("[xmhf]" not in machine.log(), machine.tail())
    return "unsigned, shim refuses it"


def test_secure_smm(machines):
    """OVMF's build that needs SMM: SMIs come while the guest runs."""
    made = linux(machines, "uefi-smm", "--module", "efivarfs")
    return f"variables in SMM, Secure Boot on; {made} checks of PALs"


BASIC = (test_secure_unsigned, test_secure_db)
MORE = (test_secure_linux, test_secure_shim, test_secure_shim_unknown,
        test_secure_smm)

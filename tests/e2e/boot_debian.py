"""A whole Debian behind xmhf.efi: its own kernel, initrd, root file system and boot loaders.

SPDX-License-Identifier: MIT
"""
import re

from common import check, warnings
import pals
from efi import NO_NEXT, EfiMachine
from xmhftools import debiandisk, efidisk, uefi

# What the system runs at the end of its start, by systemd; the second serial port hears it.
SCRIPT = """\
exec >/dev/ttyS1 2>&1
echo "@@ start"; nproc; uname -r; cat /etc/debian_version
echo @@ pal_test; /mnt/pal_test 20; echo @@ end $?
echo "variables $(efivar -l | wc -l)"; findmnt -n -o SOURCE,FSTYPE /
dmesg -r
echo "@@ done"
systemctl poweroff
"""
MINUTES = 10


def debian(machines, loader, hypervisor=True, boot="uefi"):
    """What the script said. The firmware's next entry is Debian's loader on Debian's own disk."""
    disk = debiandisk.image()
    script = machines.scratch / debiandisk.SCRIPT
    script.write_text(SCRIPT, encoding="ascii")
    entry = uefi.option("debian", efidisk.partition_of(disk), f"EFI/debian/{loader}")
    # Without the hypervisor it is the probe that is first, and fails: then Debian's turn comes.
    with EfiMachine(machines, "return=1", conf=NO_NEXT, options=[entry], hypervisor=hypervisor,
                    mem=1024, boot=boot,
                    more=[(debiandisk.SCRIPT, script),
                          ("pal_test", machines.pal_test("pal_test"))],
                    qemu_args=("-drive", f"file={disk},format=raw,if=none,id=debian,snapshot=on",
                               "-device", "virtio-blk-pci,drive=debian")) as machine:
        machine.wait_end(60 * MINUTES)
        text = (machine.folder / "output").read_bytes().decode(errors="replace")
        return text.replace("\r", ""), machine.log()


def check_debian(text, log):
    """How many checks of PALs were made in it."""
    check("@@ done" in text, f"the system didn't come so far:\n{text[-1500:]}\n{log[-1500:]}")
    check(re.search(r"^\[xmhf[^\]]*\] up on 2 CPU", log, re.M), f"no hypervisor:\n{log[:3000]}")
    output, status = re.search(r"^@@ pal_test\n(.*?)^@@ end (\d+)$", text, re.M | re.S).groups()
    check(status == "0", f"pal_test ended with {status}:\n{output[-1500:]}")
    return pals.counted(output, "pal_test")


def test_debian(machines):
    """xmhf.efi, Debian's GRUB by the next boot entry, an installed Debian; beside the control."""
    bare, _ = debian(machines, "grubx64.efi", hypervisor=False)
    text, log = debian(machines, "grubx64.efi")
    made = check_debian(text, log)
    for what in (r"^variables \d+$", r"^\d+\n6\.\d+.*$", r"^/dev/\S+ +ext4$"):
        seen = [re.search(what, part, re.M) for part in (bare, text)]
        check(all(seen) and seen[0].group() == seen[1].group(), f"{what}: {seen}")
    new = warnings(text) - warnings(bare)
    check(not new, "new kernel warnings:\n  " + "\n  ".join(sorted(new)))
    return f"an installed Debian starts by its GRUB, with {made} checks of PALs; dmesg as bare"


def test_debian_secure(machines):
    """The same with Secure Boot: shim, xmhf.efi by MOK, shim again, Debian's signed chain."""
    made = check_debian(*debian(machines, "shimx64.efi", boot="uefi-shim"))
    return f"Secure Boot on all the way into an installed Debian, {made} checks of PALs"


BASIC = ()
MORE = (test_debian, test_debian_secure)

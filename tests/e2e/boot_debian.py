"""A whole Debian behind xmhf.efi: its own kernel, initrd, root file system and boot loaders.

SPDX-License-Identifier: MIT
"""
import re

from common import Failed, check, warnings
import grub_efi
import pals
from efi import NO_NEXT, EfiMachine, newly_reserved, pages_of
from xmhftools import debiandisk, efidisk, uefi

PORT = "exec >/dev/ttyS1 2>&1\n"  # the test hears it
# What the system runs at the end of its start, by systemd.
SCRIPT = """\
echo "@@ start"; nproc; uname -r; cat /etc/debian_version
echo @@ pal_test; /mnt/pal_test 20; echo @@ end $?
echo "variables $(efivar -l | wc -l)"; findmnt -n -o SOURCE,FSTYPE /
dmesg -r
echo "@@ done"
systemctl poweroff
"""
# Before that: where the variable isn't there yet, write it and start once more.
AGAIN = f"""\
cd /sys/firmware/efi/efivars
if ! [ -e {grub_efi.VARIABLE} ]; then
    printf '\\007\\000\\000\\000kept' >{grub_efi.VARIABLE} && sync
    echo "@@ written $?"; systemctl reboot; exit
fi
echo "@@ read $(tail -c 4 {grub_efi.VARIABLE})"
"""
MINUTES = 9


def debian(machines, loader, hypervisor=True, boot="uefi", cpus=2, before=""):
    """What the scripts said, and the log. The firmware's next entry is Debian's loader on Debian's
    own disk."""
    disk = debiandisk.image()
    script = machines.scratch / debiandisk.SCRIPT
    script.write_text(PORT + before + SCRIPT, encoding="ascii")
    entry = uefi.option("debian", efidisk.partition_of(disk), f"EFI/debian/{loader}")
    # Without the hypervisor it is the probe that is first, and fails: then Debian's turn comes.
    with EfiMachine(machines, "return=1", conf=NO_NEXT, options=[entry], hypervisor=hypervisor,
                    mem=1024, boot=boot, smp=str(cpus),
                    more=[(debiandisk.SCRIPT, script),
                          ("pal_test", machines.pal_test("pal_test"))],
                    qemu_args=("-drive", f"file={disk},format=raw,if=none,id=debian,snapshot=on",
                               "-device", "virtio-blk-pci,drive=debian")) as machine:
        if before == AGAIN:
            reason = machine.stopped(60 * MINUTES)
            check(reason == "guest-reset", f"the machine ended with {reason}:\n{machine.tail()}")
            machine.boot_again()
        machine.wait_end(60 * MINUTES)
        text = (machine.folder / "output").read_bytes().decode(errors="replace")
        return text.replace("\r", ""), machine.log()


def e820(text):
    """{page's address: kind} of what Linux says the memory is, which its EFI stub or GRUB made of
    the firmware's map."""
    found = {}
    for first, last, kind in re.findall(
            r"BIOS-e820: \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\] (.*)$", text, re.M):
        found.update(dict.fromkeys(pages_of(first, last), kind))
    check(len(found) > 1000, f"no memory map:\n{text[:1500]}")
    return found


def check_debian(text, log, cpus=2):
    """How many checks of PALs were made in it."""
    check("@@ done" in text, f"the system didn't come so far:\n{text[-1500:]}\n{log[-1500:]}")
    check(re.search(rf"^\[xmhf[^\]]*\] up on {cpus} CPU", log, re.M),
          f"no hypervisor:\n{log[:3000]}")
    check(f"@@ start\n{cpus}\n" in text, f"not {cpus} CPUs:\n{text[:500]}")
    output, status = re.search(r"^@@ pal_test\n(.*?)^@@ end (\d+)$", text, re.M | re.S).groups()
    check(status == "0", f"pal_test ended with {status}:\n{output[-1500:]}")
    return pals.counted(output, "pal_test")


def compared(machines):
    """What Debian said bare and as a guest. A busy host makes the kernel complain now and then;
    what the hypervisor causes is there every time, and only with it."""
    guest, control = None, set()
    for _ in range(3):
        bare, _ = debian(machines, "grubx64.efi", hypervisor=False)
        text, log = debian(machines, "grubx64.efi")
        control |= warnings(bare)
        guest = warnings(text) if guest is None else guest & warnings(text)
        if guest <= control:
            return bare, text, log
    raise Failed("new kernel warnings:\n  " + "\n  ".join(sorted(guest - control)))


def test_debian(machines):
    """xmhf.efi, Debian's GRUB by the next boot entry, an installed Debian; beside the control."""
    bare, text, log = compared(machines)
    made = check_debian(text, log)
    for what in (r"^variables \d+$", r"^\d+\n6\.\d+.*$", r"^/dev/\S+ +ext4$"):
        seen = [re.search(what, part, re.M) for part in (bare, text)]
        check(all(seen) and seen[0].group() == seen[1].group(), f"{what}: {seen}")
    taken = newly_reserved(e820(bare), e820(text), ("usable", "reserved"))
    return (f"an installed Debian starts by its GRUB, with {made} checks of PALs; dmesg as bare, "
            f"the memory map too but for {taken} pages reserved")


def test_debian_1(machines):
    """The same with 1 CPU; a variable that it writes is there after its own reboot."""
    text, log = debian(machines, "grubx64.efi", cpus=1, before=AGAIN)
    made = check_debian(text, log, 1)
    check("@@ written 0" in text and "@@ read kept" in text, text[:500])
    starts = len(re.findall(r"^\[xmhf[^\]]*\] up on 1 CPU", log, re.M))
    check(starts == 2, f"the hypervisor was started {starts} times, not 2")
    return f"Debian reboots, and reads the variable that it wrote; {made} checks of PALs"


def test_debian_4(machines):
    """The same with 4 CPUs."""
    made = check_debian(*debian(machines, "grubx64.efi", cpus=4), 4)
    return f"an installed Debian on 4 CPUs, with {made} checks of PALs"


def test_debian_secure(machines):
    """The same with Secure Boot: shim, xmhf.efi by MOK, shim again, Debian's signed chain."""
    made = check_debian(*debian(machines, "shimx64.efi", boot="uefi-shim"))
    return f"Secure Boot on all the way into an installed Debian, {made} checks of PALs"


BASIC = ()
MORE = (test_debian, test_debian_1, test_debian_4, test_debian_secure)

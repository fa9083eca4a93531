"""UEFI firmware starts GRUB, GRUB the hypervisor with a kernel by multiboot 2.

SPDX-License-Identifier: MIT
"""
import pathlib
import re
import shutil
import tempfile
import time

from common import E2E, SOURCE, check
from live import live_machine
import pals
from xmhftools import base, bench, grubimage, qemu, uefi

MODULES = ("--module", "efivarfs")
VARIABLE = "XmhfTest-5f6a3c1e-1d0b-4c55-9a57-3d2e8f6b7a10"  # under no GUID of the firmware

# What firmware offers a guest: kept memory, variables, one written and read again.
SCRIPT = f"""nproc
cd /sys/firmware/efi/runtime-map && for e in *; do
    echo "runtime $(cat $e/type) $(cat $e/phys_addr) $(cat $e/num_pages)"
done
cat /sys/firmware/efi/fw_platform_size | sed 's/^/bits /'
mount -t efivarfs none /sys/firmware/efi/efivars && cd /sys/firmware/efi/efivars || exit 1
ls | sed 's/^/variable /'
printf '\\007\\000\\000\\000hello' >{VARIABLE} && sync && echo "read $(tail -c 5 {VARIABLE})"
dmesg | sed -n 's/^.*efi: mem/efi-map mem/p; s/^.*efifb: mode is/picture/p'
grep -v '^ ' /proc/iomem | sed 's/^/iomem /'
"""


def boot(machines, cpus, hypervisor=True, way="uefi-grub", options=()):
    """A run of the script, under the hypervisor after PALs."""
    script = ("echo @@ pal_test; pal_test 20; echo @@ end $?; " if hypervisor else "") + SCRIPT
    return machines.run(["sh", "-c", script], "--boot", way, "--cpus", str(cpus),
                        "--append", "efi=debug", *MODULES, *options, hypervisor=hypervisor,
                        adds=[machines.pal_test("pal_test")]).ended_well()


def lines(run, word):
    """What stands behind the word that begins a line, in each of them."""
    return re.findall(rf"^{word} (.*)$", run.text(), re.M)


def protected_range(run):
    """(first byte, byte behind) of it, by the log."""
    found = run.logged(r"protected range: (\d+) KiB at (0x[0-9a-f]+)")
    start = int(found.group(2), 16)
    return start, start + 1024 * int(found.group(1))


def check_maps(run):
    """Neither map says that memory of ours is free; both have it as reserved."""
    start, end = protected_range(run)
    seen = {"efi-map": [], "iomem": []}
    for kind, first, last in re.findall(
            r"^efi-map mem\d+: \[([^|]*?) *\|.*range=\[(0x[0-9a-f]+)-(0x[0-9a-f]+)\]", run.text(),
            re.M):
        if int(first, 16) < end and int(last, 16) >= start:
            seen["efi-map"].append((kind, int(first, 16), int(last, 16) + 1))
    for first, last, kind in re.findall(r"^iomem ([0-9a-f]+)-([0-9a-f]+) : (.*)$", run.text(),
                                        re.M):
        if int(first, 16) < end and int(last, 16) >= start:
            seen["iomem"].append((kind, int(first, 16), int(last, 16) + 1))
    for name, found in seen.items():
        check(found == [("Reserved", start, end)], f"{name} has {found} at {start:#x}-{end:#x}")


def boot_all(machines, cpus):
    """Linux has the firmware's services as without us, and none of our memory; PALs work."""
    bare, run = boot(machines, cpus, False), boot(machines, cpus)
    run.logged(rf"^\[xmhf[^\]]*\] up on {cpus} CPU")
    (name, output, status), = pals.parts_of(run, ["pal_test"])
    check(status == 0, f"{name} ended with status {status}:\n{output}")
    made = pals.counted(output, name)
    for what in ("runtime", "bits", "variable", "read", "picture"):
        check(lines(run, what) == lines(bare, what) != [],
              f"{what}: {lines(run, what)}\nwithout us {lines(bare, what)}")
    check(f"\n{cpus}\n" in f"\n{run.text()}", f"not {cpus} CPUs:\n{run.text()[-500:]}")
    check(lines(run, "read") == ["hello"], f"the variable reads {lines(run, 'read')}")
    check_maps(run)
    return (f"OVMF and GRUB, {cpus} CPUs: {made} checks of PALs; {len(lines(run, 'runtime'))} "
            f"ranges of runtime services, {len(lines(run, 'variable'))} variables and the picture "
            "are as bare, one more variable is kept; EFI's map and Linux' have our range reserved")


def test_grub_efi(machines):
    """GRUB EFI, 2 CPUs: PALs, UEFI's memory and variables, beside the control run."""
    return boot_all(machines, 2)


def test_grub_efi_1(machines):
    """The same with 1 CPU."""
    return boot_all(machines, 1)


def test_grub_efi_4(machines):
    """The same with 4 CPUs."""
    return boot_all(machines, 4)


def font():
    """{rows of dots: character}, as lib/util/picture.c draws them."""
    text = (SOURCE / "lib/util/picture.c").read_text(encoding="ascii")
    return {tuple(int(row, 16) for row in rows.split(", ")): char[-1] for char, rows in
            re.findall(r"\['(\\?.)' - ' '\] = \{ (0x[0-9a-fx, ]+) \},", text)}


def picture_text(machine):
    """The lines that are drawn on OVMF's screen."""
    base, width, height, scale = 0x80000000, 1280, 800, 2
    letters = font()
    check(len(letters) == 95, f"the font has {len(letters)} characters")
    with machine.dump(base, width * height * 4) as data:
        pixels = bytes(data)

    def dot(x, y):
        at = 4 * (y * scale * width + x * scale)
        return pixels[at:at + 3] == b"\xff\xff\xff"

    def cell(column, row):
        rows = tuple(sum(dot(column * 6 + x, row * 9 + y) << 4 - x for x in range(5))
                     for y in range(7))
        return letters.get(rows, "\0")
    return ["".join(cell(column, row) for column in range(width // scale // 6)).rstrip()
            for row in range(height // scale // 9)]


def test_grub_efi_refused(machines):
    """What refuses the launch is drawn into the picture that GRUB has left."""
    with live_machine(machines, guest=E2E / "grub_efi.py", boot="uefi-grub",
                      hv_append="frob=1") as machine:
        machine.wait_log(r"launch refused", 120)
        time.sleep(0.5)  # that line's end
        logged = [line for line in machine.log().split("\n") if line.startswith("[xmhf]")]
        shown = picture_text(machine)
    wrong = [line for line in logged if "not understood" in line or "cannot start" in line
             or "refused" in line]
    check(len(wrong) == 3 and shown[:3] == wrong, f"the picture has\n{shown[:6]}\nnot\n{wrong}")
    return f"all {len(wrong)} lines from \"{wrong[0]}\" to \"{wrong[-1]}\" are in the picture"


def test_grub_efi_mb1(machines):
    """By multiboot 1 nobody tells where UEFI has its tables: refused, with what to do."""
    with tempfile.TemporaryDirectory(dir=machines.scratch) as name:
        folder = pathlib.Path(name)
        guest = E2E / "grub_efi.py"  # nobody reads it
        grubimage.make(folder / "boot.iso", guest, guest, hypervisor=machines.build / "xmhf.elf",
                       default="grub-mb1", platform=grubimage.EFI)
        shutil.copyfile(uefi.ovmf() / uefi.PLAIN.variables, folder / uefi.VARIABLES)
        process = bench.spawn([
            base.need("qemu-system-x86_64", "qemu-system-x86"), "-accel", "tcg", "-cpu",
            qemu.cpu_option(None), "-m", "256", "-display", "none", "-nic", "none", "-no-reboot",
            "-monitor", "none", "-serial", "file:serial.log", *uefi.flash(uefi.PLAIN),
            "-cdrom", "boot.iso"], folder)
        limit, text = bench.Deadline(process, 90), ""
        try:
            while "launch refused" not in text and not limit.over():
                time.sleep(0.5)
                log = folder / "serial.log"
                text = log.read_bytes().decode(errors="replace") if log.exists() else ""
        finally:
            bench.stop(process)
    check("if UEFI firmware started the machine: use multiboot2" in text
          and "launch refused" in text, f"the serial log ends with\n{text[-1500:]}")
    return "OVMF and GRUB by multiboot 1: refused, and multiboot2 is named"


BASIC = (test_grub_efi,)
MORE = (test_grub_efi_1, test_grub_efi_4, test_grub_efi_refused, test_grub_efi_mb1)

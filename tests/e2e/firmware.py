"""What firmware and loaders do: refusals on the screen, UEFI.

SPDX-License-Identifier: MIT
"""
import pathlib
import shutil
import tempfile
import time

from common import E2E, check
from guests import vga_text
from live import live_machine
from xmhftools import base, bench, debian, grubimage, qemu


def test_refusal_screen(machines):
    """What refuses the launch is on the screen too, line by line."""
    with live_machine(machines, guest=E2E / "firmware.py", hv_append="frob=1 cpus=0") as machine:
        machine.wait_log(r"launch refused", 60)
        logged = [line for line in machine.log().split("\n") if line.startswith("[xmhf]")]
        shown = vga_text(machine).split("\n")
    wrong = [line for line in logged if "not understood" in line or "cannot start" in line or "refused" in line]
    check(len(wrong) == 4, f"the log has\n{logged}")
    check([line[:80] for line in wrong] == [line for line in shown if line.startswith("[xmhf]")],
          f"the screen shows:\n{shown}\nthe log has\n{wrong}")
    return f"all {len(wrong)} lines from \"{wrong[0]}\" to \"{wrong[-1]}\" are on the screen"


def uefi(machines, entry):
    """The serial log of a machine that UEFI firmware and GRUB start."""
    firmware = debian.package_dir("ovmf") / "usr/share/OVMF"
    platform = debian.package_dir("grub-efi-amd64-bin") / "usr/lib/grub/x86_64-efi"
    with tempfile.TemporaryDirectory(dir=machines.scratch) as name:
        folder = pathlib.Path(name)
        guest = E2E / "firmware.py"  # nobody reads it
        grubimage.make(folder / "boot.iso", guest, guest, hypervisor=machines.build / "xmhf.elf",
                       default=entry, platform=platform)
        shutil.copyfile(firmware / "OVMF_VARS_4M.fd", folder / "vars.fd")
        drive = "if=pflash,format=raw"
        process = bench.spawn([
            base.need("qemu-system-x86_64", "qemu-system-x86"), "-accel", "tcg", "-cpu", qemu.cpu_option(None),
            "-m", "256", "-display", "none", "-nic", "none", "-no-reboot", "-monitor", "none",
            "-serial", "file:serial.log", "-drive", f"{drive},readonly=on,file={firmware}/OVMF_CODE_4M.fd",
            "-drive", f"{drive},file=vars.fd", "-cdrom", "boot.iso"], folder)
        end, text = time.monotonic() + 90, ""
        try:
            while text.count("refused") < (2 if entry == "grub-mb2" else 1) and time.monotonic() < end:
                time.sleep(0.5)
                log = folder / "serial.log"
                text = log.read_bytes().decode(errors="replace") if log.exists() else ""
        finally:
            bench.stop(process)
    return text


def test_uefi(machines):
    """Started by UEFI firmware: refused by that name, by multiboot 1 and 2."""
    text = uefi(machines, "grub-mb2")
    # Once by our UART, and once more by the firmware, whose console this machine's UART is too.
    check(text.count("started by UEFI firmware, which is not supported yet") == 2
          and text.count("launch refused") == 2, f"multiboot 2: the serial log ends with\n{text[-1500:]}")
    text = uefi(machines, "grub-mb1")
    check("started by UEFI firmware: that is not supported yet" in text and "launch refused" in text,
          f"multiboot 1: the serial log ends with\n{text[-1500:]}")
    return "OVMF and GRUB: refused by name, by multiboot 2 on the firmware's console too"


BASIC = (test_refusal_screen,)
MORE = (test_uefi,)

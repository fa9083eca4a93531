"""Makes a GRUB ISO image that starts the hypervisor with a Linux kernel as its guest.

SPDX-License-Identifier: MIT
"""
import os
import pathlib
import shlex
import shutil
import tempfile

from . import binaries
from .base import ToolError, need, run

# GRUB's modules, with the package that has them.
BIOS, EFI = "/usr/lib/grub/i386-pc", "/usr/lib/grub/x86_64-efi"
_PACKAGES = {BIOS: "grub-pc-bin", EFI: "grub-efi-amd64-bin"}
ENTRIES = ("grub-mb1", "grub-mb2", "linux")  # the menu's entries, by their --id

_HEAD = """\
set timeout=0
set default={default}
serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial
"""

# GRUB leaves the file's name out of the command lines that it passes on; QEMU's
# loader puts it first. The hypervisor tells the two apart.
_HYPERVISOR = """\
menuentry "xmhf ({label})" --id {id} {{
    {multiboot} /boot/xmhf.elf {hv_append}
    {module} /boot/vmlinuz {append}
{initrd}}}
"""

_LINUX = """\
menuentry "Linux without the hypervisor" --id linux {{
    linux /boot/vmlinuz {append}
    initrd /boot/initrd.gz
}}
"""


def signature(acpi_table):
    """The four letters that an ACPI table begins with."""
    data = binaries.read(acpi_table)
    # Signature and length, ACPI 6.5, 5.2.6. What else may be wrong in it is what one wants to try.
    length = int.from_bytes(data[4:8], "little")
    if len(data) < 36 or not data[:4].isalnum() or not 36 <= length <= len(data):
        raise ToolError(f"{acpi_table} is no ACPI table ({binaries.describe(data)})")
    return data[:4].decode("ascii")


def _words(text):
    """Quote each word so that GRUB's own syntax ($, {, ;) means nothing in it."""
    return " ".join(shlex.quote(word) for word in text.split())


def _config(default, append, hv_append, hypervisor, acpi_table=None, initrd=True, platform=BIOS):
    text = _HEAD.format(default=default)
    if platform == EFI:  # with a picture on the screen, as Debian's own menu has it
        text += "insmod efi_gop\n"
    if acpi_table:
        text += f"acpi --exclude={signature(acpi_table)} /boot/table.aml\n"
    if hypervisor:
        for ident, number, label in (("grub-mb1", "", "multiboot 1"),
                                     ("grub-mb2", "2", "multiboot 2")):
            text += _HYPERVISOR.format(id=ident, label=label, multiboot=f"multiboot{number}",
                                       module=f"module{number}", append=_words(append),
                                       initrd=f"\tmodule{number} /boot/initrd.gz\n" if initrd
                                       else "",
                                       hv_append=_words(hv_append))
    return text + _LINUX.format(append=_words(append))


def make(output, kernel, initrd, append="", hypervisor=None, hv_append="", default="grub-mb2",
         acpi_table=None, platform=BIOS):
    """Write the ISO; without a hypervisor image only the plain Linux entry is made. GRUB puts the
    ACPI table, a file, in the place of the firmware's of the same signature. `initrd`: None for a
    guest
    that has none. `platform`: BIOS or EFI."""
    if default not in ENTRIES:
        raise ToolError(f"unknown menu entry {default}: one of {', '.join(ENTRIES)}")
    mkrescue = need("grub-mkrescue", "grub-common")
    need("xorriso", "xorriso")
    need("mformat", "mtools")
    if not pathlib.Path(platform).is_dir():
        raise ToolError(f"GRUB's modules are missing: run  apt-get install {_PACKAGES[platform]}")
    output = pathlib.Path(output).absolute()
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".iso-") as scratch:
        boot = pathlib.Path(scratch) / "tree" / "boot"
        (boot / "grub").mkdir(parents=True)
        shutil.copyfile(kernel, boot / "vmlinuz")
        if initrd:
            shutil.copyfile(initrd, boot / "initrd.gz")
        if hypervisor:
            shutil.copyfile(hypervisor, boot / "xmhf.elf")
        if acpi_table:
            shutil.copyfile(acpi_table, boot / "table.aml")
        (boot / "grub" / "grub.cfg").write_text(
            _config(default, append, hv_append, hypervisor, acpi_table, bool(initrd), platform),
            encoding="utf-8")
        image = pathlib.Path(scratch) / "image.iso"
        # Only one platform and few modules: a smaller image, made faster.
        run([mkrescue, "-d", platform, "-o", image, "--compress=no",
             "--install-modules=normal multiboot multiboot2 linux serial terminal iso9660 "
             "part_msdos acpi search test echo configfile reboot halt"
             + (" biosdisk" if platform == BIOS else " efi_gop"),
             "--fonts=", "--locales=", "--themes=", boot.parent], "make the GRUB image")
        os.replace(image, output)

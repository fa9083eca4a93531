"""Loaders between UEFI firmware, or xmhf.efi, and a Linux kernel: the files of each on a disk.

SPDX-License-Identifier: MIT
"""
import typing

from . import debian, diskimage
from .base import need, run

KERNEL, INITRD = "vmlinuz", "initrd.gz"


class Start(typing.NamedTuple):
    """What to start: its name on the disk, its command line, and (name, path) of all files."""
    name: str
    arguments: str
    files: list


def efi_path(name):
    """A file's name as EFI has it."""
    return "\\" + name.replace("/", "\\")


def _kernel_files(kernel, initrd):
    return [(KERNEL, kernel), *([(INITRD, initrd)] if initrd else [])]


def stub(_folder, kernel, initrd, arguments):
    """None: the kernel is an EFI application."""
    if initrd:
        arguments = f"initrd={efi_path(INITRD)} {arguments}".strip()
    return Start(KERNEL, arguments, _kernel_files(kernel, initrd))


def grub(folder, kernel, initrd, arguments):
    """Debian's GRUB, the signed one: shim takes it."""
    config = folder / "grub.cfg"
    config.write_text(diskimage.linux(KERNEL, arguments, INITRD if initrd else None) + "boot\n",
                      encoding="utf-8")
    program = debian.package_dir("grub-efi-amd64-signed") / (
        "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed")
    name = "EFI/debian/grubx64.efi"
    return Start(name, "", [*_kernel_files(kernel, initrd), (name, program),
                            ("EFI/debian/grub.cfg", config)])


def _systemd(name):
    return debian.package_dir("systemd-boot-efi") / "usr/lib/systemd/boot/efi" / name


def systemd_boot(folder, kernel, initrd, arguments):
    """systemd-boot with one entry."""
    config, entry = folder / "loader.conf", folder / "linux.conf"
    config.write_text("timeout 0\ndefault linux.conf\n", encoding="ascii")
    entry.write_text(f"title Linux\nlinux /{KERNEL}\noptions {arguments}\n"
                     + (f"initrd /{INITRD}\n" if initrd else ""), encoding="utf-8")
    name = "EFI/systemd/systemd-bootx64.efi"
    return Start(name, "", [*_kernel_files(kernel, initrd), (name, _systemd("systemd-bootx64.efi")),
                            ("loader/loader.conf", config), ("loader/entries/linux.conf", entry)])


def unified(folder, kernel, initrd, arguments):
    """A unified kernel image: kernel, initrd and command line in one file, by systemd's stub."""
    line, image = folder / "cmdline", folder / "linux.efi"
    line.write_text(arguments, encoding="utf-8")
    # Behind the stub's own sections, each at a place that leaves room for the one before.
    sections, at = [], 0x30000
    for name, path in ((".cmdline", line), (".linux", kernel), (".initrd", initrd)):
        if path:
            sections += ["--add-section", f"{name}={path}", "--change-section-vma",
                         f"{name}={at:#x}", "--set-section-flags", f"{name}=data,readonly"]
            at += -(-path.stat().st_size // 0x10000) * 0x10000
    run([need("objcopy", "build-essential"), *sections, _systemd("linuxx64.efi.stub"), image],
        "make a unified kernel image")
    name = "EFI/Linux/linux.efi"
    return Start(name, "", [(name, image)])


LOADERS = {"stub": stub, "grub": grub, "systemd-boot": systemd_boot, "unified": unified}

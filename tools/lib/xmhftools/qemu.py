"""The SVM bench, QEMU's TCG emulation of an AMD machine; and the same machine by KVM (kvm.py).

SPDX-License-Identifier: MIT
"""
import os
import random
import shutil
import typing

from . import grubimage, kvm, uefi
from .base import need

CPU_MODEL = "EPYC"
# SMAP and MONITOR are left out because TCG gets them wrong; VGIF it can do.
CPU_FLAGS = "+svm,+vgif,-smap,-monitor"

ROOT_IMAGE = "root.img"  # in the machine's folder
ROOT_MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")  # for a guest of Debian's


def cpu_option(model):
    """QEMU's -cpu value; a model with flags of its own is taken as it is."""
    model = model or CPU_MODEL
    return model if "," in model else f"{model},{CPU_FLAGS}"


def _by_kvm(args):
    return getattr(args, "bench", "svm") == "kvm"


def _accelerator(args):
    """What runs the machine's CPUs, and what CPUs they are."""
    if _by_kvm(args):
        return ["-accel", "kvm", "-cpu", kvm.cpu_option(args.cpu_model)]
    # Instruction counting works with one thread for all CPUs only. An idle guest's time passes
    # at once (sleep=off), so that no count depends on the host's clock.
    accel = (["-accel", "tcg", "-icount", "shift=0,sleep=off"] if args.icount
             else ["-accel", "tcg,thread=multi"])
    return [*accel, "-cpu", cpu_option(args.cpu_model)]


def _pinned(args):
    """The start of a command line that keeps the emulator on one of the host's cores.

    FLDENV, FXRSTOR and XRSTOR on any CPU read, change and write flags of CPU 0 in QEMU 7.2, not
    atomically; CPU 0 loses what it changes itself in that moment, such as whether nested paging
    is on. The change is one instruction of the host, so one core makes it atomic
    (notes/bugs/qemu-ferr-race.md).
    """
    if not getattr(args, "one_core", False) or _by_kvm(args):
        return []
    core = random.choice(sorted(os.sched_getaffinity(0)))
    return [need("taskset", "util-linux"), "-c", str(core)]


def _machine(args):
    line = [*_pinned(args), need("qemu-system-x86_64", "qemu-system-x86"), *_accelerator(args),
            "-smp", str(args.cpus), "-m", str(args.mem),
            "-display", "none", "-nic", "none", "-no-reboot", "-monitor", "none",
            "-serial", "file:serial.log", "-serial", "file:output"]
    if args.qmp:
        line += ["-qmp", f"unix:{args.qmp},server=on,wait=off"]
    if getattr(args, "root", None):  # what the guest writes is gone with the machine
        line += ["-drive", f"file={ROOT_IMAGE},format=raw,if=none,id=xmhf-root,snapshot=on",
                 "-device", "virtio-blk-pci,drive=xmhf-root,serial=xmhf-root"]
    return line + list(args.qemu_arg)


def _by_grub(args, files, folder):
    """GRUB on a CD, by multiboot 1 or 2."""
    default = args.boot if files.hypervisor else "linux"
    initrd = None if getattr(files, "no_initrd", False) else folder / "initrd.gz"
    grubimage.make(folder / "boot.iso", files.kernel, initrd, files.append,
                   files.hypervisor, args.hv_append, default,
                   getattr(args, "acpi_table", None))
    return ["-cdrom", "boot.iso", "-boot", "d"]


def _by_uefi_grub(args, files, folder):
    """The same by UEFI firmware: GRUB EFI on a CD, by multiboot 2."""
    initrd = None if getattr(files, "no_initrd", False) else folder / "initrd.gz"
    grubimage.make(folder / "boot.iso", files.kernel, initrd, files.append, files.hypervisor,
                   args.hv_append, "grub-mb2" if files.hypervisor else "linux",
                   getattr(args, "acpi_table", None), grubimage.EFI)
    shutil.copyfile(uefi.ovmf() / uefi.PLAIN.variables, folder / uefi.VARIABLES)
    return [*uefi.flash(uefi.PLAIN), "-cdrom", "boot.iso"]


def _by_emulator(args, files, folder):
    """The emulator's own loader, by multiboot 1."""
    # Names relative to the folder keep blanks and commas of its path out of
    # QEMU's module syntax, and the command lines the same on every machine.
    (folder / "vmlinuz").symlink_to(files.kernel)
    initrd = not getattr(files, "no_initrd", False)
    if not files.hypervisor:
        return (["-kernel", "vmlinuz", "-append", files.append]
                + (["-initrd", "initrd.gz"] if initrd else []))
    (folder / "xmhf.elf").symlink_to(files.hypervisor)
    module = f"vmlinuz {files.append}".replace(",", ",,")
    return ["-kernel", "xmhf.elf", "-append", args.hv_append,
            "-initrd", f"{module},initrd.gz" if initrd else module]


class BootWay(typing.NamedTuple):
    """A way to start the machine."""
    prepare: typing.Callable  # (args, files, folder): write there what the options returned name
    efi: bool = False         # the hypervisor is xmhf.efi, and the kernel an EFI application


BOOT_WAYS = {  # xmhf-run's --boot
    "kernel": BootWay(_by_emulator),
    "grub-mb1": BootWay(_by_grub),
    "grub-mb2": BootWay(_by_grub),
    "uefi-grub": BootWay(_by_uefi_grub),
    "uefi": BootWay(uefi.plain, efi=True),
    "uefi-secure": BootWay(uefi.secure, efi=True),
    "uefi-shim": BootWay(uefi.secure_shim, efi=True),
    "uefi-smm": BootWay(uefi.secure_smm, efi=True),
}


def command(args, files, folder):
    """The emulator's command line, to be run in the folder."""
    if getattr(args, "root", None):
        (folder / ROOT_IMAGE).symlink_to(args.root)
    return _machine(args) + BOOT_WAYS[args.boot].prepare(args, files, folder)

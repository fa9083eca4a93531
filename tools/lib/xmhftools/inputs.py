"""Numbers and files that users give to the tools: refused by name before anything is started.

SPDX-License-Identifier: MIT
"""
import argparse
import os
import pathlib
import shlex
import stat

from . import binaries
from .base import ToolError

SOURCE = pathlib.Path(__file__).resolve().parents[3]
SOCKET_PATH_MAX = 107  # bytes, of a Unix socket
# Of the images, or the other one, beside it in a build folder.
PARTS = {"xmhf-core.elf", "core.bin", "xmhf-boot.elf", "xmhf.elf", "xmhf.efi"}


def number(first, last, kind=int):
    """An argparse type: a number in a range, both ends in it."""
    what = "whole number" if kind is int else "number"

    def convert(text):
        try:
            value = kind(text)
        except (ValueError, OverflowError):
            value = None
        if value is None or not first <= value <= last:  # NaN is in no range
            raise argparse.ArgumentTypeError(f"{text!r} is no {what} from {first} to {last}")
        return value
    return convert


def in_range(option, value, first, last):
    """The same for a range that other options decide."""
    if not first <= value <= last:
        raise ToolError(f"{option} {value}: it is a number from {first} to {last} here")


def output_file(option, path):
    """Refuse a file that can't be written; leaves what is there as it is."""
    path = pathlib.Path(path)
    try:
        there = path.exists()
        if there and not (path.is_file() or stat.S_ISCHR(path.stat().st_mode)):
            raise ToolError(f"{option} {path}: it is {binaries.what_it_is_not(path)}: name a file")
        with open(path, "ab"):
            pass
        if not there:
            path.unlink()
    except OSError as problem:
        raise ToolError(f"{option} {path}: it can't be "
                        f"written: {problem.strerror}{_hint(path)}") from problem


def _hint(path):
    """What to do if it is the folder that is missing."""
    folder = path.absolute().parent
    return "" if folder.is_dir() else f" (there is no folder {folder}: make it, or name another)"


def socket_file(option, path):
    """Refuse a place where no socket can be made."""
    if len(os.fsencode(path)) > SOCKET_PATH_MAX:
        raise ToolError(f"{option} {path}: a socket's path has at most {SOCKET_PATH_MAX} bytes: "
                        "name a shorter one")
    folder = os.path.dirname(path)
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise ToolError(f"{option} {path}: no socket can be made there{_hint(pathlib.Path(path))}")
    if os.path.exists(path) and not stat.S_ISSOCK(os.stat(path).st_mode):
        raise ToolError(f"{option} {path}: something else is there: name another place")


def how_to_build(build, target=""):
    """The shell command that builds in this folder, from where that is now."""
    build, steps = pathlib.Path(build).absolute(), []
    if not (SOURCE / "configure").exists():
        steps.append(shlex.quote(str(SOURCE / "bootstrap")))
    if not build.is_dir():
        steps.append(f"mkdir -p {shlex.quote(str(build))}")
    steps.append(f"cd {shlex.quote(str(build))}")
    if not (build / "Makefile").exists():
        steps.append(shlex.quote(str(SOURCE / "configure")))
    steps.append(f"make -j{os.cpu_count() or 1} {target}".strip())
    return " && ".join(steps)


def hypervisor_image(explicit, build, efi=False):
    """Path of the hypervisor image, which must be one: for UEFI firmware, or by multiboot."""
    name, is_one = ("xmhf.efi", binaries.is_efi) if efi else ("xmhf.elf", binaries.is_multiboot)
    path = pathlib.Path(explicit or pathlib.Path(build) / name)
    if not path.exists():
        other = "" if explicit else "Or name one with --image, or use --no-hypervisor."
        raise ToolError(f"there is no hypervisor image {path}. Build it:\n  {how_to_build(build)}\n"
                        f"{other}".rstrip())
    data = binaries.read(path)
    if not is_one(data):
        hint = (f"{path.parent / name} is what boots" if path.name in PARTS - {name}
                else f"the build makes one, {name}: {how_to_build(build)}")
        raise ToolError(f"{path} is no hypervisor image ({binaries.describe(data)}): {hint}")
    return path.absolute()


def startable(path, is_one, what, advice):
    """Path of a file to start, which must be one; else {file} is {what} (...): {advice}."""
    data = binaries.read(path)
    if not is_one(data):
        raise ToolError(f"{path} is {what} ({binaries.describe(data)}): {advice}")
    return pathlib.Path(path).absolute()


def bzimage(path):
    """Path of a kernel file, which must be one by the Linux boot protocol."""
    return startable(path, binaries.is_bzimage, "no Linux kernel that can be booted, a bzImage",
                     "tools/fetch-kernel amd64 fetches one, in its folder as vmlinuz")


def efi_kernel(path):
    """Path of a file that UEFI firmware of 64 bits starts, which must be one."""
    return startable(path, binaries.is_efi, "nothing that 64-bit UEFI firmware starts",
                     "--boot uefi takes 64-bit kernels with an EFI stub, such as --kernel amd64")

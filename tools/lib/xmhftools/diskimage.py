"""Makes a bootable hard-disk image: GRUB, and a tar archive as its only partition.

SPDX-License-Identifier: MIT

No file system, no menu and none of GRUB's normal mode: quick to make and, where each
instruction is emulated, quick to start.
"""
import pathlib
import shlex
import struct
import tarfile
import tempfile

from .base import ToolError, need, run

_GRUB = pathlib.Path("/usr/lib/grub/i386-pc")
_MODULES = ("biosdisk", "part_msdos", "tar", "multiboot", "multiboot2", "linux", "boot")
_SECTOR = 512
_FIRST = 2048                  # the partition's first sector; before it is GRUB
_CYLINDER = 16 * 63 * _SECTOR  # heads, sectors per track, bytes: what Bochs' disks are counted in
_TABLE = 446                   # where the partition table is in the first sector


def words(text):
    """Quote each word so that GRUB's own syntax means nothing in it."""
    return " ".join(shlex.quote(word) for word in text.split())


def hypervisor(modules, hv_append="", number="2"):
    """GRUB commands that start xmhf.elf with these (file, arguments) by multiboot 1 or 2."""
    number = "" if number == "1" else number
    return "".join((f"multiboot{number} /xmhf.elf {words(hv_append)}\n",
                    *(f"module{number} /{name} {words(line)}\n" for name, line in modules)))


def linux(kernel, append, initrd=None):
    """GRUB commands that start a Linux kernel itself."""
    return f"linux /{kernel} {words(append)}\n" + (f"initrd /{initrd}\n" if initrd else "")


def _grub(scratch, commands):
    """GRUB's own sectors: it reads the archive and runs the commands."""
    config = scratch / "grub.cfg"
    config.write_text(f"set root=(hd0,msdos1)\n{commands}boot\n", encoding="utf-8")
    core = scratch / "core.img"
    run([need("grub-mkimage", "grub-common"), "-O", "i386-pc", "-d", _GRUB, "-p", "/",
         "-c", config, "-o", core, *_MODULES], "make GRUB's image")
    data = (_GRUB / "boot.img").read_bytes() + core.read_bytes()  # it expects core in sector 1
    if len(data) > _FIRST * _SECTOR:
        raise ToolError(f"GRUB takes {len(data)} bytes, too many for the place before the "
                        f"partition")
    return data


def make(output, files, commands):
    """Write the image; `files` are (name in the archive, path), `commands` GRUB's."""
    if not _GRUB.is_dir():
        raise ToolError("GRUB for BIOS machines is missing: run  apt-get install grub-pc-bin")
    with tempfile.TemporaryDirectory(prefix="xmhf-disk-") as scratch, open(output, "wb+") as image:
        image.write(_grub(pathlib.Path(scratch), commands))
        image.seek(_FIRST * _SECTOR)
        with tarfile.open(fileobj=image, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, path in files:
                info = tarfile.TarInfo(name)
                info.size = pathlib.Path(path).stat().st_size
                with open(path, "rb") as data:
                    archive.addfile(info, data)
        size = image.seek(0, 2)
        size += -size % _CYLINDER
        image.truncate(size)
        # One active partition; the BIOS counts in sectors, so its cylinders and heads don't matter.
        entry = struct.pack("<B3sB3sII", 0x80, b"\0\2\0", 0x83, b"\xfe\xff\xff", _FIRST,
                            size // _SECTOR - _FIRST)
        image.seek(_TABLE)
        image.write(entry.ljust(64, b"\0") + b"\x55\xaa")

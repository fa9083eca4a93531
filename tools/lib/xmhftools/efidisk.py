"""Makes disk images that UEFI firmware boots from: a GPT with a FAT file system, without root.

SPDX-License-Identifier: MIT
"""
import os
import pathlib
import struct
import uuid
import zlib

from . import nvram
from .base import need, run

SECTOR = 512
FIRST = 2048  # sector, of the first partition
_ENTRIES, _ENTRY_BYTES = 128, 128
_TABLE_SECTORS = _ENTRIES * _ENTRY_BYTES // SECTOR
_TAIL = _TABLE_SECTORS + 1  # sectors behind the last partition: the second table and header
_LEAST_MIB = 64  # firmware meets no smaller file system on such a partition
ESP = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
LINUX = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
_DISK = uuid.UUID("4d0d6d1e-8f0c-4b0e-9a70-2a1c9b6b0001")


def partition_id(label, number):
    """The GUID of partition `number` (1, 2, ...), or of the disk itself (0): the same on every run,
    so that images are, too."""
    return uuid.uuid5(_DISK, f"{label} {number}")


def _header(sectors, entries, first, label):
    """A GPT header (UEFI 2.10, 5.3.2), the first one or the one at the end."""
    here, other = (1, sectors - 1) if first else (sectors - 1, 1)
    table = 2 if first else sectors - _TAIL

    def pack(crc):
        return struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, crc, 0, here, other,
                           2 + _TABLE_SECTORS, sectors - _TAIL - 1,
                           partition_id(label, 0).bytes_le, table,
                           _ENTRIES, _ENTRY_BYTES, zlib.crc32(entries))
    return pack(zlib.crc32(pack(0))).ljust(SECTOR, b"\0")


def _partition_table(handle, sectors, partitions, label):
    """Write both tables; `partitions` are (type, first sector, sectors)."""
    entries = b"".join(
        struct.pack("<16s16sQQQ72s", kind.bytes_le, partition_id(label, number).bytes_le, first,
                    first + count - 1, 0, b"")
        for number, (kind, first, count) in enumerate(partitions, 1))
    entries = entries.ljust(_ENTRIES * _ENTRY_BYTES, b"\0")
    protective = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, sectors - 1)
    handle.seek(0)
    handle.write(bytes(446) + protective.ljust(64, b"\0") + b"\x55\xaa"
                 + _header(sectors, entries, True, label) + entries)
    handle.seek((sectors - _TAIL) * SECTOR)
    handle.write(entries + _header(sectors, entries, False, label))


def _folders(files):
    """The folders of these names, each behind the one that it is in."""
    found = {str(folder) for name, _ in files for folder in pathlib.PurePosixPath(name).parents}
    return sorted(found - {"."})


def _fill(image, sectors, files, label):
    """The FAT file system, at FIRST."""
    place = f"{image}@@{FIRST * SECTOR}"
    env = {**os.environ, "MTOOLS_SKIP_CHECK": "1", "MTOOLSRC": os.devnull}
    run([need("mformat", "mtools"), "-i", place, "-T", sectors, "-h", "255", "-s", "63",
         "-v", label, "::"],
        "make the EFI system partition", env=env)
    folders = [f"::{name}" for name in _folders(files)]
    if folders:
        run([need("mmd", "mtools"), "-i", place, *folders], "make folders there", env=env)
    for name, path in files:
        run([need("mcopy", "mtools"), "-o", "-i", place, path, f"::{name}"], f"copy {path} there",
            env=env)


def partition_of(image):
    """The device path of an image's first partition, as boot options begin with."""
    with open(image, "rb") as handle:
        handle.seek(2 * SECTOR)
        _, identity, first, last = struct.unpack("<16s16sQQ", handle.read(48))
    return nvram.partition_path(1, first, last - first + 1, uuid.UUID(bytes_le=identity))


def make(output, files, root=None, label="XMHF"):
    """Write the image: an EFI system partition with `files`, (name there, path), and this label,
    which no other disk of the machine may have; behind it, if wanted, a second partition with a
    copy of the file `root`. Returns the device path of the first."""
    content = sum(pathlib.Path(path).stat().st_size + (64 << 10) for _, path in files)
    mib = max(_LEAST_MIB, (content * 9 // 8 >> 20) + 8)
    count, parts = mib << 11, []
    parts.append((ESP, FIRST, count))
    if root:
        parts.append((LINUX, FIRST + count, -(-pathlib.Path(root).stat().st_size // SECTOR)))
    sectors = sum(parts[-1][1:]) + FIRST
    with open(output, "wb") as handle:
        handle.truncate(sectors * SECTOR)
        _partition_table(handle, sectors, parts, label)
    if root:
        run(["dd", f"if={root}", f"of={output}", "bs=1M", "conv=notrunc,sparse",
             f"seek={parts[1][1] * SECTOR >> 20}"], "copy the root file system")
    _fill(output, count, files, label)
    return partition_of(output)

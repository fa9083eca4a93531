"""What a file is, and what a program needs to run: ELF and PE headers, read and never trusted.

SPDX-License-Identifier: MIT
"""
import pathlib
import struct
import types

from .base import ToolError

_ELF_MACHINES = {3: "32-bit x86", 62: "64-bit x86"}
_PE_MACHINES = {0x14C: 32, 0x8664: 64}
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB = 1, 5
_MANY = 256  # more program headers, sections, libraries than that has no sane file
_MAGIC = ((b"\x1f\x8b", "gzip data"), (b"\xfd7zXZ", "xz data"), (b"\x28\xb5\x2f\xfd", "zstd data"),
          (b"PK\3\4", "a zip archive"), (b"!<arch>\n", "a library archive or Debian package"),
          (b"070701", "a cpio archive"), (b"%PDF", "a PDF"), (b"#!", "a script"),
          (b"\x89PNG", "a picture"), (b"QFI\xfb", "a QEMU disk image"))


def read(path, limit=1 << 26):
    """The file's first bytes; a named error if that can't be."""
    try:
        if not pathlib.Path(path).is_file():
            raise ToolError(f"{path} is {what_it_is_not(path)}: name a file")
        with open(path, "rb") as handle:
            return handle.read(limit)
    except OSError as problem:
        raise ToolError(f"cannot read {path}: {problem.strerror}") from problem


def what_it_is_not(path):
    """Of what is no plain file: what it is."""
    path = pathlib.Path(path)
    if path.is_dir():
        return "a folder"
    return "no plain file" if path.exists() else "not there"


def describe(data):
    """In a few words, what these first bytes of a file are."""
    if not data:
        return "it is empty"
    if is_bzimage(data):
        return "it is a Linux kernel"
    if is_multiboot(data):
        return "it is a multiboot image"
    if data[:4] == b"\x7fELF":
        machine = _ELF_MACHINES.get(struct.unpack_from("<H", data.ljust(20, b"\0"), 18)[0],
                                    "foreign")
        return f"it is a {machine} ELF file"
    if pe(data):
        return f"it is a {pe(data).bits}-bit Windows program"
    if data[0x8001:0x8006] == b"CD001":
        return "it is a CD image"
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return f"it is {name}"
    head = data[:4096]
    text = sum(byte in b"\t\n\r\f\x1b" or 32 <= byte < 127 or byte >= 128 for byte in head)
    if text >= len(head) - len(head) // 50 and 0 not in head:
        return "it is text"
    return "it is data of another kind"


def is_bzimage(data):
    """A kernel by the Linux boot protocol: its header is at 0x1f1 (Documentation/x86/boot)."""
    return data[0x1FE:0x200] == b"\x55\xaa" and data[0x202:0x206] == b"HdrS"


def is_multiboot(data):
    """A multiboot 1 header in the first 8 KiB, whose three words add up to 0."""
    for at in range(0, min(len(data), 8192) - 11, 4):
        magic, flags, sum_ = struct.unpack_from("<III", data, at)
        if magic == 0x1BADB002 and (magic + flags + sum_) & 0xFFFFFFFF == 0:
            return True
    return False


def _text(data, at):
    """A string that ends with a zero byte."""
    return data[at:data.find(b"\0", at)].decode("latin-1") if 0 <= at < len(data) else ""


# --- ELF ----------------------------------------------------------------------------

class _Elf:
    """Fields of an ELF file of either width. A field that isn't there is a struct.error."""

    def __init__(self, data):
        self.data, self.is_64 = data, data[4] == 2
        at, sizes = (32, 54) if self.is_64 else (28, 42)
        start = struct.unpack_from("<Q" if self.is_64 else "<I", data, at)[0]
        size, count = struct.unpack_from("<HH", data, sizes)
        self.parts = [self._part(start + index * size) for index in range(min(count, _MANY))]

    def _part(self, at):
        """(kind, offset, address, size in the file) of a program header."""
        if self.is_64:
            kind, _, offset, address, _, size = struct.unpack_from("<IIQQQQ", self.data, at)
        else:
            kind, offset, address, _, size = struct.unpack_from("<IIIII", self.data, at)
        return kind, offset, address, size

    def offset(self, address):
        """Where in the file an address is, or -1."""
        for kind, offset, first, size in self.parts:
            if kind == _PT_LOAD and first <= address < first + size:
                return offset + address - first
        return -1

    def needed(self):
        """Names of the libraries, of the dynamic section."""
        form, step = ("<qQ", 16) if self.is_64 else ("<iI", 8)
        strings, names = -1, []
        for kind, offset, _, size in self.parts:
            if kind != _PT_DYNAMIC:
                continue
            for at in range(offset, offset + min(size, 64 * 1024), step):
                tag, value = struct.unpack_from(form, self.data, at)
                if tag == 0:
                    break
                if tag == _DT_STRTAB:
                    strings = self.offset(value)
                elif tag == _DT_NEEDED:
                    names.append(value)
        return [_text(self.data, strings + name) for name in names[:_MANY]] if strings >= 0 else []


def elf(data):
    """Of an ELF file: bits, interpreter (or None) and libraries that it needs. None of others, and
    of one whose headers aren't all there."""
    if data[:4] != b"\x7fELF" or len(data) < 52 or data[5] != 1:
        return None
    try:
        file = _Elf(data)
        interp = [_text(data, offset) for kind, offset, _, _ in file.parts if kind == _PT_INTERP]
        return types.SimpleNamespace(bits=64 if file.is_64 else 32, needed=file.needed(),
                                     interpreter=interp[0] if interp else None)
    except (struct.error, OverflowError):
        return None


# --- PE -----------------------------------------------------------------------------

def _imports(data, at, optional, bits):
    """Names of the DLLs in the import table; optional: the optional header's size."""
    table = at + 24 + (112 if bits == 64 else 96) + 8  # the second data directory
    address = struct.unpack_from("<I", data, table)[0]
    count = struct.unpack_from("<H", data, at + 6)[0]
    sections = []
    for index in range(min(count, _MANY)):
        size, first, raw_size, raw = struct.unpack_from("<IIII", data,
                                                        at + 24 + optional + index * 40 + 8)
        sections.append((first, max(size, raw_size), raw))

    def offset(address):
        for first, size, raw in sections:
            if first <= address < first + size:
                return raw + address - first
        return -1
    names, entry = [], offset(address)
    while address and entry >= 0 and len(names) < _MANY:
        name = struct.unpack_from("<I", data, entry + 12)[0]
        if name == 0:
            break
        names.append(_text(data, offset(name)))
        entry += 20
    return names


def pe(data):
    """Of a Windows program or DLL: bits and the DLLs that it needs. None of others."""
    if data[:2] != b"MZ" or len(data) < 64:
        return None
    at = struct.unpack_from("<I", data, 0x3C)[0]
    try:
        if data[at:at + 4] != b"PE\0\0":
            return None
        machine = struct.unpack_from("<H", data, at + 4)[0]
        optional, = struct.unpack_from("<H", data, at + 20)
        bits = _PE_MACHINES.get(machine)
        return bits and types.SimpleNamespace(bits=bits, needed=_imports(data, at, optional, bits))
    except (struct.error, OverflowError):
        return None


def is_efi(data):
    """A PE file of 64 bits that is an EFI application (subsystem 10)."""
    at = struct.unpack_from("<I", data, 0x3C)[0] if data[:2] == b"MZ" and len(data) >= 64 else None
    if at is None or data[at:at + 4] != b"PE\0\0" or len(data) < at + 94:
        return False
    machine, subsystem = (struct.unpack_from("<H", data, at + place)[0] for place in (4, 92))
    return _PE_MACHINES.get(machine) == 64 and subsystem == 10

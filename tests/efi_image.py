#!/usr/bin/env python3
"""Check that xmhf.efi is a PE image that firmware, shim and sbsign take.

SPDX-License-Identifier: MIT

usage: efi_image.py FILE

What is asked: an EFI application for x86-64 that says it bears NX and any address; no time stamp;
sections at multiples of 4 KiB in memory, without a gap in the file, none of them writable and
executable, none that nobody needs; .sbat a section of its own that is loaded; nothing behind the
last section, but a signature.
"""
import struct
import sys

PAGE, UNIT = 0x1000, 0x200
# PE format, "Section flags", and what each section is there for
CODE, DATA, ZEROS, DISCARD = 0x20, 0x40, 0x80, 0x02000000
EXECUTE, READ, WRITE = 0x20000000, 0x40000000, 0x80000000
SECTIONS = {".text": CODE | EXECUTE | READ, ".rdata": DATA | READ, ".data": DATA | READ | WRITE,
            ".bss": ZEROS | READ | WRITE, ".reloc": DATA | READ, ".sbat": DATA | READ}
MAY_BE_THERE = DISCARD | 0x00f00000 | CODE | DATA  # alignment of objects; what it holds
HIGH_ENTROPY, DYNAMIC_BASE, NX_COMPAT = 0x20, 0x40, 0x100


class Section:
    def __init__(self, raw):
        name, self.size, self.rva, self.raw_size, self.raw, self.flags = struct.unpack(
            "<8sIIII12xI", raw)
        self.name = name.rstrip(b"\0").decode("ascii", "replace")

    def end(self):
        return self.rva + max(self.size, self.raw_size)


class Image:
    def __init__(self, data):
        self.data = data
        pe = struct.unpack_from("<I", data, 0x3c)[0]
        if data[:2] != b"MZ" or data[pe:pe + 4] != b"PE\0\0":
            raise ValueError("no PE image")
        (self.machine, count, self.stamp, self.symbols, self.symbol_count, optional,
         self.characteristics) = struct.unpack_from("<HHIIIHH", data, pe + 4)
        head = pe + 24
        self.magic = struct.unpack_from("<H", data, head)[0]
        self.entry = struct.unpack_from("<I", data, head + 16)[0]
        self.align, self.file_align = struct.unpack_from("<II", data, head + 32)
        self.size, self.headers = struct.unpack_from("<II", data, head + 56)
        self.subsystem, self.dll = struct.unpack_from("<HH", data, head + 68)
        directories = struct.unpack_from("<I", data, head + 108)[0]
        self.directory = [struct.unpack_from("<II", data, head + 112 + 8 * i)
                          for i in range(directories)]
        self.sections = [Section(data[at:at + 40]) for at in
                         range(head + optional, head + optional + 40 * count, 40)]


def header_problems(image):
    if (image.machine, image.magic, image.subsystem) != (0x8664, 0x20b, 10):
        yield "it is no EFI application for x86-64"
    if image.dll != HIGH_ENTROPY | DYNAMIC_BASE | NX_COMPAT:
        yield f"DllCharacteristics are {image.dll:#x}: not NX_COMPAT, DYNAMIC_BASE, HIGH_ENTROPY_VA"
    if image.characteristics & 1 or image.directory[5][1] == 0:
        yield "it has no relocations"
    if image.stamp:
        yield f"it has a time stamp, {image.stamp:#x}: each build has other bits"
    if image.symbols or image.symbol_count:
        yield "it has symbols"
    if (image.align, image.file_align) != (PAGE, UNIT):
        yield f"its sections are aligned to {image.align:#x}, in the file to {image.file_align:#x}"


def section_problems(image):
    names = [section.name for section in image.sections]
    if sorted(names) != sorted(SECTIONS):
        yield f"its sections are {' '.join(names)}, not {' '.join(SECTIONS)}"
    for section in image.sections:
        if section.flags & WRITE and section.flags & EXECUTE:
            yield f"{section.name} is writable and executable"
        wanted = SECTIONS.get(section.name, section.flags)
        if (section.flags ^ wanted) & ~MAY_BE_THERE:
            yield f"{section.name} has the flags {section.flags:#x}, not {wanted:#x}"


def place_problems(image):
    rva, raw = image.headers, image.headers
    for section in image.sections:
        if section.rva % PAGE or section.rva < rva or section.rva - rva >= PAGE + UNIT:
            yield f"{section.name} is at {section.rva:#x} in memory, behind {rva:#x}"
        if section.raw_size and section.raw != raw:
            yield f"{section.name} is at {section.raw:#x} in the file, behind {raw:#x}"
        if section.raw_size % UNIT or (not section.raw_size and section.raw):
            yield f"{section.name} has {section.raw_size:#x} bytes in the file"
        rva, raw = section.end(), raw + section.raw_size
    if image.size != -(-rva // PAGE) * PAGE:
        yield f"SizeOfImage is {image.size:#x}, the sections end at {rva:#x}"
    signature, length = image.directory[4]
    if len(image.data) != raw and (signature != raw or signature + length != len(image.data)):
        yield f"{len(image.data) - raw} bytes stand behind the last section"
    code = [s for s in image.sections if s.flags & EXECUTE]
    if not any(s.rva <= image.entry < s.rva + s.size for s in code):
        yield f"the entry, {image.entry:#x}, is in no code"


def sbat_problems(image):
    section = next((s for s in image.sections if s.name == ".sbat"), None)
    if section is None:
        return
    text = image.data[section.raw:section.raw + min(section.size, section.raw_size)]
    lines = [line.split(b",") for line in text.rstrip(b"\0").split(b"\n")]
    if (lines[-1] != [b""] or [line[:1] for line in lines[:-1]] != [[b"sbat"], [b"xmhf"]]
            or any(len(line) != 6 or not line[1].isdigit() for line in lines[:-1])):
        yield f".sbat has {text!r}"


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__.strip())
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    try:
        with open(sys.argv[1], "rb") as file:
            image = Image(file.read())
    except (OSError, ValueError, struct.error, IndexError) as problem:
        print(f"{sys.argv[1]}: {problem}", file=sys.stderr)
        return 1
    bad = [*header_problems(image), *section_problems(image), *place_problems(image),
           *sbat_problems(image)]
    for problem in bad:
        print(f"{sys.argv[1]}: {problem}", file=sys.stderr)
    print(f"{len(image.sections)} sections, {len(image.data)} bytes, {len(bad)} wrong")
    return 1 if bad else 0


sys.exit(main())

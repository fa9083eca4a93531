"""What all end-to-end tests share: results, the sources' place, demo_pal's secret.

SPDX-License-Identifier: MIT
"""
import os
import pathlib
import re
import sys

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(SOURCE / "tools" / "lib"))
from xmhftools import base  # noqa: E402

E2E = SOURCE / "tests" / "e2e"
PROGRAMS = SOURCE / "tests" / "programs"  # they run in the guest
SEED = 77
MEMORY = 512  # MiB
SWAP_MODULES = ("lzo-rle", "zram")  # in the guest, for compressed memory as a block device
BUSY_HOST = "hrtimer: interrupt took"  # the kernel's warning on a busy host, with and without us


class Failed(Exception):
    """The test has shown that something is wrong."""


class Skipped(Exception):
    """The test could not be made here."""


def check(condition, text):
    if not condition:
        raise Failed(text)


def secret(seed):
    """demo_pal's secret for a seed."""
    return bytes(0xA5 ^ ((seed * 31 + i * 7) & 0xFF) for i in range(32))


def masked(seed):
    """The same, masked as memsearch wants it."""
    return bytes(byte ^ 0x5A for byte in secret(seed)).hex()


def compile_program(name, scratch, folder=PROGRAMS):
    """A static program from tests/programs or another folder, for the guest."""
    program = pathlib.Path(scratch) / name
    if not program.exists():
        base.run([os.environ.get("CC", "gcc"), "-O2", "-static", "-Wall", "-Wextra", "-Werror",
                  "-I", SOURCE / "include", "-I", SOURCE / "xmhf-core", "-o", program,
                  folder / f"{name}.c"], f"compile {name}")
    return program


def warnings(text):
    """Kernel messages of level warning and worse of a dmesg -r, without what differs by chance."""
    lines = set()
    for line in text.splitlines():
        found = re.match(r"<(\d+)>\[[ .\d]+\] (.*)", line)
        if found and int(found.group(1)) & 7 <= 4 and BUSY_HOST not in line:
            lines.add(re.sub(r"0x[0-9a-f]+|[0-9a-f]{8,}|\d+", "#", found.group(2)))
    return lines

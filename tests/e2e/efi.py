"""Machines whose UEFI firmware starts xmhf.efi, and that an application of the tests'.

SPDX-License-Identifier: MIT
"""
import re
import types

from common import PROGRAMS, base, check
from live import QemuMachine

INCLUDES = ("/usr/include/efi", "/usr/include/efi/x86_64")  # gnu-efi's
PROBE = "EFI/test/probe.efi"
PAGE = 4096
NO_NEXT = ""  # an xmhf.conf that says nothing: the firmware's next entry


def probe(machines):
    """tests/programs/efi/probe.c as an EFI application."""
    program = machines.scratch / "probe.efi"
    if not program.exists():
        base.run([base.need("x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64-win32"), "-O2",
                  "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-mno-red-zone",
                  "-fno-stack-protector", "-DGNU_EFI_USE_MS_ABI", "-DHAVE_USE_MS_ABI",
                  *(f"-I{folder}" for folder in INCLUDES), "-nostdlib", "-s",
                  "-Wl,--subsystem,10,-e,efi_main,--image-base,0,--dynamicbase,--nxcompat,"
                  "--no-insert-timestamp", "-o", program, PROGRAMS / "efi" / "probe.c"],
                 "compile probe.efi")
    return program


def pages_of(first, last):
    """The addresses of the pages from one byte to another, which are texts in base 16."""
    return range(int(first, 16), int(last, 16) + 1, PAGE)


def newly_reserved(before, after, change):
    """How many pages two maps, {address: kind}, don't agree on. `change` is (kind, kind) that is
    allowed; at least one page must have it."""
    differ = {page: (before.get(page), after.get(page)) for page in before.keys() | after.keys()
              if before.get(page) != after.get(page)}
    wrong = {hex(page): pair for page, pair in differ.items() if pair != change}
    check(differ and not wrong, f"pages changed in another way: {sorted(wrong.items())[:8]}")
    return len(differ)


class EfiMachine(QemuMachine):
    """One that has no Linux: xmhf.efi starts the probe with these words, or what `conf`, the text
    of xmhf.conf, says. `options` are boot entries behind it, (title, name, arguments) on the same
    disk or EFI_LOAD_OPTIONs, `before` those before it; `more` are files on the disk, (name, path);
    `sign` says which of the names get a signature; `variables` are the firmware's, (name, bytes,
    vendor)."""

    def __init__(self, machines, words="", conf=None, options=(), before=(), more=(),
                 sign=None, variables=(), boot="uefi", **others):
        self.extra = types.SimpleNamespace(
            conf=conf, options=options, before=before, sign=sign, variables=variables,
            more=[(PROBE, probe(machines)), *more])
        super().__init__(machines, guest=probe(machines), append=words, boot=boot, **others)

    def files(self, files):
        for name, value in vars(self.extra).items():
            setattr(files, name, value)
        return files

    def lines(self):
        """What the probe said so far."""
        return re.findall(r"^efi: (.*)$", self.log(), re.M)

    def wait_line(self, pattern, seconds=90):
        """Wait for a line of the probe's; return the match."""
        return self.wait_log(rf"^efi: {pattern}$", seconds)

    def wait_end(self, seconds=90):
        """Wait until the machine powers off, as the probe's `off` has it; the log."""
        reason = self.stopped(seconds)
        check(reason == "guest-shutdown", f"the machine ended with {reason}:\n{self.tail()}")
        return self.log()

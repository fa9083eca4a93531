"""Programs that are dynamically linked, in a root file system of Debian packages (tools/mkroot).

SPDX-License-Identifier: MIT
"""
import os
import subprocess

from common import SOURCE, base, check
from xmhftools import binaries

PACKAGES = ("openssh-client", "tpm2-tools")
SCRIPT = """\
ssh -V; echo ssh $?
tpm2_getrandom --version; echo tpm2 $?
demo_dynamic; echo demo $?
touch /usr/written && ls /usr/written
"""


def image(*packages):
    """Path of a root image with these packages."""
    done = subprocess.run([SOURCE / "tools" / "mkroot", *packages], stdout=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True, check=False)
    check(done.returncode == 0, f"mkroot {' '.join(packages)} ended with {done.returncode}")
    return done.stdout.strip()


def dynamic_demo(machines):
    """The SDK's demo_pal, linked with the shared C library."""
    program, sdk = machines.scratch / "demo_dynamic", SOURCE / "pal_sdk"
    base.run([os.environ.get("CC", "gcc"), "-O2", "-std=gnu11", "-fno-pie", "-no-pie",
              "-fno-stack-protector", "-fcf-protection=none", "-fno-jump-tables",
              "-mgeneral-regs-only", "-I", sdk / "include", "-I", SOURCE / "include",
              "-o", program, sdk / "examples" / "demo_pal.c",
              *(sdk / "lib" / f"{name}.c" for name in ("pal", "module", "call", "handler",
                                                       "os_linux"))],
             "compile a dynamic demo_pal")
    check(binaries.elf(program.read_bytes()).interpreter, "demo_dynamic isn't dynamically linked")
    return program


def test_root(machines):
    """Debian's own programs and a PAL's program that is dynamically linked, in a root image."""
    root = image(*PACKAGES)
    before = os.stat(root).st_mtime_ns
    run = machines.run(["sh", "-c", SCRIPT], "--root", root, adds=[dynamic_demo(machines)])
    text = run.ended_well().text()
    for words in ("OpenSSH_", "ssh 0", "tool=\"tpm2_getrandom\"", "tpm2 0",
                  "secret-sum(20,22) = 42 ok", "demo 0", "/usr/written"):
        check(words in text, f"no {words!r} in:\n{text}")
    check(os.stat(root).st_mtime_ns == before, "the guest has changed the image")
    return "ssh, tpm2_getrandom and a dynamic demo_pal ran; what the guest wrote is gone"


BASIC = (test_root,)
MORE = ()

"""PALs in whole guests: 64-bit ones, and 32-bit ones under each kind of paging.

SPDX-License-Identifier: MIT

The programs are those of tests/e2e/pal; each prints "ok N - what" lines and ends with "1..N".
"""
import re
import shutil
import subprocess

from common import E2E, SOURCE, Skipped, check

# Program and arguments. The last two leave PALs of dead processes behind, which makes memory
# reappear later: the others find a leak more surely before.
PROGRAMS = (("pal_compat", ""), ("pal_errors", ""), ("pal_attack", ""), ("pal_fuzz", "20000"), ("pal_spin", "2"),
            ("pal_module", ""), ("pal_test", "200"), ("pal_stress", "5"))
LIMIT = 1200  # seconds, several times what an idle host takes


def counted(output, name):
    """How many checks a program made; fail if one failed or some are missing."""
    bad = re.findall(r"^not ok.*|^Bail out.*", output, re.M)
    check(not bad, f"{name}:\n  " + "\n  ".join(bad))
    plan = re.search(r"^1\.\.(\d+)$", output, re.M)
    passed = len(re.findall(r"^ok ", output, re.M))
    check(plan and int(plan.group(1)) == passed, f"{name} ended early:\n{output[-2000:]}")
    return passed - output.count("# SKIP")


def run_programs(machines, suffix, *options, programs=PROGRAMS):
    """Run them one after the other in one guest; return how many checks they made."""
    script = "".join(f"echo @@ {name}; {name}{suffix} {args}; echo @@ end $?; "
                     for name, args in programs)
    run = machines.run(["sh", "-c", script], "--timeout", str(LIMIT), "--one-core", *options,
                       adds=[machines.pal_test(name + suffix) for name, _ in programs])
    run.ended_well()
    parts = re.findall(r"^@@ (\w+)\n(.*?)^@@ end (\d+)$", run.text(), re.M | re.S)
    check(len(parts) == len(programs), f"only {len(parts)} programs ran:\n{run.text()[-2000:]}")
    total = 0
    for name, output, status in parts:
        total += counted(output, name)
        check(status == "0", f"{name} ended with status {status}:\n{output[-2000:]}")
    return total


def test_pal_64(machines):
    """64-bit PALs: life, errors, attacks, random calls, interruptions, races."""
    return f"{run_programs(machines, '')} checks by {len(PROGRAMS)} programs"


def test_pal_32_compat(machines):
    """32-bit PALs on a 64-bit kernel: compatibility mode."""
    return f"{run_programs(machines, '32')} checks by {len(PROGRAMS)} programs"


def test_pal_32_pae(machines):
    """32-bit PALs on a 32-bit kernel with PAE."""
    made = run_programs(machines, "32", "--kernel", "686-pae")
    return f"{made} checks by {len(PROGRAMS)} programs"


def test_pal_32_nonpae(machines):
    """32-bit PALs on a 32-bit kernel without PAE."""
    return f"{run_programs(machines, '32', '--kernel', '686')} checks by {len(PROGRAMS)} programs"


# As others build for the public ABI; and our SDK with its own flags.
WINDOWS_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fno-stack-protector",
                 "-fno-jump-tables", "-mgeneral-regs-only")


def test_pal_windows_build(machines):
    """PAL programs and the SDK compile for Windows, 32 and 64 bits."""
    sdk = SOURCE / "pal_sdk"
    include = ("-I", sdk / "include", "-I", SOURCE / "include")
    built = []
    for target, form in (("i686", "PE32"), ("x86_64", "PE32+")):
        compiler = f"{target}-w64-mingw32-gcc"
        if not shutil.which(compiler):
            raise Skipped("there is no MinGW: apt-get install gcc-mingw-w64-i686 gcc-mingw-w64-x86-64")
        for name, sources in (("pal_compat", (E2E / "pal" / "pal_compat.c",)),
                              ("demo_pal", (sdk / "examples" / "demo_pal.c", sdk / "lib" / "pal.c",
                                            sdk / "lib" / "module.c", sdk / "lib" / "os_windows.c"))):
            if (target, name) == ("i686", "demo_pal"):
                continue  # it computes with 64-bit words
            program = machines.scratch / f"{name}-{target}.exe"
            done = subprocess.run([compiler, *WINDOWS_FLAGS, *include, "-o", program, *sources],
                                  stderr=subprocess.PIPE, text=True, check=False,
                                  stdin=subprocess.DEVNULL)
            check(done.returncode == 0, f"{compiler}: {done.stderr}")
            check(is_pe(program, form), f"{program} is no {form} program")
            built.append(f"{name} as {form}")
    return ", ".join(built)


def is_pe(program, form):
    """Whether a file is a Windows program of 32 (PE32) or 64 bits (PE32+)."""
    data = program.read_bytes()
    at = int.from_bytes(data[0x3C:0x40], "little")
    magic = int.from_bytes(data[at + 24:at + 26], "little")
    return data[at:at + 4] == b"PE\0\0" and magic == (0x10B if form == "PE32" else 0x20B)


def test_pal_compat_all(machines):
    """Every mix of up to 10 parameters, every size, 5,000 rounds, by 64-bit and 32-bit code."""
    every = (("pal_compat", "all"),)
    made = run_programs(machines, "", programs=every) + run_programs(machines, "32", programs=every)
    return f"{made} checks of everything that fits the public ABI"


def test_pal_fuzz_long(machines):
    """500,000 random calls by 64-bit code and as many by 32-bit code."""
    many = (("pal_fuzz", "500000"),)
    made = run_programs(machines, "", programs=many) + run_programs(machines, "32", programs=many)
    return f"{made} checks after 1,000,000 random calls"


BASIC = (test_pal_windows_build, test_pal_64, test_pal_32_compat, test_pal_32_pae, test_pal_32_nonpae)
MORE = (test_pal_compat_all, test_pal_fuzz_long)

"""Windows programs that use PALs, built by MinGW, under Wine in a Linux guest.

SPDX-License-Identifier: MIT

The programs are those of pals.py, from the same sources. notes/wine.md: what this shows.
"""
import re

import pals
from common import Skipped, check

# Program and arguments, as in pals.py; the second list is what takes more than seconds.
PROGRAMS = (("pal_compat", ""), ("pal_attack", ""), ("pal_module", ""), ("pal_windows", ""))
MORE_PROGRAMS = (("pal_fuzz", "100000"), ("pal_spin", "2"), ("pal_test", "1000"),
                 ("pal_stress", "20"))
# Wine takes half a second to start a process: pal_test needs as few of them as fill the pool.
OPTIONS = ("--hv-append", "palmem=3")
DEMOS = (("demo_pal", ""), ("demo_module", ""))
DEMO_WORDS = ("registered entry=", "secret-sum(20,22) = 42 ok", "unregistered",
              "alive: 1 2 5 13", "alive: 1 3 8 21", "raised an exception, vector 14")


def program(machines, name, bits):
    """A Windows program as built: tests/programs/NAME, or an example of the SDK."""
    file = f"{name}{'' if bits == 64 else '32'}.exe"
    find = machines.example if name.startswith("demo") else machines.pal_test
    try:
        return find(file)
    except Skipped as exc:
        raise Skipped(f"{exc} (no MinGW: apt-get install gcc-mingw-w64-x86-64-win32 "
                      "gcc-mingw-w64-i686-win32, configure again)") from exc


def wine(machines, bits, programs, *options, **more):
    """Run Windows programs one after the other; what each printed, and its status."""
    script = "".join(f"echo @@ {name}; wine {program(machines, name, bits).name} {args}; "
                     "echo @@ end $?; " for name, args in programs)
    run = machines.run(["sh", "-c", script], "--wine", str(bits), "--timeout", str(pals.LIMIT),
                       "--one-core", *options,
                       adds=[program(machines, name, bits) for name, _ in programs], **more)
    run.ended_well()
    run.output = run.output.replace(b"\r\n", b"\n")
    return pals.parts_of(run, programs)


def counted(results):
    """How many checks the programs made, none of which failed."""
    total = sum(pals.counted(output, name) for name, output, _ in results)
    for name, output, status in results:
        check(status == 0, f"{name} ended with status {status}:\n{output[-2000:]}")
    return total


def checks(machines, bits, programs, *options):
    """Demos and programs under the hypervisor; how many checks they made."""
    results = wine(machines, bits, (*DEMOS, *programs), *OPTIONS, *options)
    said = "".join(output for _, output, _ in results[:len(DEMOS)])
    for words in DEMO_WORDS:
        check(words in said, f"the demos didn't say \"{words}\":\n{said}")
    for name, output, status in results[:len(DEMOS)]:
        check(status == 0, f"{name} ended with status {status}:\n{output[-2000:]}")
    total = counted(results[len(DEMOS):])
    form = "PE32+" if bits == 64 else "PE32"
    return f"both demos and {total} checks by {len(programs)} {form} programs, under Wine"


def test_wine_64(machines):
    """PALs of 64-bit Windows programs, System V and Microsoft's convention, under Wine."""
    return checks(machines, 64, PROGRAMS)


def test_wine_32(machines):
    """PALs of 32-bit Windows programs under Wine, on a 64-bit kernel."""
    return checks(machines, 32, PROGRAMS)


def test_wine_64_long(machines):
    """More of 64-bit programs under Wine: random calls, interruptions, dead processes."""
    return checks(machines, 64, (*PROGRAMS, *MORE_PROGRAMS))


def test_wine_32_long(machines):
    """More of 32-bit programs under Wine, on a 64-bit kernel and on a 686-pae one."""
    every = (*PROGRAMS, *MORE_PROGRAMS)
    return (checks(machines, 32, every) + "; "
            + checks(machines, 32, every, "--kernel", "686-pae") + " on a 686-pae kernel")


def test_wine_compat_all(machines):
    """What pal-compat-all does, by PE32+ and PE32 programs under Wine."""
    made = sum(counted(wine(machines, bits, pals.COMPAT_ALL, "--timeout", str(3 * pals.LIMIT)))
               for bits in (64, 32))
    return f"{made} checks of everything that fits the public ABI, under Wine"


def test_wine_control(machines):
    """Without the hypervisor Wine runs the same programs, and they say that there is none."""
    programs = (*DEMOS, ("pal_compat", ""), ("pal_module", ""))
    expected = (("no hypervisor: running unprotected", 0), ("no hypervisor", 1),
                ("Bail out! no hypervisor here", 99), ("Bail out! no hypervisor here", 99))
    for bits in (64, 32):
        results = wine(machines, bits, programs, hypervisor=False)
        for (name, output, status), (words, wanted) in zip(results, expected):
            check(output.startswith(words) and status == wanted,
                  f"{bits}-bit {name}: status {status}:\n{output}")
    return f"bare, {len(programs)} programs of each width say \"no hypervisor\""


def test_wine_streams(machines):
    """A Windows program's standard output, standard error and status, each where it should be."""
    file = machines.build / "pal_sdk" / "examples" / "hello" / "hello-native.exe"
    if not file.exists():
        raise Skipped(f"there is no {file}")
    script = (f"wine {file.name} >out 2>err; echo @@ status $?; cat out; echo @@ err; cat err; "
              f"echo @@ both; wine {file.name} 2>&1")
    run = machines.run(["sh", "-c", script], "--wine", "64", hypervisor=False, adds=[file])
    text = run.ended_well().text().replace("\r\n", "\n")
    said = r"pal: NATIVE MODE: [^\n]*\n"
    wanted = (r"@@ status 0\n20 \+ 22 = 42\n@@ err\n" + said + r"@@ both\n"
              r"(?=(?:.*\n)?20 \+ 22 = 42\n)(?=(?:.*\n)?" + said + ")")
    check(re.search(wanted, text), text[-1500:])
    return "what it says on standard error is there, and Wine's own words aren't"


def test_wine_pal_rt(machines):
    """libpal-rt's own tests, linked as PALs of MinGW are, as Windows programs under Wine."""
    passed = []
    for bits in (64, 32):
        file = machines.build / "tests" / "pal_rt" / f"rt_pe{bits}.exe"
        if not file.exists():
            raise Skipped(f"there is no {file}")
        run = machines.run(["wine", file.name], "--wine", str(bits), "--one-core",
                           hypervisor=False, adds=[file])
        run.ended_well()
        output = run.output.decode(errors="replace").replace("\r\n", "\n")
        planned = int(re.search(r"^1\.\.(\d+)$", output, re.M).group(1))
        lines = re.findall(r"^(?:not )?ok .*$", output, re.M)
        bad = [line for line in lines if line.startswith("not")]
        check(len(lines) == planned and not bad, f"{bits} bits:\n{output}")
        passed.append(sum("SKIP" not in line for line in lines))
    return f"{passed[0]} tests as PE32+, {passed[1]} as PE32"


def is_pe(path, form):
    """Whether a file is a Windows program of 32 (PE32) or 64 bits (PE32+)."""
    data = path.read_bytes()
    at = int.from_bytes(data[0x3C:0x40], "little")
    magic = int.from_bytes(data[at + 24:at + 26], "little")
    return data[at:at + 4] == b"PE\0\0" and magic == (0x10B if form == "PE32" else 0x20B)


def test_windows_build(machines):
    """The PAL programs are there for Windows, 32 and 64 bits."""
    names = [name for name, _ in (*DEMOS, *PROGRAMS, *MORE_PROGRAMS)]
    for bits, form in ((64, "PE32+"), (32, "PE32")):
        for name in names:
            path = program(machines, name, bits)
            check(is_pe(path, form), f"{path} is no {form} program")
    return f"{', '.join(names)}: each as PE32+ and PE32"


BASIC = (test_windows_build, test_wine_64)
MORE = (test_wine_32, test_wine_control, test_wine_streams, test_wine_pal_rt, test_wine_64_long,
        test_wine_32_long, test_wine_compat_all)

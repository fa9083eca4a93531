"""PALs in whole guests: 64-bit ones, and 32-bit ones under each kind of paging.

SPDX-License-Identifier: MIT

The programs are those of tests/programs; each prints "ok N - what" lines and ends with "1..N".
"""
import re

from common import check

# Program and arguments. The last two leave PALs of dead processes behind, which makes memory
# reappear later: the others find a leak more surely before.
PROGRAMS = (("pal_compat", ""), ("pal_errors", ""), ("pal_attack", ""), ("pal_fuzz", "20000"),
            ("pal_spin", "2"),
            ("pal_module", ""), ("pal_test", "200"), ("pal_stress", "5"))
COMPAT_ALL = (("pal_compat", "all"),)
BUDGET = (("pal_spin", "budget"),)
MINUTES = 4  # about
WIDTHS = (("pal_widths", "300"),)
LIMIT = 1200  # seconds, several times what an idle host takes


def counted(output, name):
    """How many checks a program made; fail if one failed or some are missing."""
    bad = re.findall(r"^not ok.*|^Bail out.*", output, re.M)
    check(not bad, f"{name}:\n  " + "\n  ".join(bad))
    plan = re.search(r"^1\.\.(\d+)$", output, re.M)
    passed = len(re.findall(r"^ok ", output, re.M))
    check(plan and int(plan.group(1)) == passed, f"{name} ended early:\n{output[-2000:]}")
    return passed - output.count("# SKIP")


def parts_of(run, programs):
    """What each program of a script printed between "@@ NAME" and "@@ end STATUS"."""
    parts = re.findall(r"^@@ (\w+)\n(.*?)^@@ end (\d+)$", run.text(), re.M | re.S)
    check(len(parts) == len(programs), f"only {len(parts)} programs ran:\n{run.text()[-2000:]}")
    return [(name, output, int(status)) for name, output, status in parts]


def run_programs(machines, suffix, *options, programs=PROGRAMS):
    """Run them one after the other in one guest; return how many checks they made."""
    script = "".join(f"echo @@ {name}; {name}{suffix} {args}; echo @@ end $?; "
                     for name, args in programs)
    run = machines.run(["sh", "-c", script], "--timeout", str(LIMIT), "--one-core", *options,
                       adds=[machines.pal_test(name + suffix) for name, _ in programs])
    run.ended_well()
    total = 0
    for name, output, status in parts_of(run, programs):
        total += counted(output, name)
        check(status == 0, f"{name} ended with status {status}:\n{output[-2000:]}")
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


def test_pal_compat_all(machines):
    """Mixes of up to 10 parameters, every size with each number, 5,000 rounds, 64 and 32 bits."""
    options = ("--timeout", str(3 * LIMIT))
    made = (run_programs(machines, "", *options, programs=COMPAT_ALL)
            + run_programs(machines, "32", *options, programs=COMPAT_ALL))
    return f"{made} checks of everything that fits the public ABI"


def test_pal_fuzz_long(machines):
    """500,000 random calls by 64-bit code and as many by 32-bit code."""
    many = (("pal_fuzz", "500000"),)
    made = run_programs(machines, "", programs=many) + run_programs(machines, "32", programs=many)
    return f"{made} checks after 1,000,000 random calls"


def test_pal_budget(machines):
    """The option palbudget= ends a PAL that never returns, and no other."""
    made = run_programs(machines, "", "--hv-append", "palbudget=1", programs=BUDGET)
    if machines.args.bench == "svm":
        made += run_programs(machines, "32", "--hv-append", "palbudget=1", programs=BUDGET)
    return f"{made} checks"


def test_pal_minutes(machines):
    """One call of minutes: interrupts, signals and other threads go on, and its result is right."""
    run = machines.run(["pal_spin", "one", str(MINUTES * 60)], "--timeout", "7200", "--one-core",
                       adds=[machines.pal_test("pal_spin")]).ended_well()
    made = counted(run.text(), "pal_spin")
    took = int(re.search(r"rounds in (\d+) ms", run.text()).group(1)) / 1000
    signals = re.search(r"(\d+) signals", run.text()).group(1)
    check(took > MINUTES * 30, f"the call took {took:.0f} s only")
    return f"{made} checks, a call of {took:.0f} s with {signals} signals"


def test_pal_rt(machines):
    """libpal-rt's tests as PALs: images for ELF and by MinGW, 64 and 32 bits, each by its calls."""
    kinds = ("elf64", "elf32", "pe64", "pe32")
    programs = [(f"image-{kind}", machines.built(f"tests/pal_rt/image-{kind}")) for kind in kinds]
    script = "".join(f"echo @@ {kind}; image-{kind}; echo @@ end $?; " for kind in kinds)
    run = machines.run(["sh", "-c", script], "--timeout", str(LIMIT), "--one-core",
                       adds=[path for _, path in programs])
    run.ended_well()
    made = [counted(output, name) for name, output, _ in parts_of(run, programs)]
    return f"{', '.join(map(str, made))} tests as {', '.join(kinds)}"


def test_pal_widths(machines):
    """64-bit and 32-bit PALs called by programs of both widths, on a 64-bit kernel."""
    both = (("pal_widths", "300"), ("pal_widths32", "300"))
    return f"{run_programs(machines, '', programs=both)} checks by programs of both widths"


def test_pal_widths_pae(machines):
    """The same by a program on a 32-bit kernel with PAE."""
    return f"{run_programs(machines, '32', '--kernel', '686-pae', programs=WIDTHS)} checks"


def test_pal_widths_nonpae(machines):
    """The same by a program on a 32-bit kernel without PAE."""
    return f"{run_programs(machines, '32', '--kernel', '686', programs=WIDTHS)} checks"


BASIC = (test_pal_64, test_pal_32_compat, test_pal_32_pae, test_pal_32_nonpae, test_pal_widths)
# The tiny guest widths has callers of these two kinds every time.
MORE = (test_pal_widths_pae, test_pal_widths_nonpae,
        test_pal_compat_all, test_pal_fuzz_long, test_pal_minutes, test_pal_budget, test_pal_rt)

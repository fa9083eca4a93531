"""Many PALs and large ones: that they work, what a call costs then, and how long exits take.

SPDX-License-Identifier: MIT

By tests/programs/pal_scale.c, which prints "ok N - what" lines.
"""
import re

from attacks import attack
from common import check
from stress import EXIT_MAX

LIVE = 1024


def roomy(machines, palmem, more=""):
    """Options for a machine with so many MiB for PALs."""
    return ("--mem", str(max(machines.memory, 2 * palmem + 192)), "--hv-append",
            f"palmem={palmem} {more}")


def test_pal_many(machines):
    """1,024 PALs of 64 processes at once; quotas; half of the owners are killed."""
    made, text = attack(machines, [f"pal_scale many 64 {LIVE // 64}"], *roomy(machines, 96))
    check(f"{LIVE} PALs of 64 processes live at once" in text, text)
    return f"{made} checks with {LIVE} PALs live at once, each quota by its name"


def test_pal_many_32(machines):
    """The same by 32-bit programs, on a 64-bit kernel and on one with PAE."""
    made = 0
    for kernel in ("amd64", "686-pae"):
        made += attack(machines, [f"pal_scale32 many 64 {LIVE // 64}", "pal_scale32 sizes 4"],
                       "--kernel", kernel, *roomy(machines, 96))[0]
    return f"{made} checks with {LIVE} PALs live at once"


def counting(machines, programs, palmem):
    """Where the TSC counts instructions: the checks made, what was printed, the longest exits."""
    count = ("--icount",) if machines.args.bench == "svm" else ("--cpus", "1")
    made, text = attack(machines, programs, *roomy(machines, palmem, "measure"), *count,
                        after="hvinfo",
                        adds=[machines.compile("hvinfo")])
    longest = {kind: int(n) for kind, n in re.findall(r"^longest-(\w+) (\d+)$", text, re.M)}
    check(longest.get("HYPERCALL"), f"nothing was measured:\n{text}")
    check(max(longest.values()) <= EXIT_MAX, f"more than {EXIT_MAX:,} instructions: {longest}")
    return made, text, longest["HYPERCALL"]


def test_pal_price(machines):
    """A call costs the same with 2 PALs and with 1,264; no exit is long, with many sections."""
    _, text, longest = counting(machines, ["pal_scale lookup"], 96)
    same = re.search(r"a call like the last one: (.*)", text).group(1)
    each = re.search(r"each of \d+ PALs.*: (.* at worst)", text).group(1)
    return (f"a call: {same}; each of them: {each}; the longest hypercall takes {longest:,} "
            f"instructions")


def test_pal_large(machines):
    """PALs of 4 KiB up to 64 MiB of data, in steps none of which takes long."""
    made, _, longest = counting(machines, ["pal_scale sizes 64"], 160)
    return f"{made} checks; the longest hypercall takes {longest:,} instructions"


BASIC = (test_pal_many, test_pal_price)
MORE = (test_pal_large, test_pal_many_32)

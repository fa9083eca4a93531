"""gdb looks at a debug PAL under the hypervisor (xmhfctl gdb), in a root image with Debian's gdb.

SPDX-License-Identifier: MIT
"""
import os

import roots
from common import SOURCE, Skipped, base, check

FOLDER = SOURCE / "tests" / "sdk" / "debug"
GDB = ("gdb -q -batch -ex \"target remote | xmhfctl gdb {pid}\" -ex 'p/x marker' -ex 'p motto' "
       "-ex bt -ex 'p turns > 0' -ex 'set var marker = 1' -ex detach {symbols} 2>&1")
ROUNDS = 2500000000  # some ten seconds; a gdb starts in a few

# A call that is interrupted, one that waits outside, and a PAL that nobody may look at.
SCRIPT = f"""\
debug {ROUNDS} & pid=$!; sleep 1
echo @@ turn; {GDB.format(pid="$pid", symbols="debug.pal.elf")}; wait $pid; echo status $?
debug -20 & pid=$!; sleep 1
echo @@ wait; {GDB.format(pid="$pid", symbols="debug.pal.elf")}; wait $pid; echo status $?
closed -4 & pid=$!; sleep 1
echo @@ closed; xmhfctl gdb $pid </dev/null; echo refused $?; wait $pid; echo status $?
sleep 4 & pid=$!
echo @@ other; xmhfctl gdb $pid </dev/null; echo refused $?; wait $pid; echo status $?
"""


def program(machines, name, *options):
    """The program with a debug image, or with one that is none; and its symbols."""
    folder = machines.scratch / name
    folder.mkdir(exist_ok=True)
    tools, sdk = machines.build / "pal_sdk" / "tools", SOURCE / "pal_sdk"
    if not (machines.build / "tools" / "xmhfctl").exists():
        raise Skipped("there is no tools/xmhfctl")
    image, host = folder / f"{name}.pal", folder / name
    environment = {**os.environ, "XMHF_BUILD": str(machines.build)}
    base.run([tools / "pal-cc", "-O1", *options, "--interface", FOLDER / "debug_interface.h", "-o",
              image, FOLDER / "debug_pal.c"], f"make {image.name}", env=environment)
    base.run([tools / "pal-cc", "-o", folder / "image.o", image], "embed it", env=environment)
    base.run([os.environ.get("CC", "gcc"), "-O1", "-I", sdk / "include", "-I", SOURCE / "include",
              "-o", host, FOLDER / "debug.c", folder / "image.o",
              machines.build / "pal_sdk" / "lib" / "64" / "libpal.a"], f"link {name}")
    return host, image.with_name(image.name + ".elf")


def test_debug_pal(machines):
    """gdb reads memory and registers of a debug PAL, and changes nothing; of others it can't."""
    opened = program(machines, "debug", "--debug")
    closed, _ = program(machines, "closed")
    run = machines.run(["sh", "-c", SCRIPT], "--root", roots.image("gdb"), "--timeout", "400",
                       adds=[*opened, closed, machines.build / "tools" / "xmhfctl"])
    text = run.ended_well().text()
    turn, wait, shut, other = text.split("@@ ")[1:]
    ended = ("detached]", "status 0", "right")
    for part, words in (
            (turn, ("= 0x600df00d", '"read me"', f"in turn (rounds=rounds@entry={ROUNDS})",
                    *ended)),
            (wait, ("= 0xca11ed", '"read me"', "in wait_outside (seconds=", *ended)),
            (shut, ("no such debug PAL", "refused 1", "status 0", "right")),
            (other, ("no such PAL", "refused 1", "status 0"))):
        for word in words:
            check(word in part, f"no {word!r} in:\n{text}")
    check("600df00d" not in shut + other, f"a PAL that is none for debugging was read:\n{text}")
    return "memory, registers and call chain of an interrupted and of a waiting call; no others"


BASIC = ()
MORE = (test_debug_pal,)

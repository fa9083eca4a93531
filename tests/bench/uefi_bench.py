"""What xmhf.efi costs: instructions until the next loader begins, and memory taken for good.

SPDX-License-Identifier: MIT

The firmware itself would take minutes where instructions are counted. So the machine boots without
that, up to tests/programs/efi/probe.c, and goes on in an emulator that counts.
"""
import pathlib
import re
import sys
import tempfile
import time
import types

sys.dont_write_bytecode = True  # the source tree stays as it is
SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(SOURCE / "tools" / "lib"), str(SOURCE / "tests" / "e2e")]
from xmhftools import base, bench, uefi  # noqa: E402
import efi  # noqa: E402

PAGE = 4096
SECONDS = 300
PROBE, XMHF = uefi.efi_path(efi.PROBE), uefi.efi_path(uefi.XMHF)
# The first probe: the control, which is another probe without us; then xmhf.efi, which has been
# loaded when the counting begins, and starts the last one.
WORDS = f"reserved wait tsc load={PROBE} start=tsc load={XMHF} tsc start off"
CONF = f"next={PROBE}\nargs=tsc reserved off\n"


def _machine(build, scratch):
    """The probe is the firmware's entry, and xmhf.efi on its disk."""
    conf = scratch / "bench.conf"
    conf.write_text(CONF, encoding="ascii")
    machines = types.SimpleNamespace(scratch=scratch, build=build, boot=None)
    hypervisor = bench.hypervisor_image(None, build, True)
    return efi.EfiMachine(machines, WORDS, smp="1", hypervisor=False, writable=True,
                          more=[(uefi.XMHF, hypervisor), (uefi.CONFIG, conf)])


def _save(machine):
    """Stop where the probe waits, let it go on as soon as the machine does, and keep its state."""
    waits = int(machine.wait_line(r"waits (\w+) 0", SECONDS).group(1), 16)
    before = machine.lines()
    machine.qmp("stop")
    machine.poke(waits, b"\1")
    machine.qmp("migrate", uri="exec:cat >state")
    end = time.monotonic() + SECONDS
    while machine.qmp("query-migrate").get("status") != "completed":
        if time.monotonic() > end:
            raise base.ToolError("the emulator does not write the machine's state")
        time.sleep(0.2)
    return before


def _count(machine):
    """Go on in an emulator of which one instruction is one tick of the TSC; the probes' lines."""
    bench.stop(machine.process)
    machine.qmp.link.close()
    machine.agent.close()
    for name in ("qmp", "agent"):
        (machine.folder / name).unlink(missing_ok=True)
    argv = ["tcg" if word == "tcg,thread=multi" else word for word in machine.argv]
    machine.argv = [*argv, "-icount", "shift=0,sleep=off", "-incoming", "exec:cat state"]
    machine.start()
    end = time.monotonic() + SECONDS
    while machine.qmp("query-status")["status"] == "inmigrate" and time.monotonic() < end:
        time.sleep(0.2)
    machine.qmp("cont")
    machine.wait_end(SECONDS)
    return machine.lines()


def _numbers(lines, what):
    return [[int(word, 16) for word in found.groups()]
            for found in (re.fullmatch(rf"{what} (\w+) (\w+)", line) for line in lines) if found]


def figures(build):
    """{name: number}: uefi-ticks, from xmhf.efi's first instruction to the next program's, less
    what loading that takes; uefi-taken, bytes that the memory map has as reserved and had not."""
    base.say("uefi_bench.py: booting, UEFI firmware, then xmhf.efi by counted instructions")
    with tempfile.TemporaryDirectory(prefix="xmhf-bench-") as scratch:
        with _machine(build, pathlib.Path(scratch)) as machine:
            before = _save(machine)
            lines = _count(machine)
            log = machine.log()
    tsc, (_, pages), (_, pages_before) = (
        _numbers(lines, "tsc"), *_numbers(lines, "reserved"), *_numbers(before, "reserved"))
    if len(tsc) != 4 or "probe started, under XMHF 1" not in log:
        raise base.ToolError(f"xmhf.efi did not start the probe:\n{log[-2000:]}")
    (_, start), (alone, _), (_, ours), (under, _) = tsc
    return {"uefi-ticks": under - ours - (alone - start),
            "uefi-taken": (pages - pages_before) * PAGE}


if __name__ == "__main__":
    print(figures(base.build_root()))

"""A machine that a test talks to while it runs: QMP to the emulator, a shell in the guest.

SPDX-License-Identifier: MIT
"""
import json
import mmap
import pathlib
import re
import select
import socket
import tempfile
import time
import types

from common import E2E, MEMORY, Failed, check
from xmhftools import base, bench, debian, initramfs, qemu

# The agent's port has an interrupt of its own: the console's would be shared.
AGENT = ["-chardev", "socket,id=agent,path=agent,server=on,wait=off",
         "-device", "isa-serial,chardev=agent,index=2,irq=5"]
# A machine that resets or powers off stays, stopped, with all of its memory.
PAUSE = ["-action", "shutdown=pause"]


def _connect(path, process, seconds=30):
    """A connection to a Unix socket that the emulator is about to make."""
    end = time.monotonic() + seconds
    while True:
        link = socket.socket(socket.AF_UNIX)
        try:
            link.connect(str(path))
            return link
        except OSError as problem:
            link.close()
            if process.poll() is not None or time.monotonic() > end:
                raise base.ToolError(f"the emulator does not listen at {path}") from problem
            time.sleep(0.1)


class Qmp:
    """QEMU's machine protocol: commands, and the events seen so far."""

    def __init__(self, link):
        self.link, self.rest, self.events = link, b"", []
        self._message(30)  # the greeting
        self("qmp_capabilities")

    def _message(self, seconds):
        """The next message, or None."""
        end = time.monotonic() + seconds
        while b"\n" not in self.rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.link], [], [], left)[0]:
                return None
            data = self.link.recv(65536)
            if not data:
                raise base.ToolError("the emulator ended")
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\n")
        message = json.loads(line)
        if "event" in message:
            self.events.append(message)
        return message

    def __call__(self, command, **arguments):
        text = json.dumps({"execute": command, "arguments": arguments})
        self.link.sendall(text.encode() + b"\n")
        while True:
            message = self._message(120)
            if message is None:
                raise base.ToolError(f"no answer to QMP's {command}")
            if "error" in message:
                raise base.ToolError(f"QMP's {command}: {message['error']['desc']}")
            if "return" in message:
                return message["return"]

    def wait(self, event, seconds):
        """The data of the next such event, which is taken; None if it does not come."""
        end = time.monotonic() + seconds
        while True:
            for index, message in enumerate(self.events):
                if message["event"] == event:
                    return self.events.pop(index).get("data", {})
            left = end - time.monotonic()
            if left <= 0:
                return None
            self._message(left)


class Live:
    """One machine; to be used in a with statement.

    `guest` names a file that is booted instead of Linux, by the Linux boot protocol.
    `smp` is QEMU's -smp value. `one_core` is for PALs on several CPUs at once (notes/testing.md).
    """

    def __init__(self, machines, smp="2", mem=MEMORY, hypervisor=True, adds=(), append="",
                 hv_append="", modules=(), qemu_args=(), guest=None, one_core=False):
        self.machines, self.mem = machines, mem
        self.keep = tempfile.TemporaryDirectory(dir=machines.scratch, prefix="live-")
        self.folder = pathlib.Path(self.keep.name)
        self.count, self.heard = 0, b""
        self.args = types.SimpleNamespace(
            icount=False, cpu_model=None, one_core=one_core, cpus=smp, mem=mem, qmp=str(self.folder / "qmp"),
            qemu_arg=[*AGENT, *PAUSE, *qemu_args], boot="kernel", hv_append=hv_append)
        files = types.SimpleNamespace(
            hypervisor=bench.hypervisor_image(None, machines.build) if hypervisor else None,
            kernel=guest or bench.kernel_file("amd64"), no_initrd=bool(guest),
            append=append if guest else f"{bench.LINUX_ARGUMENTS} {append}".strip())
        if not guest:
            data = initramfs.make("amd64", ["sh", "agent.sh"], "end",
                                  [str(add) for add in (E2E / "agent.sh", *adds)], "amd64", modules)
            (self.folder / "initrd.gz").write_bytes(data)
        (self.folder / "output").touch()
        self.argv = qemu.command(self.args, files, self.folder)
        self.process = self.qmp = self.agent = None

    def __enter__(self):
        self.process = bench.spawn(self.argv, self.folder)
        try:
            self.qmp = Qmp(_connect(self.folder / "qmp", self.process))
            self.agent = _connect(self.folder / "agent", self.process)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        bench.stop(self.process)
        for link in (self.qmp and self.qmp.link, self.agent):
            if link:
                link.close()
        self.keep.cleanup()

    def log(self):
        return (self.folder / "serial.log").read_bytes().decode(errors="replace").replace("\r", "")

    def wait_log(self, pattern, seconds, start=0):
        """Wait until the serial log, from `start` on, has this; return the match."""
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.log()[start:], re.M)
            if found:
                return found
            check(time.monotonic() < end,
                  f"the serial log has no {pattern!r} after {seconds} s:\n{self.tail()}")
            time.sleep(0.2)

    def tail(self):
        return "\n".join(line for line in self.log().split("\n")[-15:])

    # --- the guest's shell

    def answer(self, number, seconds):
        """What the agent says until the end of command `number`: (text, status)."""
        end = time.monotonic() + seconds
        mark = re.compile(rb"\n#%d (\d+)\n" % number)
        while True:
            found = mark.search(self.heard)
            if found:
                text = self.heard[:found.start()]
                self.heard = self.heard[found.end():]
                return text.decode(errors="replace"), int(found.group(1))
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.agent], [], [], left)[0]:
                raise Failed(f"the guest did not answer within {seconds} s; it said "
                             f"{self.heard[-500:]!r}, and on the console:\n{self.tail()}")
            data = self.agent.recv(65536)
            if not data:
                raise Failed(f"the machine ended:\n{self.tail()}")
            self.heard += data

    def ready(self, seconds=240):
        """Wait for the guest's shell; also after a reset."""
        self.answer(0, seconds)
        self.qmp("set-action", reboot="shutdown")
        self.qmp.events.clear()
        return self

    def send(self, script):
        """Have the guest's shell begin one line, whose end may never come."""
        self.count += 1
        self.agent.sendall(f"{self.count} {script}\n".encode())
        return self.count

    def sh(self, script, seconds=120, fails=False):
        """What one line of shell prints in the guest; it must end with status 0."""
        text, status = self.answer(self.send(script), seconds)
        check(fails or status == 0, f"in the guest: {script}: status {status}\n{text}")
        return text.strip()

    # --- memory, from outside

    def dump(self, start=0, size=None):
        """Physical memory as bytes-like object."""
        path = self.folder / "memory"
        self.qmp("pmemsave", val=start, size=size or self.mem << 20, filename=str(path))
        with open(path, "rb") as handle:
            data = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        path.unlink()
        return data

    def search(self, secret):
        """Physical addresses of any 8 aligned bytes of the secret, the machine being stopped."""
        running = self.qmp("query-status")["running"]
        if running:
            self.qmp("stop")
        with self.dump() as data:
            found = set()
            for at in range(0, len(secret), 8):
                place = data.find(secret[at:at + 8])
                while place >= 0:
                    found.add(place)
                    place = data.find(secret[at:at + 8], place + 1)
        if running:
            self.qmp("cont")
        return sorted(found)

    # --- ends

    def stopped(self, seconds=90):
        """Wait until the machine resets or powers off; it is stopped then. Return why."""
        event = self.qmp.wait("SHUTDOWN", seconds)
        check(event is not None, f"no reset within {seconds} s:\n{self.tail()}")
        return event["reason"]

    def boot_again(self):
        """After stopped(): a warm reset, memory as it is."""
        start = len(self.log())
        self.heard = b""
        # Until ready(): the firmware, which finds itself already run, resets once more.
        self.qmp("set-action", reboot="reset")
        self.qmp("system_reset")
        check(self.qmp.wait("RESET", 30) is not None, "the emulator's reset does not work")
        while self.qmp("query-status")["status"] == "shutdown":
            time.sleep(0.1)
        self.qmp("cont")
        return start

    def protected(self):
        """(first, last) address of the hypervisor's memory."""
        found = self.wait_log(r"^\[xmhf\] protected range: (\d+) KiB at (0x[0-9a-f]+)", 120)
        first = int(found.group(2), 16)
        return first, first + (int(found.group(1)) << 10) - 1


def build_id(path):
    """The build id of an ELF file."""
    text = base.run(["readelf", "-n", path], f"read the notes of {path}")
    return re.search(r"Build ID: ([0-9a-f]+)", text).group(1)


def package_file(package, path):
    """A file of a Debian package, which is fetched into the cache."""
    return debian.package_dir(package) / path

"""A machine that a test talks to while it runs: a shell in the guest, the emulator from outside.

SPDX-License-Identifier: MIT
"""
import json
import mmap
import pathlib
import re
import select
import signal
import socket
import subprocess
import tempfile
import time
import types

from common import MEMORY, PROGRAMS, Failed, check
from xmhftools import base, bench, bochs, debian, initramfs, qemu

# The agent's port has an interrupt of its own: the console's would be shared.
AGENT = ["-chardev", "socket,id=agent,path=agent,server=on,wait=off",
         "-device", "isa-serial,chardev=agent,index=2,irq=5"]
# A machine that resets or powers off stays, stopped, with all of its memory.
PAUSE = ["-action", "shutdown=pause"]
# Memory that can be written from outside.
MEMORY_FILE = ["-object", "memory-backend-file,id=ram,mem-path=ram,share=on,size={}M",
               "-machine", "memory-backend=ram"]
# More CPUs than the host has run out of step: a clock that all share keeps Linux calm.
STEADY = "tsc=unstable clocksource=acpi_pm"
RESET_VECTOR = 0xfffffff0
# Where the hypervisor sees RAM outside of its own memory, and that (xmhf-core/mm/host_map.h).
DIRECT_VA, CORE_VA = 0xffff800000000000, 0xffffffff80000000


def _connect(where, process, seconds=30):
    """A connection to a socket that the emulator is about to make: a path, or (host, port)."""
    end = time.monotonic() + seconds
    while True:
        link = socket.socket(socket.AF_INET if isinstance(where, tuple) else socket.AF_UNIX)
        try:
            link.connect(where)
            return link
        except OSError as problem:
            link.close()
            if process.poll() is not None or time.monotonic() > end:
                raise base.ToolError(f"the emulator does not listen at {where}") from problem
            time.sleep(0.1)


class Qmp:
    """QEMU's machine protocol: commands, and the events seen so far."""

    def __init__(self, link):
        self.link, self.rest, self.events = link, b"", []
        self._message(30)  # the greeting
        self("qmp_capabilities")

    def _received(self):
        """What has come; nothing where the emulator is gone."""
        try:
            return self.link.recv(65536)
        except ConnectionError:
            return b""

    def _message(self, seconds):
        """The next message, or None."""
        end = time.monotonic() + seconds
        while b"\n" not in self.rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.link], [], [], left)[0]:
                return None
            data = self._received()
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


def places(data, secret, first=0):
    """Addresses of any 8 aligned bytes of the secret in data, whose first byte is at `first`."""
    found = set()
    for at in range(0, len(secret), 8):
        place = data.find(secret[at:at + 8])
        while place >= 0:
            found.add(first + place)
            place = data.find(secret[at:at + 8], place + 1)
    return found


class Machine:
    """One machine; to be used in a with statement.

    KERNEL is what it boots, PORT where the guest's shell listens. `guest` names a file that is
    booted instead of Linux, by the Linux boot protocol.
    """

    def __init__(self, machines, mem):
        self.machines, self.mem = machines, mem
        self.keep = tempfile.TemporaryDirectory(dir=machines.scratch, prefix="live-")
        self.folder = pathlib.Path(self.keep.name)
        self.count, self.heard = 0, b""
        self.process = self.agent = None

    @classmethod
    def initrd(cls, adds, modules=()):
        """The guest's initramfs, whose shell listens at a serial port."""
        return initramfs.make("amd64", ["sh", "agent.sh", cls.PORT], "end",
                              [str(add) for add in (PROGRAMS / "agent.sh", *adds)], cls.KERNEL,
                              modules)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        if self.process:
            bench.stop(self.process)
        if self.agent:
            self.agent.close()
        self.keep.cleanup()

    def log(self):
        return (self.folder / "serial.log").read_bytes().decode(errors="replace").replace("\r", "")

    def wait_log(self, pattern, seconds, start=0):
        """Wait until the serial log, from `start` on, has this; return the match."""
        deadline = bench.Deadline(self.process, seconds)
        while True:
            found = re.search(pattern, self.log()[start:], re.M)
            if found:
                return found
            check(not deadline.over(),
                  f"the serial log has no {pattern!r} after {seconds} s:\n{self.tail()}")
            time.sleep(0.2)

    def tail(self):
        return "\n".join(line for line in self.log().split("\n")[-15:])

    # --- the guest's shell

    def answer(self, number, seconds):
        """What the agent says until the end of command `number`: (text, status)."""
        deadline = bench.Deadline(self.process, seconds)
        mark = re.compile(rb"\n#%d (\d+)\n" % number)
        while True:
            found = mark.search(self.heard)
            if found:
                text = self.heard[:found.start()]
                self.heard = self.heard[found.end():]
                return text.decode(errors="replace"), int(found.group(1))
            while not deadline.over() and not select.select([self.agent], [], [],
                                                            min(1, deadline.left()))[0]:
                pass
            if deadline.over():
                raise Failed(f"the guest did not answer within {seconds} s; it said "
                             f"{self.heard[-500:]!r}, and on the console:\n{self.tail()}")
            data = self.agent.recv(65536)
            if not data:
                raise Failed(f"the machine ended:\n{self.tail()}")
            self.heard += data

    def send(self, script):
        """Have the guest's shell begin one line, whose end may never come."""
        self.count += 1
        self.agent.sendall(f"{self.count} {script}\n".encode())
        return self.count

    def send_last(self, script):
        """Have the guest's shell begin one line that ends the machine; stopped() follows."""
        self.send(script)

    def sh(self, script, seconds=120, fails=False):
        """What one line of shell prints in the guest; it must end with status 0."""
        text, status = self.answer(self.send(script), seconds)
        check(fails or status == 0, f"in the guest: {script}: status {status}\n{text}")
        return text.strip()

    def protected(self):
        """(first, last) address of the hypervisor's memory."""
        found = self.wait_log(r"^\[xmhf\] protected range: (\d+) KiB at (0x[0-9a-f]+)", 120)
        first = int(found.group(2), 16)
        return first, first + (int(found.group(1)) << 10) - 1


class QemuMachine(Machine):
    """In QEMU, driven by QMP.

    `smp` is QEMU's -smp value. `one_core` is for PALs on several CPUs at once (notes/testing.md).
    `writable` makes poke() possible. `boot` is xmhf-run's --boot.
    """
    KERNEL, PORT = "amd64", "ttyS2"

    def __init__(self, machines, smp="2", mem=MEMORY, hypervisor=True, adds=(), append="",
                 hv_append="", modules=(), qemu_args=(), guest=None, one_core=False, writable=False,
                 boot=None):
        super().__init__(machines, mem)
        boot = boot or machines.boot or "kernel"
        if writable:
            qemu_args = [*qemu_args, *(arg.format(mem) for arg in MEMORY_FILE)]
        self.args = types.SimpleNamespace(
            icount=False, cpu_model=None, one_core=one_core, cpus=smp, mem=mem,
            qmp=str(self.folder / "qmp"),
            qemu_arg=[*AGENT, *PAUSE, *qemu_args], boot=boot, hv_append=hv_append)
        files = types.SimpleNamespace(
            hypervisor=bench.hypervisor_image(None, machines.build, qemu.BOOT_WAYS[boot].efi)
            if hypervisor else None,
            kernel=guest or bench.kernel_file(self.KERNEL), no_initrd=bool(guest),
            append=append if guest else f"{bench.LINUX_ARGUMENTS} {append}".strip())
        if not guest:
            (self.folder / "initrd.gz").write_bytes(self.initrd(adds, modules))
        (self.folder / "output").touch()
        self.argv = qemu.command(self.args, self.files(files), self.folder)
        self.qmp = None

    def files(self, files):
        """Another kind of machine has more."""
        return files

    def start(self):
        self.process = bench.spawn(self.argv, self.folder)
        try:
            self.qmp = Qmp(_connect(str(self.folder / "qmp"), self.process))
        except base.ToolError as problem:
            said = "\n".join(bench.emulator_messages(self.folder))
            raise base.ToolError(f"{problem}\n{said}".strip()) from problem
        self.agent = _connect(str(self.folder / "agent"), self.process)

    def __exit__(self, kind, value, trace):
        if self.qmp:
            self.qmp.link.close()
        super().__exit__(kind, value, trace)

    def ready(self, seconds=240):
        """Wait for the guest's shell; also after a reset."""
        self.answer(0, seconds)
        self.qmp("set-action", reboot="shutdown")
        self.qmp.events.clear()
        return self

    def dump(self, start=0, size=None):
        """Physical memory as bytes-like object."""
        path = self.folder / "memory"
        self.qmp("pmemsave", val=start, size=size or self.mem << 20, filename=str(path))
        with open(path, "rb") as handle:
            data = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        path.unlink()
        return data

    def stopped_memory(self):
        """After stopped(): all memory below 4 GiB, as bytes-like object."""
        return self.dump()

    def poke(self, address, data):
        """After stopped(): write physical memory."""
        with open(self.folder / "ram", "r+b") as handle:
            handle.seek(address)
            handle.write(data)

    def search(self, secret):
        """Where in physical memory any 8 aligned bytes of the secret are."""
        running = self.qmp("query-status")["running"]
        if running:
            self.qmp("stop")
        with self.dump() as data:
            found = places(data, secret)
        if running:
            self.qmp("cont")
        return sorted(found)

    def stopped(self, seconds=90):
        """Wait until the machine resets or powers off; it is stopped then. Return why."""
        deadline, event = bench.Deadline(self.process, seconds), None
        while event is None and not deadline.over():
            event = self.qmp.wait("SHUTDOWN", min(1, seconds))
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

    def inject_nmi(self):
        """An NMI to every CPU. Fails if the machine has ended."""
        self.qmp("inject-nmi")
        check(not any(event["event"] == "SHUTDOWN" for event in self.qmp.events),
              f"the guest reset:\n{self.tail()}")


class Debugger:
    """Bochs' own debugger, on its standard input and output."""

    def __init__(self, process, output):
        self.process, self.output, self.seen = process, output, 0

    def prompt(self, seconds):
        """Wait for the next prompt: the machine is stopped. What was said before it, or None."""
        deadline = bench.Deadline(self.process, seconds)
        while True:
            data = self.output.read_bytes()
            at = data.find(b"<bochs:", self.seen)
            if at >= 0:
                text, self.seen = data[self.seen:at], at + 7
                return text.decode(errors="replace")
            if self.process.poll() is not None or deadline.over():
                return None
            time.sleep(0.01)

    def send(self, command):
        """Type a command and don't wait for what it says."""
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()

    def __call__(self, command):
        self.send(command)
        text = self.prompt(120)
        if text is None:
            raise base.ToolError(f"no answer to Bochs' {command}")
        return text

    def interrupt(self):
        """Stop the machine. A signal that comes before Bochs has obeyed "c" is lost; one too many
        would stop it again later."""
        time.sleep(0.3)
        for _ in range(20):
            self.process.send_signal(signal.SIGINT)
            if self.prompt(8) is not None:
                return
        raise base.ToolError("Bochs does not stop")


class BochsMachine(Machine):
    """In Bochs, driven by its debugger. `one_core` means nothing here: Bochs is one thread."""
    KERNEL, PORT = "cloud-amd64", "ttyS1"

    def __init__(self, machines, smp="2", mem=None, hypervisor=True, adds=(), append="",
                 hv_append="", modules=(), guest=None, one_core=True, writable=True):
        super().__init__(machines, mem or machines.memory)
        del one_core, writable
        args = types.SimpleNamespace(cpu_model=None, cpus=int(smp), mem=self.mem, boot="grub-mb2",
                                     hv_append=hv_append)
        files = types.SimpleNamespace(
            hypervisor=bench.hypervisor_image(None, machines.build) if hypervisor else None,
            kernel=guest or bench.kernel_file(self.KERNEL), no_initrd=bool(guest),
            append=append if guest
            else f"{bench.LINUX_ARGUMENTS} {bochs.LINUX_ARGUMENTS} {append}".strip())
        if not guest:
            (self.folder / "initrd.gz").write_bytes(self.initrd(adds, modules))
        with socket.socket() as free:
            free.bind(("localhost", 0))
            self.port = free.getsockname()[1]
        self.argv = bochs.command(args, files, self.folder, self.port)
        self.debugger, self.at_reset, self.breakpoints = None, False, 0

    def start(self):
        (self.folder / "serial.log").touch()
        self.process = bench.spawn(self.argv, self.folder, subprocess.PIPE)
        self.debugger = Debugger(self.process, self.folder / "emulator.txt")
        self.agent = _connect(("localhost", self.port), self.process)
        check(self.debugger.prompt(60) is not None, "Bochs does not start")
        self.debugger.send("c")

    def ready(self, seconds=600):
        """Wait for the guest's shell; also after a reset."""
        self.answer(0, seconds)
        return self

    def send_last(self, script):
        self.debugger.interrupt()
        self.debugger(f"pb {RESET_VECTOR:#x}")  # makes Bochs slow
        self.breakpoints += 1
        self.debugger.send("c")
        super().send_last(script)

    # --- memory, from outside

    def linear(self, start, size):
        """Memory as the CPU sees it that the debugger looks at."""
        path = self.folder / "memory"
        path.unlink(missing_ok=True)
        said = self.debugger(f'writemem "{path}" {start:#x} {size:#x}')
        data = path.read_bytes() if path.exists() else b""
        check(len(data) == size, f"Bochs wrote {len(data)} of {size} bytes at {start:#x}: {said}")
        return data

    def dump(self, start, size):
        """Memory of a guest that maps it one to one."""
        self.debugger.interrupt()
        data = self.linear(start, size)
        self.debugger.send("c")
        return memoryview(data)

    def stopped_memory(self):
        return self.linear(0, self.mem << 20)

    def poke(self, address, data):
        for at, byte in enumerate(data, address):
            self.debugger(f"setpmem {at:#x} 1 {byte:#x}")

    def search(self, secret):
        """Where in physical memory any 8 aligned bytes of the secret are. In a machine that runs
        the first MiB is left out, and what comes behind the hypervisor."""
        if self.at_reset:
            return sorted(places(self.linear(0, self.mem << 20), secret))
        first, last = self.protected()
        self.debugger.interrupt()
        # In the hypervisor, which has all memory mapped.
        self.debugger("vmexitbp")
        self.debugger("c")
        found = places(self.linear(DIRECT_VA + (1 << 20), first - (1 << 20)), secret, 1 << 20)
        found |= places(self.linear(CORE_VA, last + 1 - first), secret, first)
        self.debugger("vmexitbp")
        self.debugger.send("c")
        return sorted(found)

    def stopped(self, seconds=300):
        """Wait until the machine resets; it is stopped then, with all of its memory. Return why."""
        said = self.debugger.prompt(seconds)
        check(said and f"{RESET_VECTOR:08x}" in said,
              f"no reset within {seconds} s ({said}):\n{self.tail()}")
        self.at_reset = True
        return "guest-reset"

    def boot_again(self):
        """After stopped(): a warm reset, memory as it is."""
        start = len(self.log())
        self.heard = b""
        self.at_reset = False
        self.debugger(f"d {self.breakpoints}")
        self.debugger.send("c")
        return start


def live_class(machines):
    """What this bench has."""
    return QemuMachine if machines.args.bench == "svm" else BochsMachine


def live_machine(machines, **options):
    """A machine of this bench."""
    return live_class(machines)(machines, **options)


def build_id(path):
    """The build id of an ELF file."""
    text = base.run(["readelf", "-n", path], f"read the notes of {path}")
    return re.search(r"Build ID: ([0-9a-f]+)", text).group(1)


def package_file(package, path):
    """A file of a Debian package, which is fetched into the cache."""
    return debian.package_dir(package) / path

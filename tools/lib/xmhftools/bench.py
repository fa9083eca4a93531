"""Runs one machine (an emulator process) until its command has ended.

SPDX-License-Identifier: MIT
"""
import ctypes
import os
import pathlib
import re
import select
import signal
import subprocess
import time

from . import debian, inputs
from .base import ToolError
from .inputs import hypervisor_image  # noqa: F401  (all who start machines need it)

# What a guest of any bench needs: the console, no waiting after a panic, and no
# self-tests or auditing that would only cost emulated time.
LINUX_ARGUMENTS = ("console=ttyS0,115200 panic=-1 nowatchdog audit=0 selinux=0 apparmor=0 "
                   "cryptomgr.notests random.trust_cpu=on")

MACHINE_FAILED = 125
POWER_OFF_SECONDS = 15
PANIC_SECONDS = 2  # of silence behind a panic message: it has arrived, all of it
# What hypervisor or kernel say when they will not go on. Sought anywhere in a line,
# for both write to the same serial port.
NOT_UNDERSTOOD = re.compile(rb"\[xmhf[^\]]*\] (option not understood: .*)")
_GIVE_UP = re.compile(rb"\[xmhf[^\]]*\] (?:PANIC:|cannot start:|launch refused).*|Kernel panic - "
                      rb".*")


def kernel_file(name):
    """Path of the bzImage for a flavour or a file name."""
    if name in debian.KERNELS:
        return debian.kernel_dir(name) / "vmlinuz"
    if not os.path.exists(name):
        raise ToolError(f"there is no kernel {name}: give a file or one of "
                        f"{', '.join(debian.KERNELS)}")
    return inputs.bzimage(name)


class OutputSplitter:
    """Separates what the command printed from the record before it, ahead of which firmware and
    loaders may use the same port, and from the closing one with its status."""

    def __init__(self, marker, emit):
        self._end = b"\0" + marker.encode() + b" "
        self._start = self._end + b"start\n"
        self._begun = False
        self._emit = emit
        self._held = b""
        self.status = None

    def feed(self, data):
        """Pass on output; keep back only what may be the start of the record."""
        self._held += data
        if not self._begun and not self._find_start():
            return
        at = self._held.find(self._end)
        if at >= 0:
            newline = self._held.find(b"\n", at)
            if newline < 0:
                return
            status = self._held[at + len(self._end):newline]
            self.status = int(status) if status.isdigit() else MACHINE_FAILED
            self._emit(self._held[:at])
            self._held = b""
            return
        keep = self._tail_to_keep()
        cut = len(self._held) - keep
        if cut:
            self._emit(self._held[:cut])
            self._held = self._held[cut:]

    def flush(self):
        """The machine has ended: everything held back was output after all."""
        self._emit(self._held if self._begun else b"")
        self._held = b""

    def _find_start(self):
        """Drop what is before the first record, and that; whether it has come."""
        _, found, rest = self._held.partition(self._start)
        self._begun = bool(found)
        self._held = rest if found else self._held[-len(self._start):]
        return self._begun

    def _tail_to_keep(self):
        at = self._held.rfind(b"\0")
        if at >= 0 and self._end.startswith(self._held[at:]):
            return len(self._held) - at
        return 0


class LogWatcher:
    """Follows the serial log: passes on the hypervisor's lines, notices panics."""

    def __init__(self, path, show=None):
        self._path = path
        self._show = show
        self.size = 0  # of the log so far
        self._line = b""
        self.panic = None
        self.complaints = []  # of the hypervisor, about its options

    def poll(self):
        """Look at what was added since the last time."""
        try:
            with open(self._path, "rb") as handle:
                handle.seek(self.size)
                data = handle.read()
        except FileNotFoundError:
            return
        self.size += len(data)
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            line = line.strip(b"\r")
            found = _GIVE_UP.search(line)
            if found and self.panic is None:
                self.panic = found.group(0).decode(errors="replace")
            found = NOT_UNDERSTOOD.search(line)
            if found:
                self.complaints.append(found.group(1).decode(errors="replace"))
            if self._show and line.startswith(b"[xmhf"):
                self._show(line.decode(errors="replace"))

    def tail(self, count):
        """The last lines of the log, for a failure report."""
        try:
            data = pathlib.Path(self._path).read_bytes()[-20000:]
        except FileNotFoundError:
            return []
        lines = data.decode(errors="replace").replace("\r", "").split("\n")
        return [line for line in lines if line.strip()][-count:]


class Deadline:
    """Some seconds for an emulator. Only time counts in which it could have run: what its threads
    waited for a core of the host doesn't, or a busy host would look like a machine that hangs. A
    machine whose CPUs all sleep waits for no core. In all it gets ten times as long."""

    def __init__(self, process, seconds):
        self._tasks = pathlib.Path(f"/proc/{process.pid}/task")
        self.seconds = seconds
        self.restart()

    def _waited(self):
        """{thread: seconds that it waited for a core}."""
        waited = {}
        try:
            for task in self._tasks.iterdir():
                waited[task.name] = int((task / "schedstat").read_text().split()[1]) / 1e9
        except (OSError, IndexError, ValueError):
            pass  # it is ending, or this kernel doesn't tell
        return waited

    def restart(self):
        """As if new."""
        self._began, self._before = time.monotonic(), self._waited()

    def had(self):
        """Seconds that the machine had so far: less those of the thread that waited longest."""
        waits = (now - self._before.get(name, 0) for name, now in self._waited().items())
        return time.monotonic() - self._began - max(waits, default=0)

    def left(self):
        """Seconds that are left, at least."""
        if time.monotonic() - self._began > 10 * self.seconds:
            return 0
        return max(0.0, self.seconds - self.had())

    def over(self):
        return self.left() <= 0


def die_with_parent():
    """In the child: have the kernel end the emulator if we are killed outright."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def spawn(argv, folder, stdin=subprocess.DEVNULL):
    """Start an emulator in a folder; its own messages go to emulator.txt there."""
    with open(os.path.join(folder, "emulator.txt"), "wb") as out:
        return subprocess.Popen([str(a) for a in argv], cwd=folder, stdin=stdin,
                                stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
                                preexec_fn=die_with_parent)


def emulator_messages(folder):
    """What the emulator itself said, without what it says on every run."""
    usual = ("TCG doesn't support requested feature", "terminating on signal")
    lines = (pathlib.Path(folder) / "emulator.txt").read_text(errors="replace").splitlines()
    return [line for line in lines if line.strip() and not any(u in line for u in usual)]


def stop(process):
    """End an emulator that we started."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def open_fifo(path):
    """A named pipe for the guest's second serial port, opened for reading."""
    os.mkfifo(path)
    # Read and write, so that the emulator's open never waits and we see no
    # end of file before it has opened its side.
    return os.open(path, os.O_RDWR | os.O_NONBLOCK)


def _read_some(fifo, seconds):
    ready, _, _ = select.select([fifo], [], [], seconds)
    if not ready:
        return b""
    try:
        return os.read(fifo, 65536)
    except BlockingIOError:
        return b""


def follow(process, fifo, splitter, watcher, timeout, was_reset=lambda: False):
    """Wait for the command's end. Return None, or why the machine failed.

    `was_reset` tells of an emulator that goes on after a reset.
    """
    deadline = Deadline(process, timeout)
    said, silence = 0, Deadline(process, PANIC_SECONDS)  # of a machine that panics: its log's size
    while True:
        ended = process.poll() is not None or was_reset()
        data = _read_some(fifo, 0 if ended else 0.1)
        splitter.feed(data)
        watcher.poll()
        if splitter.status is not None:
            return None
        if ended and not data:
            splitter.flush()
            how = "reset" if process.returncode is None else f"emulator status {process.returncode}"
            return (f"gave up: {watcher.panic}" if watcher.panic else
                    f"the machine stopped before the command ended ({how})")
        if watcher.panic and watcher.size != said:
            said = watcher.size
            silence.restart()
        if watcher.panic and silence.over():
            splitter.flush()
            return f"gave up: {watcher.panic}"
        if deadline.over():
            splitter.flush()
            return f"no result within {timeout:g} seconds of its own time"


def wait_power_off(process, watcher):
    """After the command: let the guest power off. Return None, or a warning."""
    try:
        process.wait(POWER_OFF_SECONDS)
    except subprocess.TimeoutExpired:
        return f"the guest did not power off within {POWER_OFF_SECONDS} seconds"
    finally:
        watcher.poll()
    return None

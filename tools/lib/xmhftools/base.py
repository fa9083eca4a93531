"""Paths, errors and small helpers that every tool needs.

SPDX-License-Identifier: MIT
"""
import contextlib
import errno
import fcntl
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile


class ToolError(Exception):
    """A problem the user can act on; its text is shown without a traceback."""


def cache_root():
    """Folder, outside the source tree, for what can be downloaded or rebuilt."""
    explicit = os.environ.get("XMHF_CACHE")
    if explicit:
        return pathlib.Path(explicit).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(base).absolute() / "xmhf"


def build_root():
    """The build folder: $XMHF_BUILD, or one in the cache."""
    explicit = os.environ.get("XMHF_BUILD")
    return pathlib.Path(explicit).absolute() if explicit else cache_root() / "build"


def say(text):
    """Progress goes to stderr: stdout belongs to the result."""
    print(text, file=sys.stderr, flush=True)


def need(program, package):
    """Return the path of a program, or say which package has it."""
    # Debian users' PATH may lack /usr/sbin, where depmod and friends live.
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise ToolError(f"{program} is missing: run  apt-get install {package}")
    return path


# What apt, dpkg, xorriso, tar and the C library say when a disk is full.
FULL = ("No space left on device", "enough free space", "Disk quota exceeded", "disk is full")


def disk_full():
    """What to say then: which disk it may be, and what to do."""
    left = {}
    for folder in (cache_root(), build_root(), os.environ.get("TMPDIR") or tempfile.gettempdir(),
                   os.getcwd()):
        folder = pathlib.Path(folder)
        while not folder.exists():
            folder = folder.parent
        left[folder] = shutil.disk_usage(folder).free >> 20
    little = {folder: free for folder, free in left.items() if free < 64} or left
    told = ", ".join(f"{folder} has {free} MiB left" for folder, free in little.items())
    return (f"a disk is full ({told}): free some space, or set "
            "XMHF_CACHE, XMHF_BUILD or TMPDIR to a folder elsewhere")


def problem_of(exc):
    """An OSError in words."""
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"cannot write{f' {exc.filename}' if exc.filename else ''}: {disk_full()}"
    return f"{exc.filename}: {exc.strerror}" if exc.filename else str(exc)


def run(argv, what, **kwargs):
    """Run a helper program; on failure raise ToolError with what it printed."""
    try:
        done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, errors="replace",
                              check=False, **kwargs)
    except FileNotFoundError as exc:
        there = exc.filename is None or os.path.isdir(kwargs.get("cwd") or ".")
        missing = argv[0] if there else f"the folder {kwargs['cwd']}"
        raise ToolError(f"cannot {what}: {missing} is missing") from exc
    except OSError as exc:
        raise ToolError(f"cannot {what}: {exc.filename or argv[0]}: {exc.strerror}") from exc
    if done.returncode and any(words in done.stdout + done.stderr for words in FULL):
        raise ToolError(f"cannot {what}: {disk_full()}")
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise ToolError(f"cannot {what}: {os.path.basename(str(argv[0]))} "
                        f"ended with status {done.returncode}:\n{tail}")
    return done.stdout


def cpu_seconds():
    """What this process and those that it has waited for have used."""
    return sum(used.ru_utime + used.ru_stime for used in
               map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def split_command(argv):
    """Split at the first "--": (options, command). argparse cannot do this reliably."""
    if "--" not in argv:
        return argv, []
    at = argv.index("--")
    return argv[:at], argv[at + 1:]


@contextlib.contextmanager
def locked(name):
    """Hold a lock of the cache, so that two runs do not fetch the same thing."""
    root = cache_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        handle = open(root / f"{name}.lock", "w", encoding="ascii")
    except OSError as exc:
        raise ToolError(f"cannot write to the cache {root}: {exc.strerror} "
                        "(set XMHF_CACHE to another folder)") from exc
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def fail(problem):
    """End the tool with what went wrong."""
    name = os.path.basename(sys.argv[0])
    print(f"{name}: {problem}", file=sys.stderr)
    sys.exit(125 if name == "xmhf-run" else 1)


def main(function):
    """Run a tool's main function with the error handling all tools share."""
    try:
        sys.exit(function())
    except ToolError as exc:
        fail(exc)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output went away (| head): not an error to report.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(141)
    except OSError as exc:
        fail(problem_of(exc))


def stop_on_signals():
    """Have SIGTERM and SIGHUP clean up in the way that Ctrl-C does."""
    def interrupt(number, _frame):
        raise SystemExit(128 + number)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)

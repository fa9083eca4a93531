"""Paths, errors and small helpers that every tool needs.

SPDX-License-Identifier: MIT
"""
import contextlib
import fcntl
import os
import pathlib
import shutil
import signal
import subprocess
import sys


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


def run(argv, what, **kwargs):
    """Run a helper program; on failure raise ToolError with what it printed."""
    try:
        done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, errors="replace",
                              check=False, **kwargs)
    except FileNotFoundError as exc:
        raise ToolError(f"cannot {what}: {argv[0]} is missing") from exc
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise ToolError(f"cannot {what}: {os.path.basename(str(argv[0]))} "
                        f"ended with status {done.returncode}:\n{tail}")
    return done.stdout


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


def main(function):
    """Run a tool's main function with the error handling all tools share."""
    try:
        sys.exit(function())
    except ToolError as exc:
        name = os.path.basename(sys.argv[0])
        print(f"{name}: {exc}", file=sys.stderr)
        sys.exit(125 if name == "xmhf-run" else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output went away (| head): not an error to report.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(141)


def stop_on_signals():
    """Have SIGTERM and SIGHUP clean up in the way that Ctrl-C does."""
    def interrupt(number, _frame):
        raise SystemExit(128 + number)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)

"""Wine for a guest: as few files of Debian's packages as a console program needs.

SPDX-License-Identifier: MIT

notes/wine.md tells why these suffice.
"""
import gzip
import hashlib
import os
import pathlib
import re
import subprocess
import tarfile
import types

from . import cpio, debian
from .base import ToolError, cache_root, locked, need, say

DLLS = ("apisetschema", "kernel32", "kernelbase", "msvcrt", "ntdll")
NLS = ("c_1252", "c_20127", "c_437", "l_intl", "locale", "normnfc", "sortdefault")
LIBRARIES = {"libc6": "libc.so.6", "libgcc-s1": "libgcc_s.so.1"}
UNWINDING = {"liblzma5": "liblzma.so.5", "libunwind8": "libunwind.so.8"}

WIDTHS = {  # bits -> what differs
    "64": types.SimpleNamespace(arch="amd64", triplet="x86_64-linux-gnu", cpu="x86_64",
                                package="wine64", program="wine64", server="wineserver64",
                                linker="lib64/ld-linux-x86-64.so.2",
                                libraries={**LIBRARIES, **UNWINDING}),
    "32": types.SimpleNamespace(arch="i386", triplet="i386-linux-gnu", cpu="i386",
                                package="wine32", program="wine", server="wineserver32",
                                linker="lib/ld-linux.so.2", libraries=LIBRARIES),
}

# Standard error may be the console, which Wine would take for one of its own; so it gets a pipe,
# and what comes out goes where it should, but for Wine's complaint that there is no wineboot.exe.
# Wine's server outlives the program with the pipe in its hands: a mark ends it.
COMMAND = """#!/bin/sh
# Run a Windows program; its standard output, standard error and status are the program's.
export WINEDEBUG=-all
errors=/tmp/wine-errors.$$
mkdir -p /tmp
mkfifo $errors || exit 125
while IFS= read -r line || [ -n "$line" ]; do
    case $line in
    @@wine-ended) break ;;
    *@@wine-ended) printf %%s "${line%%@@wine-ended}"; break ;;
    wine:*wineboot*) ;;
    *) printf '%%s\n' "$line" ;;
    esac
done <$errors >&2 &
/usr/lib/wine/%s "$@" 2>$errors
status=$?
printf @@wine-ended >$errors
wait $!
rm -f $errors
exit $status
"""
REGISTRY = "WINE REGISTRY Version 2\n;; All keys relative to %s\n\n#arch=win%s\n"
HIVES = {"system": r"\\Machine", "userdef": r"\\User\\.Default",
         "user": r"\\User\\S-1-5-21-0-0-0-1000"}


def _wanted(width):
    """Pairs: pattern of a file in the packages, its path in the guest."""
    def plain(path):
        return re.escape(path), path

    windows = f"usr/lib/{width.triplet}/wine/{width.cpu}-windows"
    return [
        (rf"lib/{width.triplet}/ld-linux[^/]*", width.linker),
        # A library's file may have more numbers in its name than programs ask for.
        *((rf"(usr/)?lib/{width.triplet}/{re.escape(name)}(\.[\d.]+)?",
           f"lib/{width.triplet}/{name}")
          for name in width.libraries.values()),
        plain(f"usr/lib/{width.triplet}/wine/{width.cpu}-unix/ntdll.so"),
        *(plain(f"{windows}/{name}.dll") for name in DLLS),
        *(plain(f"usr/share/wine/nls/{name}.nls") for name in NLS),
        plain(f"usr/lib/wine/{width.program}"),
        (f"usr/lib/wine/{width.server}", "usr/lib/wine/wineserver"),
    ]


def _take(deb, wanted):
    """Those files of a package that are wanted: {path in the guest: bytes}."""
    files = {}
    with subprocess.Popen([need("dpkg-deb", "dpkg"), "--fsys-tarfile", deb],
                          stdout=subprocess.PIPE) as process:
        with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
            for entry in tar:
                name = entry.name.removeprefix("./")
                guest = [path for pattern, path in wanted if re.fullmatch(pattern, name)]
                if guest and entry.isfile():
                    files[guest[0]] = tar.extractfile(entry).read()
    if process.returncode:
        raise ToolError(f"cannot unpack {deb.name}: dpkg-deb ended with "
                        f"status {process.returncode}")
    return files


def _collect(width):
    """Download the packages one by one; {path in the guest: bytes}."""
    files, wanted = {}, _wanted(width)
    for package in (*width.libraries, "libwine", width.package):
        with debian.downloaded(package, width.arch) as deb:
            files.update(_take(deb, wanted))
    missing = [path for _, path in wanted if path not in files]
    if missing:
        raise ToolError(f"Debian's packages for Wine lack {', '.join(missing)}")
    return files


def _make(bits):
    width, archive = WIDTHS[bits], cpio.Archive()
    for path, data in _collect(width).items():
        archive.file(path, data, 0o755)
    # The prefix: drives, what Wine takes for installed DLLs, an empty registry.
    prefix = "root/.wine"
    archive.symlink(f"{prefix}/dosdevices/c:", "../drive_c")
    archive.symlink(f"{prefix}/dosdevices/z:", "/")
    for name in DLLS:
        archive.symlink(f"{prefix}/drive_c/windows/system32/{name}.dll",
                        f"/usr/lib/{width.triplet}/wine/{width.cpu}-windows/{name}.dll")
    for hive, root in HIVES.items():
        archive.file(f"{prefix}/{hive}.reg", (REGISTRY % (root, bits)).encode())
    archive.file("bin/wine", (COMMAND % width.program).encode(), 0o755)
    return gzip.compress(archive.finish(), 6, mtime=0)


def archive(bits):
    """An initramfs archive with Wine for programs of so many bits, from the cache."""
    digest = hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()[:16]
    path = cache_root() / "wine" / f"{bits}-{digest}.gz"
    if not path.exists():
        with locked("wine"):
            if not path.exists():
                say(f"making the {bits}-bit Wine for guests (once) ...")
                path.parent.mkdir(parents=True, exist_ok=True)
                partial = path.with_suffix(f".{os.getpid()}")
                partial.write_bytes(_make(bits))
                os.replace(partial, path)
    return path.read_bytes()

"""Programs for the guest: what of --add they are, what they need, and whether the guest has it.

SPDX-License-Identifier: MIT
"""
import glob
import os
import pathlib
import posixpath

from . import binaries, wine
from .base import ToolError

ADD_FOLDER = "/add"  # in the guest's PATH, and the command's working folder
MINGW = ("/usr/lib/gcc/*-w64-mingw32/*", "/usr/*-w64-mingw32/lib")  # where it has DLLs


def split_add(text):
    """HOST[:GUEST] -> (host path, absolute guest path)."""
    host, colon, guest = text.partition(":")
    if os.path.exists(text):  # a host name with a colon in it
        host, colon, guest = text, "", ""
    path = pathlib.Path(host)
    if not path.exists():
        raise ToolError(f"--add: there is no file {host or text!r}")
    if colon and guest.endswith("/"):
        guest += path.name
    return path, posixpath.join(ADD_FOLDER, guest or path.resolve().name)


def added_files(adds):
    """{path in the guest: path here} of all files that these bring."""
    files = {}
    for text in adds:
        host, guest = split_add(text)
        if host.is_dir():
            for folder, _, names in os.walk(host):
                for name in names:
                    path = pathlib.Path(folder, name)
                    files[posixpath.join(guest, path.relative_to(host).as_posix())] = path
        else:
            files[guest] = host
    return files


def _refuse_special(path):
    """Only files, folders and links can be copied; reading from a pipe might never end."""
    if not (path.is_symlink() or path.is_file() or path.is_dir()):
        raise ToolError(f"--add: {path} is no file and no folder")
    if not path.is_symlink() and not os.access(path, os.R_OK):
        raise ToolError(f"--add: {path} can't be read")


def _programs(adds, files, command):
    """Files that will be run, as far as one can tell: added by name, or named by the command."""
    words = {posixpath.normpath(posixpath.join(ADD_FOLDER, word)) for word in command}
    words |= {word for word in command if "/" not in word}
    direct = {split_add(text)[1] for text in adds}
    return {guest: host for guest, host in files.items() if not host.is_symlink() and host.is_file()
            and (guest in direct or guest in words or posixpath.basename(guest) in words)}


def check(adds, command=(), wine_bits=None, root=False):
    """Refuse programs that can't run in the guest, and say what they lack, before all starts. What
    libraries a root image has, its dynamic linker knows."""
    files = added_files(adds)
    for path in files.values():
        _refuse_special(path)
    names = {posixpath.basename(guest).lower() for guest in files}
    for guest, host in _programs(adds, files, command).items():
        with open(host, "rb") as handle:
            data = handle.read(1 << 26)
        if binaries.elf(data) and not root:
            _check_linux(host, binaries.elf(data), set(files), names, wine_bits)
        elif binaries.pe(data) and not host.name.lower().endswith(".dll"):
            _check_windows(host, binaries.pe(data), names, wine_bits)
    if (command and posixpath.basename(command[0]) == "wine" and not wine_bits
            and "wine" not in names):
        raise ToolError("the guest has no wine: give --wine 64 or --wine 32")


def _check_linux(path, elf, guest_files, names, wine_bits):
    """The guest has no shared libraries but those of --add, and Wine's few."""
    if elf.interpreter is None or ".so" in path.name:
        return
    there = names | _libraries(wine_bits)
    missing = [name for name in elf.needed if name.lower() not in there]
    lacks_linker = elf.interpreter not in guest_files | _linkers(wine_bits)
    if lacks_linker or missing:
        linker = [f"the program interpreter {elf.interpreter}"] if lacks_linker else []
        libraries = [f"the libraries {', '.join(missing)}"] if missing else []
        raise ToolError(f"--add: {path} is dynamically linked and "
                        f"needs {' and '.join(linker + libraries)}, which "
                        "the guest doesn't have: link it with -static, or add those too")


def _check_windows(path, program, names, wine_bits):
    """Wine in the guest has few DLLs; a program that lacks one would end without a word."""
    if wine_bits and int(wine_bits) != program.bits:
        raise ToolError(f"--add: {path} is a {program.bits}-bit Windows program: it needs "
                        f"--wine {program.bits}")
    if not wine_bits:
        return  # it may be there as a file
    missing = [dll for dll in program.needed if dll.lower() not in names
               and not _has_dll(dll.lower())]
    if missing:
        found = [f"--add {place}" for place in map(_dll_here, missing) if place]
        told = f", or give {' '.join(found)}" if found else ", or add those too"
        raise ToolError(f"--add: {path} needs {', '.join(missing)}, which the guest's Wine doesn't "
                        f"have: "
                        f"link it with -static{told}")


def _libraries(bits):
    """Shared libraries of Linux that the guest has with Wine."""
    return set(wine.WIDTHS[bits].libraries.values()) if bits else set()


def _linkers(bits):
    """The program interpreter that it has then."""
    return {f"/{wine.WIDTHS[bits].linker}"} if bits else set()


def _has_dll(name):
    """Whether the guest's Wine has this DLL, in lower case; api-ms-... are other names of these."""
    return name.removesuffix(".dll") in wine.DLLS or name.startswith(("api-ms-", "ext-ms-"))


def _dll_here(name):
    """Where MinGW on this machine has a DLL, or None."""
    for folder in MINGW:
        found = sorted(glob.glob(f"{folder}/{glob.escape(name)}"))
        if found:
            return found[-1]
    return None

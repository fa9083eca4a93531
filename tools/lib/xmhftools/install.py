"""What of the PAL SDK is installed, and where: a list, made from the tree and the build folder.

SPDX-License-Identifier: MIT

Paths in installed files are relative to the file itself.
"""
import os
import pathlib

from .base import ToolError

FOLDERS = {"bindir": "bin", "libdir": "lib", "lib32dir": "lib32", "includedir": "include",
           "mandir": "share/man", "docdir": "share/doc/pal"}
TOOLS = ("pal-cc", "pal-lint", "pal-addr2line")
LIBRARIES = ("libpal.a", "libpal-native.a")
WINDOWS = {"x86_64-w64-mingw32": "w64", "i686-w64-mingw32": "w32"}
HEADERS = ("assert.h", "hypercall.h", "image.h", "trustvisor.h")  # of include/xmhf
DESCRIPTIONS = {"pal": "Programs with PALs, which a hypervisor protects",
                "pal-native": "Programs with PALs that run unprotected in the program, for tests"}


class Folders:
    """The folders of an installation, absolute."""

    def __init__(self, prefix, given):
        self.prefix = pathlib.Path(prefix)
        if not self.prefix.is_absolute():
            raise ToolError(f"--prefix {prefix}: it must begin with /")
        for name, default in FOLDERS.items():
            setattr(self, name, pathlib.Path(given.get(name) or self.prefix / default))
        self.private = self.libdir / "pal"


class Place:
    """One installed file: copied, or a link, or of a text."""

    def __init__(self, path, source=None, program=False, link=None, text=None):
        self.path, self.source, self.program = path, source, program
        self.link, self.text = link, text


def _copies(folder, files, program=False):
    return [Place(folder / file.name, file, program) for file in files]


def _tree(folder, root, skip=()):
    """All files below a folder, in its shape."""
    return [Place(folder / path.relative_to(root), path, os.access(path, os.X_OK))
            for path in sorted(root.rglob("*")) if path.is_file()
            and not set(path.relative_to(root).parts) & {"__pycache__", *skip}]


def relative(path, folder):
    """How a file in `folder` names a path; a colon or the like in it is no matter."""
    return os.path.relpath(path, folder)


def _headers(source, folders):
    sdk, hypervisor = folders.includedir / "pal", folders.includedir / "xmhf"
    found = _copies(sdk, sorted((source / "pal_sdk" / "include" / "pal").glob("*.h")))
    found += _copies(hypervisor, [source / "include" / "xmhf" / name for name in HEADERS])
    # What PAL code may include is found in the private folder, without all else of includedir.
    for target, where in ((sdk, "pal_sdk/include/pal"), (hypervisor, "include/xmhf")):
        path = folders.private / where
        found.append(Place(path, link=relative(target, path.parent)))
    return found


def _libraries(build, folders):
    """Of each kind of program that they were built for."""
    kinds = {folders.libdir: "64", folders.lib32dir: "32",
             **{folders.private / name: suffix for name, suffix in WINDOWS.items()}}
    found = []
    for folder, kind in kinds.items():
        for name in LIBRARIES:
            file = build / "pal_sdk" / "lib" / kind / name
            if file.exists():
                found.append(Place(folder / name, file))
    return found


def _private(source, build, foreign, folders):
    """The tools, in the shape that they expect, and links to them in bindir."""
    tools, rt = (folders.private / "pal_sdk" / name for name in ("tools", "rt"))
    found = _tree(tools, source / "pal_sdk" / "tools", ("lint", "obj"))
    if build != source:
        found += _tree(tools, build / "pal_sdk" / "tools", ("lint", "obj"))
    found += _tree(rt / "include", source / "pal_sdk" / "rt" / "include")
    found += _copies(rt, sorted([*build.glob("libpal-rt-*.a"),
                                 *(build / "pal_sdk" / "rt").glob("libpal-rt-*.a")]))
    found += _copies(folders.private / "include" / "bearssl",
                     sorted((foreign.bearssl / "inc").glob("*.h")))
    there = {place.path.name for place in found}
    for name in TOOLS:
        if name in there:
            path = folders.bindir / name
            found.append(Place(path, link=relative(tools / name, path.parent)))
    return [*found, Place(folders.bindir / "xmhfctl", build / "tools" / "xmhfctl", True)]


def filled(template, values):
    """A template's text, each @NAME@ replaced."""
    text = template.read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _pkgconfig(source, folders, version, libraries):
    """pal.pc and pal-native.pc beside these libraries."""
    folder = libraries / "pkgconfig"
    return [Place(folder / f"{name}.pc", text=filled(source / "pal_sdk" / "pal.pc.in", {
        "INCLUDE": relative(folders.includedir, folder), "LIB": relative(libraries, folder),
        "PREFIX": relative(folders.prefix, folder), "PRIVATE": relative(folders.private, folder),
        "NAME": name, "DESCRIPTION": description, "VERSION": version}))
        for name, description in DESCRIPTIONS.items()]


def _cmake(source, folders, version):
    folder = folders.libdir / "cmake" / "Pal"
    values = {"INCLUDE": relative(folders.includedir, folder),
              "PRIVATE": relative(folders.private, folder),
              "LIB64": relative(folders.libdir, folder),
              "LIB32": relative(folders.lib32dir, folder), "VERSION": version}
    return [Place(folder / name, text=filled(source / "pal_sdk" / "cmake" / f"{name}.in", values))
            for name in ("PalConfig.cmake", "PalConfigVersion.cmake")]


def _documents(source, foreign, folders):
    found = _copies(folders.mandir / "man1", sorted((source / "pal_sdk" / "man").glob("*.1")))
    found += _copies(folders.mandir / "man3", sorted((source / "pal_sdk" / "man").glob("*.3")))
    found += _copies(folders.mandir / "man8", sorted((source / "tools" / "man").glob("*.8")))
    found.append(Place(folders.docdir / "README.md", source / "pal_sdk" / "README.md"))
    found.append(Place(folders.docdir / "LICENSE", source / "LICENSE"))
    found.append(Place(folders.docdir / "LICENSE.bearssl", foreign.bearssl / "LICENSE.txt"))
    found.append(Place(folders.docdir / "LICENSE.libsodium", foreign.libsodium / "LICENSE"))
    return found + _tree(folders.docdir / "examples", source / "pal_sdk" / "examples")


def places(source, build, foreign, folders, version):
    """All files of an installation; a named error if the build lacks what must be there. `foreign`
    has the folders of sources that aren't ours, by name."""
    libraries = _libraries(build, folders)
    found = [*_headers(source, folders), *libraries, *_private(source, build, foreign, folders),
             *_cmake(source, folders, version), *_documents(source, foreign, folders)]
    for folder in dict.fromkeys(place.path.parent for place in libraries):
        found += _pkgconfig(source, folders, version, folder)
    lost = [place.source for place in found if place.source and not place.source.exists()]
    lost += [] if libraries else [build / "pal_sdk" / "lib" / "64" / LIBRARIES[0]]
    if lost:
        raise ToolError(f"there is no {lost[0]}: run make first")
    return found

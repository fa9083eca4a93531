"""This machine's apt sources, turned into sources of source packages.

SPDX-License-Identifier: MIT
"""
import glob
import os
import pathlib
import re

from .base import ToolError


def source_lines(text):
    """A one-line sources file, its `deb` lines turned into `deb-src`."""
    lines = [line for line in text.splitlines() if re.match(r"\s*deb\s", line)]
    return "".join(re.sub(r"^\s*deb\s+(\[[^]]*\]\s*)?", start_of_line, line) + "\n"
                   for line in lines)


def start_of_line(match):
    """`deb` and its options as `deb-src`; sources have no architecture."""
    words = (match.group(1) or "").strip("[] \t").split()
    options = " ".join(word for word in words if not re.match(r"arch[+-]?=", word))
    return f"deb-src [{options}] " if options else "deb-src "


def source_stanzas(text):
    """A deb822 sources file, every `deb` stanza turned into `deb-src`."""
    wanted = []
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        stanza = "\n".join(lines)
        if not re.search(r"^Types:.*\bdeb\b(?!-)", stanza, re.M | re.I):
            continue
        stanza = re.sub(r"^Types:.*$", "Types: deb-src", stanza, flags=re.M | re.I)
        wanted.append(re.sub(r"^Architectures:.*\n?", "", stanza, flags=re.M | re.I).strip())
    return "\n\n".join(wanted) + "\n" if wanted else ""


CONVERT = {".list": source_lines, ".sources": source_stanzas}  # by the file's suffix


def write_sources(folder, etc="/etc/apt"):
    """Private copies of the machine's sources, for source packages."""
    found = 0
    for path in [f"{etc}/sources.list", *sorted(glob.glob(f"{etc}/sources.list.d/*"))]:
        convert = CONVERT.get(pathlib.Path(path).suffix)
        if convert is None or not os.path.isfile(path):
            continue
        text = convert(pathlib.Path(path).read_text(encoding="utf-8", errors="replace"))
        if text:
            (folder / os.path.basename(path)).write_text(text, encoding="utf-8")
            found += 1
    if not found:
        raise ToolError(f"this machine's apt has no package sources in {etc}")

"""The usual mistakes: what each source says must happen, and whether it did.

SPDX-License-Identifier: MIT

A source of tests/sdk/mistakes has lines in comments:

    MISTAKE name: text          which of MISTAKES it is
    FLAGS: words                for pal-cc
    INTERFACE: file             other than mistake_interface.h
    WORKS call: result out=hex  the call returns this; what is left of `out` is zeros
    DIES call: word...          the call ends in a death; NAME=VALUE is a field of the status, other
                                words are in its sentence
    ERROR call: NAME            the call is not begun
    REFUSED: word...            pal-cc refuses it, and says these words (one|another), the file and
                                a line with HERE, if there is one; with NOLINE it knows no line
    NOTED: word...              pal-cc makes the image, and says these words

WORKS[pe32,clang] and so on hold for some builds only: a form, a compiler, a level; [!pe32] for all
others. A call is "ENTRY ARGUMENT..." as sdk_run takes it; a number alone means "run N i64 o64".
"""
import collections
import re
import shlex

# As they were found with copied PALs: none was named then, each gave a wrong result or a bare
# signal.
MISTAKES = (
    "libc call", "helper outside", "function pointer", "const table", "string literal",
    "initialised array", "switch", "large zero array", "64-bit division", "big frame", "recursion",
    "11 or 33 parameters", "undeclared parameter", "struct by value", "double", "__thread",
    "global", "read-only pointer", "size in wrong unit", "entry outside", "no parameter",
    "stack protector", "static-pie", "coverage", "-pg", "LTO", "UBSan", "gc-sections", "-Os",
    "C++ guard variables", "printf", "assert", "syscall", "alloca", "VLA", "setjmp",
    "atomics needing a library call", "weak symbol", "ifunc", "visibility",
    "inline assembly with absolute address", "misaligned SSE spill",
    # And as newcomers found them with pal-cc.
    "two names of a PAL", "malloc of its own", "libm call")

ERRORS = dict(enumerate((
    "PAL_OK", "PAL_NO_HYPERVISOR", "PAL_OLD_HYPERVISOR", "PAL_FORKED", "PAL_CLOSED",
    "PAL_NO_MEMORY", "PAL_BAD_IMAGE", "PAL_REFUSED", "PAL_DIED", "PAL_BAD_COUNT",
    "PAL_BAD_ARGUMENT", "PAL_NO_OCALL")))  # pal/host.h:pal_error
LEAK_WORDS = 4096
KINDS = ("MISTAKE", "FLAGS", "INTERFACE", "WORKS", "DIES", "ERROR", "REFUSED", "NOTED")
LINE = re.compile(r"^(?:/\*|//) (" + "|".join(KINDS) + r")(?:\[([^\]]+)\])?(?: ([^:]*))?"
                  r"(?:: (.*))?$")

Line = collections.namedtuple("Line", "kind builds call text")


class Bad(Exception):
    """What has happened is not what must happen."""


class Build(collections.namedtuple("Build", "form compiler level")):
    """One way to build an image."""

    @property
    def bits(self):
        return 64 if "64" in self.form else 32

    def __str__(self):
        return f"{self.form} {self.compiler} {self.level}"

    def matches(self, words):
        """Whether a line's [words] mean this build."""
        mine = {self.form, self.compiler, *self.level.split()}
        wanted = {word for word in words if not word.startswith("!")}
        if mine & {word[1:] for word in words if word.startswith("!")}:
            return False
        return not wanted or bool(mine & wanted)


class Mistake:
    """One source, and what it says."""

    def __init__(self, path):
        self.path, self.name = path, path.stem
        text = path.read_text(encoding="ascii").splitlines()
        self.here = [number for number, line in enumerate(text, 1) if "HERE */" in line
                     or line.endswith("// HERE")]
        self.lines = []
        for line in text:
            found = LINE.match(line.removesuffix(" */"))
            if found:
                kind, builds, call, rest = found.groups()
                self.lines.append(Line(kind, (builds or "").split(",") if builds else (),
                                       (call or "").strip(), (rest or "").strip()))
        self.mistake = next((line.call for line in self.lines if line.kind == "MISTAKE"), None)

    def of(self, build, *kinds):
        return [line for line in self.lines if line.kind in kinds and build.matches(line.builds)]

    def flags(self, build):
        return [word for line in self.of(build, "FLAGS") for word in shlex.split(line.text)]

    def interface(self, build):
        lines = self.of(build, "INTERFACE")
        return self.path.parent / (lines[-1].text if lines else "mistake_interface.h")

    def differs_by_level(self):
        """Whether one of its lines is about some levels of optimisation only."""
        return any(word.lstrip("!").startswith("-O") for line in self.lines
                   for word in line.builds)

    def refused(self, build):
        """The line that says so, or None."""
        lines = self.of(build, "REFUSED")
        return lines[0] if lines else None

    def calls(self, build):
        """[(line, what sdk_run is told)]."""
        return [(line, f"run {line.call} i64 o64" if re.fullmatch(r"\w*\d\w*", line.call)
                 and line.call[0].isdigit() else line.call)
                for line in self.of(build, "WORKS", "DIES", "ERROR")]


def words_in(wanted, text):
    """Those of the wanted words that a text doesn't have; one|another is either."""
    low = text.lower()
    return [word for word in wanted.split()
            if not any(form.lower() in low for form in word.split("|"))]


def places(mistake, build):
    """The file and lines that a refusal may name."""
    if mistake.here:
        # A function may be named by the line of its brace.
        return [f"{mistake.path.name}:{line + more}" for line in mistake.here for more in (0, 1)]
    interface = mistake.interface(build)
    if not interface.exists():
        return []
    text = interface.read_text(encoding="ascii").splitlines()
    return [f"{interface.name}:{number}" for number, line in enumerate(text, 1)
            if "HERE */" in line]


def check_build(mistake, build, status, said, who="pal-cc"):
    """Judge what pal-cc or a compiler did. True if there is an image to run."""
    refused = mistake.refused(build)
    if refused is None:
        if status != 0:
            raise Bad(f"{who} refused it:\n{said}")
        for line in mistake.of(build, "NOTED"):
            if words_in(line.text, said):
                raise Bad(f"{who} didn't say \"{line.text}\":\n{said}")
        return True
    if status == 0:
        raise Bad(f"{who} took it, and should have refused it: {refused.text}")
    missing = words_in(refused.text.removesuffix(" NOLINE"), said)
    if missing:
        raise Bad(f"{who} refused it without the words {' '.join(missing)}:\n{said}")
    where = () if refused.text.endswith(" NOLINE") else places(mistake, build)
    if where and not any(place in said for place in where):
        raise Bad(f"{who} refused it, and didn't name {' or '.join(where)}:\n{said}")
    return False


def fields(line):
    """Of a `call` line: ({name: value}, sentence, [out])."""
    before, _, text = line.partition(" text=")
    words = [word.split("=", 1) for word in before.split() if "=" in word]
    return ({name: value for name, value in words if name != "out"}, text,
            [value for name, value in words if name == "out"])


def check_works(line, status, seen, outs):
    result, *wanted = line.text.split()
    wanted = [word.removeprefix("out=") for word in wanted]
    if status != "PAL_OK":
        raise Bad(f"\"{line.call}\" ended with {status}, not {result}: {seen}")
    if int(seen["result"], 0) != int(result, 0):
        raise Bad(f"\"{line.call}\" returned {seen['result']}, not {result}")
    for number, out in enumerate(outs):
        full = (wanted[number] if number < len(wanted) else "").ljust(len(out), "0")
        if out != full:
            raise Bad(f"\"{line.call}\" wrote {out}, not {full}")


def check_dies(line, status, seen, text):
    if status != "PAL_DIED":
        raise Bad(f"\"{line.call}\" ended with {status} ({seen}), and should have died")
    for word in line.text.split():
        name, equals, value = word.partition("=")
        if equals and int(seen.get(name, "-1"), 0) != int(value, 0):
            raise Bad(f"\"{line.call}\": {name} is {seen.get(name)}, not {value}: {text}")
        if not equals and word.lower() not in text.lower():
            raise Bad(f"\"{line.call}\": its death doesn't say {word}: {text}")


def check_call(line, said):
    """Judge one `call` line of sdk_run."""
    seen, text, outs = fields(said)
    status = ERRORS.get(int(said.split()[1]), said)
    if line.kind == "WORKS":
        check_works(line, status, seen, outs)
        return
    if any(out.strip("9") for out in outs):
        raise Bad(f"\"{line.call}\" ended with {status}, and wrote {outs}")
    if line.kind == "DIES":
        check_dies(line, status, seen, text)
    elif status != line.text:
        raise Bad(f"\"{line.call}\" ended with {status}, not {line.text}: {text}")


def check_leaks(lines, died, native):
    """Judge what sdk_run found of the pattern."""
    for line in lines:
        if line.startswith("leak"):
            raise Bad(line)
    kept = [line for line in lines if line.startswith("kept")]
    times = 1 if died else 2 if native else 3
    if len(kept) != times or any(line != f"kept {LEAK_WORDS}" for line in kept):
        raise Bad(f"the pattern in DATA isn't as it was: {kept}")
    found = [tuple(int(word) for word in line.split()[1:]) for line in lines
             if line.startswith("found")]
    # Native mode has the sections in the process: there the search must find the pattern.
    if native and not died and not (found and found[0][0] >= LEAK_WORDS):
        raise Bad(f"the search didn't find the pattern where it is: {found}")
    if len(found) < 2 or found[-1] != (0, 0) or any(
            elsewhere or (inside and not native) for inside, elsewhere in found):
        raise Bad(f"words of the pattern in the process (inside, elsewhere): {found}")


def check_run(mistake, build, said, native):
    """Judge all that sdk_run printed of one image."""
    lines = said.splitlines()
    opened = next((line for line in lines if line.startswith("open ")), "open ? nothing")
    if not opened.startswith("open 0"):
        raise Bad(f"it could not be opened: {opened}")
    answers = [line for line in lines if line.startswith("call ")]
    calls = mistake.calls(build)
    died = False
    for (line, _), answer in zip(calls, answers):
        check_call(line, answer)
        died = line.kind == "DIES"
    if len(answers) != len(calls):
        raise Bad(f"only {len(answers)} of {len(calls)} calls were made:\n{said[-1500:]}")
    check_leaks(lines, died, native)

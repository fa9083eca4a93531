"""What the tests of the SDK build: images by pal-cc, in every way that there is a compiler for.

SPDX-License-Identifier: MIT
"""
import functools
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tools" / "lib"))
from xmhftools import base  # noqa: E402
import mistakes  # noqa: E402
from mistakes import Bad, Build  # noqa: E402

HERE = SOURCE / "tests" / "sdk"
PAL_CC = SOURCE / "pal_sdk" / "tools" / "pal-cc"
KEY = f"{int.from_bytes(os.urandom(4), 'little') | 1:#x}"  # of the leak test's pattern
LIMIT = 120  # seconds for one command
# As pal-cc's first line has it, but without the search for an interpreter, and without packages
# that others have installed: where those are many, they take longer than a compiler.
RUN_PAL_CC = [sys.executable, "-S", PAL_CC]

# Form, and the compilers that make it: name, command, flags.
COMPILERS = {
    "elf64": {"gcc": ["gcc"], "clang": ["clang"]},
    "elf32": {"gcc": ["gcc", "-m32"], "clang": ["clang", "-m32"]},
    "pe64": {"mingw": ["x86_64-w64-mingw32-gcc"]},
    "pe32": {"mingw": ["i686-w64-mingw32-gcc"]},
}
LIBRARIES = {"elf64": "64", "elf32": "32", "pe64": "w64", "pe32": "w32"}  # of pal_sdk/lib
LIBRARIES_OF = {"elf64": ["-lpthread"], "elf32": ["-lpthread"]}
LEVELS = ("-O0", "-O2")
MORE_LEVELS = ("-O1", "-O3", "-Os", "-O2 -fPIE")


def run(argv, **more):
    """(status, everything that it said)."""
    try:
        done = subprocess.run([str(part) for part in argv], stdin=subprocess.DEVNULL, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT,
                              text=True, errors="replace", **more)
    except subprocess.TimeoutExpired:
        return -1, f"{argv[0]}: took more than {LIMIT} s"
    return done.returncode, done.stdout


@functools.lru_cache(None)
def has_cxx(command):
    """Whether this compiler compiles C++, too: Debian's are packages of their own."""
    with tempfile.TemporaryDirectory(prefix="xmhf-sdk-") as folder:
        return run([command, "-x", "c++", "-c", "-o", f"{folder}/o", "/dev/null"])[0] == 0


class Bench:
    """The build folder, and what is made in a folder beside it."""

    def __init__(self, build, scratch, levels=None):
        self.build = pathlib.Path(build).absolute()
        self.scratch = pathlib.Path(scratch)
        self.levels = levels  # None: as builds() chooses
        self.patterns, self.lock = {}, threading.Lock()
        self.env = {**os.environ, "XMHF_BUILD": str(self.build)}

    def builds(self, mistake):
        """Every compiler that is here, for each form that it makes; a mistake in C++ needs one for
        that. Without levels each builds it at one of LEVELS, so that each mistake is seen at both,
        and each compiler with half of the mistakes at either; at both what differs with them."""
        found = [Build(form, name, None) for form, compilers in COMPILERS.items()
                 for name, command in compilers.items() if shutil.which(command[0])
                 and (mistake.path.suffix != ".cpp" or has_cxx(command[0]))]
        if self.levels or mistake.differs_by_level():
            return [build._replace(level=level) for build in found
                    for level in self.levels or LEVELS]
        turn = sum(mistake.name.encode())
        # gcc and clang begin at the other level with 32 bits than with 64, PE32 than PE32+.
        return [build._replace(level=LEVELS[(turn + at + at // 2) % len(LEVELS)])
                for at, build in enumerate(found)]

    def compile(self, mistake, build):
        """Have pal-cc make the image: (status, what it said, where the image is)."""
        command, *flags = COMPILERS[build.form][build.compiler]
        name = f"{mistake.name}-{build}".replace(" ", "-")
        image = self.scratch / f"{name}.pal"
        sources = [mistake.path, self.pattern(mistake, build)]
        status, said = run([*RUN_PAL_CC, "--cc", command, *flags, *build.level.split(),
                            "--name", "mistake", *mistake.flags(build), "--interface",
                            mistake.interface(build), "-o", image, *sources], env=self.env)
        return status, said, image

    def pattern(self, mistake, build):
        """The part that each mistake has: its source, or if there are no flags its object."""
        source = HERE / "mistakes" / "pattern.c"
        if mistake.flags(build):
            return source
        with self.lock:
            if build not in self.patterns:
                command, *flags = COMPILERS[build.form][build.compiler]
                target = self.scratch / f"pattern-{build}.o".replace(" ", "-")
                status, _ = run([*RUN_PAL_CC, "--cc", command, *flags, *build.level.split(), "-c",
                                 "-o", target, source], env=self.env)
                self.patterns[build] = target if status == 0 else source
            return self.patterns[build]

    def compile_host(self, mistake, build):
        """Have the program's compiler look at a program, as C and as C++; link it if it has a
        main: [(status, what it said)]."""
        command = COMPILERS[build.form][build.compiler]
        whole = "int main" in mistake.path.read_text(encoding="ascii")
        folders = ["-I", SOURCE / "pal_sdk" / "include", "-I", SOURCE / "include"]
        library = self.build / "pal_sdk" / "lib" / LIBRARIES[build.form] / "libpal.a"
        end = [library, *LIBRARIES_OF.get(build.form, ())] if whole else ["-fsyntax-only"]
        output = self.scratch / f"{mistake.name}-{build}".replace(" ", "-")
        return [run([*command, "-x", language, "-Wall", "-Wextra", *folders, mistake.path,
                     *(["-x", "none", "-o", output] if whole else ()), *end])
                for language in (("c",) if whole else ("c", "c++"))]

    def runner(self, bits):
        """sdk_run in native mode, for images of this width."""
        return self.build / "tests" / "sdk" / f"sdk_run_native{'' if bits == 64 else '32'}"

    def run_native(self, mistake, build, image):
        calls = [call for _, call in mistake.calls(build)]
        status, said = run([self.runner(build.bits), KEY, image, *calls])
        if not said.endswith("end\n"):
            raise Bad(f"sdk_run ended with status {status}:\n{said[-1500:]}")
        return said

    def one_host(self, mistake, build):
        """One mistake of a program; None, or what went wrong."""
        try:
            for status, said in self.compile_host(mistake, build):
                mistakes.check_build(mistake, build, status, said, "the compiler")
        except Bad as problem:
            return str(problem)
        return None

    def one(self, mistake, build):
        """Build and run one mistake in one way; None, or what went wrong."""
        if mistake.path.parent.name == "hosts":
            return self.one_host(mistake, build)
        image = None
        try:
            status, said, image = self.compile(mistake, build)
            if mistakes.check_build(mistake, build, status, said):
                mistakes.check_run(mistake, build, self.run_native(mistake, build, image), True)
        except Bad as problem:
            return str(problem)
        finally:
            if image and image.exists() and image.stat().st_size:
                for part in (image, image.with_name(image.name + ".elf")):
                    part.unlink(missing_ok=True)
        return None


def sources():
    """All mistakes: those in a PAL, and those of a program that has one."""
    found = [mistakes.Mistake(path) for folder in ("mistakes", "hosts")
             for path in sorted((HERE / folder).glob("*.c*"))]
    return {mistake.name: mistake for mistake in found if mistake.mistake}

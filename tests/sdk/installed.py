#!/usr/bin/env python3
"""Tests of the installed SDK, outside the tree: the cookbook, other prefixes, uninstall.

SPDX-License-Identifier: MIT

The cookbook is pal_sdk/README.md: its blocks of files are written, its blocks of commands are run
in their order, and what they print is compared where it says it. With --guest the blocks for a
guest run in one, too.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tools" / "lib"))
sys.dont_write_bytecode = True  # the source tree stays as it is
from xmhftools import base  # noqa: E402

COOKBOOK = SOURCE / "pal_sdk" / "README.md"
NEEDS = {"windows": "x86_64-w64-mingw32-gcc", "windows++": "x86_64-w64-mingw32-g++",
         "cmake": "cmake"}  # a block's word: program without which it is left out
WORDS = {*NEEDS, "build", "guest"}
LIMIT = 600  # seconds for one block


class Bad(Exception):
    """What went wrong."""


class Block:
    """A fenced block of the cookbook."""

    def __init__(self, line, info, text):
        self.line, self.text = line, text
        self.kind, *self.words = info.split() or [""]

    def __str__(self):
        return f"{COOKBOOK.name}:{self.line}"


def blocks(text):
    """The fenced blocks of a document."""
    found = []
    for match in re.finditer(r"^```(.*)\n((?:.*\n)*?)```$", text, re.M):
        found.append(Block(text.count("\n", 0, match.start()) + 1, match.group(1), match.group(2)))
    return found


def lacking(block):
    """The program that this machine lacks for a block, or None."""
    return next((NEEDS[word] for word in block.words
                 if word in NEEDS and not shutil.which(NEEDS[word])), None)


class Shell:
    """Runs blocks of commands one after the other; exported variables stay."""

    def __init__(self, folder, **environment):
        self.folder, self.state = folder, folder.parent / f"{folder.name}.env"
        folder.mkdir()
        self.environment = {**os.environ, **environment}
        for name in ("XMHF_BUILD", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR"):
            self.environment.pop(name, None)

    def run(self, script, what):
        """What it printed on standard output."""
        state = f"'{self.state}'"
        text = f"set -e; if [ -e {state} ]; then . {state}; fi\n{script}\nexport -p >{state}\n"
        done = subprocess.run(["bash", "-c", text], cwd=self.folder, env=self.environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.PIPE, timeout=LIMIT, check=False, errors="replace")
        if done.returncode:
            raise Bad(f"{what}: status {done.returncode}\n{script}\n{done.stdout}{done.stderr}")
        return done.stdout


def compare(printed, wanted, what):
    """Fail unless the lines agree; `...` stands for anything."""
    pattern = ".*".join(re.escape(part) for part in wanted.strip().split("..."))
    if not re.fullmatch(pattern, printed.strip().replace("\r", ""), re.S):
        raise Bad(f"{what}: it printed\n{printed}and not\n{wanted}")


def make(build, *words):
    """make in the build folder, without what a make above says."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("MAKEFLAGS", "MFLAGS", "DESTDIR")}
    base.run(["make", "-s", "-C", build, *words], f"make {' '.join(map(str, words))}",
             env=environment)


def test_cookbook(bench):
    """Each file and each command of the cookbook."""
    shell = Shell(bench.scratch / "cookbook", PREFIX=str(bench.prefix()))
    done, left, printed, last = 0, {}, None, None
    for block in blocks(COOKBOOK.read_text(encoding="utf-8")):
        if block.kind == "text" and printed is not None:
            compare(printed, block.text, last)
        printed = None
        if block.kind != "sh" and len(block.words) == 1:
            (shell.folder / block.words[0]).write_text(block.text, encoding="utf-8")
        if block.kind != "sh" or "build" in block.words:
            continue
        if set(block.words) - WORDS:
            raise Bad(f"{block}: {' '.join(block.words)}: no such words")
        without = "a guest" if "guest" in block.words and not bench.guest else lacking(block)
        if without:
            left[without] = left.get(without, 0) + 1
            continue
        script = block.text
        if "guest" in block.words:
            script = (f"export PATH='{SOURCE}/tools':\"$PATH\" XMHF_BUILD='{bench.build}'\n"
                      + script.replace("xmhf-run ", f"xmhf-run --bench {bench.guest} "))
        printed, last, done = shell.run(script, str(block)), str(block), done + 1
    told = "".join(f"; {count} not, for want of {what}" for what, count in left.items())
    if done < 5:
        raise Bad(f"only {done} blocks were run")
    return f"{done} blocks of commands{told}"


HELLO = """\
"$P/bin/pal-cc" -O2 --interface hello_*.h -o hello.pal hello_*.c
"$P/bin/pal-cc" -o hello_image.o hello.pal
"""


def hello(shell):
    """The cookbook's three files in the shell's folder."""
    for block in blocks(COOKBOOK.read_text(encoding="utf-8")):
        if block.kind == "c" and "".join(block.words).startswith("hello"):
            (shell.folder / block.words[0]).write_text(block.text, encoding="utf-8")


def expect_sum(text, what):
    if "20 + 22 = 42" not in text:
        raise Bad(f"{what} printed\n{text}")


def test_moved(bench):
    """Installed by DESTDIR, then moved to a path with blanks: compilers, pkg-config, CMake."""
    make(bench.build, "install", f"DESTDIR={bench.scratch}/stage", "prefix=/usr/odd")
    prefix = bench.scratch / "an odd + prefix"
    (bench.scratch / "stage" / "usr" / "odd").rename(prefix)
    lost = [path for path in (bench.scratch / "stage").rglob("*") if not path.is_dir()]
    if lost:
        raise Bad(f"installed outside of the prefix: {lost[0]}")
    for path in prefix.rglob("*"):
        if path.is_symlink() and (os.path.isabs(os.readlink(path)) or not path.exists()):
            raise Bad(f"{path} leads to {os.readlink(path)}")
    shell = Shell(bench.scratch / "moved", P=str(prefix))
    hello(shell)
    ways = ["plain", "pkg-config"]
    shell.run(HELLO, "pal-cc")
    expect_sum(shell.run('gcc -o a hello.c hello_image.o -I"$P/include" -L"$P/lib" -lpal-native\n'
                         "./a", "gcc"), "plain")
    expect_sum(shell.run('export PKG_CONFIG_PATH="$P/lib/pkgconfig"\n'
                         'eval gcc -o b hello.c hello_image.o $(pkg-config --cflags --libs '
                         'pal-native)\n./b', "pkg-config"), "pkg-config")
    if shutil.which("cmake"):
        (shell.folder / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.13)\nproject(x C)\nfind_package(Pal 0.1 REQUIRED)\n"
            "pal_add_image(hello SOURCES hello_pal.c INTERFACE hello_interface.h)\n"
            "add_executable(x hello.c)\ntarget_link_libraries(x PRIVATE hello_image Pal::native)\n",
            encoding="ascii")
        expect_sum(shell.run('cmake -B "b b" -DCMAKE_PREFIX_PATH="$P" >/dev/null\n'
                             'cmake --build "b b" >/dev/null\n"b b/x"', "CMake"), "CMake")
        ways.append("CMake")
    return f"{', '.join(ways)} in {prefix.name!r}"


def test_no_path(bench):
    """No installed file has the prefix, the source's or the build's path in it."""
    prefix = bench.prefix()
    paths = [str(path).encode() for path in (prefix, SOURCE, bench.build.resolve())]
    count = 0
    for path in prefix.rglob("*"):
        if path.is_file() and not path.is_symlink():
            data, count = path.read_bytes(), count + 1
            for text in paths:
                if text in data:
                    raise Bad(f"{path.relative_to(prefix)} has {text.decode()} in it")
    return f"{count} files"


def test_uninstall(bench):
    """Uninstalling leaves what others have put there, and nothing else."""
    prefix = bench.scratch / "others"
    other = prefix / "include" / "other.h"
    make(bench.build, "install", f"prefix={prefix}")
    other.write_text("", encoding="ascii")
    count = sum(1 for path in prefix.rglob("*") if not path.is_dir())
    make(bench.build, "uninstall", f"prefix={prefix}")
    left = [path for path in prefix.rglob("*") if path not in (other, other.parent)]
    if left or not other.exists():
        raise Bad(f"left: {left[:3]}, other.h is {'there' if other.exists() else 'gone'}")
    return f"{count - 1} files are gone, another one isn't"


def test_same_image(bench):
    """The same identity from another folder, for another program, by the tree's own pal-cc."""
    shell = Shell(bench.scratch / "same one", P=str(bench.prefix()))
    other = Shell(bench.scratch / "same", P=str(bench.build / "pal_sdk" / "tools"))
    for each in (shell, other):
        hello(each)
    shell.run(HELLO, "pal-cc")
    other.run(f"export XMHF_BUILD='{bench.build}'\n" + HELLO.replace("/bin", ""), "pal-cc")
    images = [(each.folder / "hello.pal").read_bytes() for each in (shell, other)]
    if images[0] != images[1]:
        raise Bad("the images differ")
    return f"{len(images[0])} bytes each"


CXX = (("g++", "-m64", "-m32"), ("clang++", "-m64", "-m32"), ("x86_64-w64-mingw32-g++", "-m64"),
       ("i686-w64-mingw32-g++", "-m32"))
STANDARDS = ("c++11", "c++14", "c++17", "c++20")
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only")
INSIDE = ("pal/rt.h", "pal/ed25519.h", "pal/x25519.h")  # of PALs' own code
# Of the interface below; 64-bit elements, which are less aligned with 32 bits.
CALLS = """\
#include "many_interface.h"
#include <pal/module.h>
uint64_t many_ocall_ask(const char *text, const uint64_t big[3]) { return big[0] + (text != NULL); }
int calls(struct pal_handle *p)
{
    uint64_t in[8] = { 1 }, out[8], both[4] = { 1 }, r = 0;
    double d[2] = { 1 };
    struct many_point point = { 1, { 2 } };
    struct pal_status s = many_all(p, &r, in, out, &both, &d, &point, "x", 8);
    return s.error == PAL_BUSY || s.error != PAL_OK;
}
"""
INTERFACE = """\
#include <pal/interface.h>
PAL_STRUCT(many_point, PAL_FIELD(uint64_t, x) PAL_FIELD(double, y[2]))
PAL_ENTRY(many, uint64_t, all, PAL_IN(uint64_t, in, n, 8), PAL_OUT(uint64_t, out, n, 8),
          PAL_INOUT_ARRAY(uint64_t, both, 4), PAL_OUT_ARRAY(double, d, 2),
          PAL_IN_STRUCT(many_point, point), PAL_STRING(text, 20), PAL_VALUE(uint16_t, n))
PAL_OCALL(many, uint64_t, ask, PAL_STRING(text, 20), PAL_IN_ARRAY(uint64_t, big, 3))
"""
PAL = """\
#include "many_interface.h"
uint64_t all(const uint64_t *in, uint64_t *out, uint64_t both[4], double d[2],
             const struct many_point *point, const char *text, uint16_t n)
{
    uint64_t big[3] = { point->x }, r = 0;
    out[n - 1] = in[0] + both[0];
    d[0] = point->y[0];
    return (uint64_t)ask(&r, text, big) + r;
}
"""


def test_compilers(bench):
    """Each installed header, alone and twice, by C and C++ compilers with all warnings; calls."""
    include = bench.prefix() / "include"
    headers = sorted(str(path.relative_to(include)) for path in include.rglob("*.h"))
    shell = Shell(bench.scratch / "compilers", P=str(bench.prefix()))
    for name, text in (("many_interface.h", INTERFACE), ("calls.c", CALLS), ("pal.c", PAL)):
        (shell.folder / name).write_text(text, encoding="ascii")
    every = "".join(f"#include <{name}>\n" for name in headers if name not in INSIDE)
    names = [re.sub(r"\W", "_", header) + ".c" for header in headers]
    for header, name in zip(headers, names):
        (shell.folder / name).write_text(f"#include <{header}>\n" * 2, encoding="ascii")
    (shell.folder / "every.c").write_text(every + CALLS, encoding="ascii")
    alone, together, made = " ".join(names), "every.c calls.c", 0
    for compiler, *widths in CXX:
        if not shutil.which(compiler):
            continue
        for width in widths:
            for standard in STANDARDS:
                sources = f"{alone} {together}" if standard == STANDARDS[0] else together
                shell.run(f'for file in {sources}; do {compiler} {width} -x c++ -std={standard} '
                          f'{" ".join(STRICT)} -I"$P/include" "$file"; done',
                          f"{compiler} {width} -std={standard}")
                made += 1
            # C's own rule about const arrays is ISO C's, not ours.
            plain = " ".join(flag for flag in STRICT if flag != "-Wpedantic")
            c = compiler.replace("clang++", "clang").replace("g++", "gcc")
            shell.run(f'for file in {together}; do {c} {width} -std=gnu99 {plain} -I"$P/include" '
                      f'"$file"; done\n"$P/bin/pal-cc" --cc {c} {width if c[0] in "gc" else ""} '
                      f'-O1 -Wall -Wextra -Werror --interface many_interface.h -o many.pal pal.c',
                      f"{c} {width}")
            made += 1
    return f"{len(headers)} headers, calls with 64-bit elements, {made} compilers and standards"


TESTS = {"cookbook": test_cookbook, "moved": test_moved, "no-path": test_no_path,
         "uninstall": test_uninstall, "same-image": test_same_image,
         "compilers": test_compilers}


class Bench:
    """The build folder, and one installation that the tests share."""

    def __init__(self, args, scratch):
        self.build = pathlib.Path(args.build).absolute()
        self.scratch = pathlib.Path(scratch)
        self.guest = args.guest

    def prefix(self):
        """The SDK, installed."""
        prefix = self.scratch / "prefix"
        if not prefix.exists():
            make(self.build, "install", f"prefix={prefix}")
        return prefix


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these tests")
    parser.add_argument("--list", action="store_true", help="list the tests and do nothing")
    parser.add_argument("--guest", choices=("svm", "vmx"),
                        help="boot guests for the cookbook's blocks that want one")
    parser.add_argument("--build", default=base.build_root(), metavar="DIR",
                        help="build folder (default: $XMHF_BUILD, or in the cache)")
    args = parser.parse_args()
    if args.list:
        print("\n".join(TESTS))
        return 0
    unknown = [name for name in args.names if name not in TESTS]
    if unknown:
        raise base.ToolError(f"no test is called {', '.join(unknown)}; see --list")
    if not (pathlib.Path(args.build) / "Makefile").exists():
        raise base.ToolError(f"{args.build} is no build folder: configure there, and run make")
    base.stop_on_signals()
    good = True
    with tempfile.TemporaryDirectory(prefix="xmhf-installed-") as scratch:
        bench = Bench(args, scratch)
        for name in args.names or TESTS:
            start = time.monotonic()
            try:
                result = f"ok {name}: {TESTS[name](bench)}"
            except (Bad, base.ToolError, subprocess.TimeoutExpired) as problem:
                result, good = f"not ok {name}: {problem}", False
            print(f"{result} ({time.monotonic() - start:.0f} s)", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    base.main(main)

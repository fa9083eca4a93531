#!/usr/bin/env python3
"""Tests of pal-cc, pal-lint and pal-addr2line beside the mistakes: a line for each test.

SPDX-License-Identifier: MIT

The same bits from any folder, identities, embedding by every compiler, what is refused by flag and
in objects of other commands, places in the sources, native objects.
"""
import argparse
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tools" / "lib"))
sys.dont_write_bytecode = True  # the source tree stays as it is
from xmhftools import base  # noqa: E402

TOOLS = SOURCE / "pal_sdk" / "tools"
LIMIT = 120  # seconds of one command

INTERFACE = """\
#include <pal/interface.h>
PAL_ENTRY(sample, uint32_t, add, PAL_VALUE(uint32_t, a), PAL_VALUE(uint32_t, b))
PAL_ENTRY(sample, uint32_t, sum, PAL_IN(uint8_t, bytes, n, 6000), PAL_VALUE(uint32_t, n))
"""
CODE = """\
#include "sample_interface.h"
#include <pal/rt.h>
#include <assert.h>
static uint32_t calls;
__attribute__((noinline)) static uint32_t helper(uint32_t a)
{
    return a * calls++;
}
uint32_t add(uint32_t a, uint32_t b)
{
    assert(a != 77);
    return a + b + helper(b);
}
uint32_t sum(const uint8_t *bytes, uint32_t n)
{
    uint32_t s = (uint8_t)__FILE__[n % sizeof(__FILE__)];
    for (uint32_t i = 0; i < n; i++) s += bytes[i];
    return s;
}
"""
VIRTUAL = """\
extern "C" {
#include "sample_interface.h"
}
struct Base { Base(); virtual unsigned f(unsigned) = 0; unsigned g(unsigned n); unsigned k; };
__attribute__((noinline)) unsigned Base::g(unsigned n) { return f(n); }
__attribute__((noinline)) Base::Base() { k = g(3); }
struct More : Base { unsigned f(unsigned n) override { return n + k; } };
uint32_t add(uint32_t a, uint32_t b) { More m; return m.g(a) + b; }
uint32_t sum(const uint8_t *, uint32_t n) { return n; }
"""
PROGRAM = """\
#include <pal/image.h>
#include <stdio.h>
#include <string.h>
PAL_IMAGE(sample);
extern const uint32_t sample_entry_add, sample_entry_sum;
int main(void)
{
    printf("%s %u %u %d ", sample_image.name, (unsigned)sample_entry_add,
           (unsigned)sample_entry_sum, memcmp(sample_image.file, "XMHFPAL", 7));
    for (unsigned i = 0; i < PAL_IDENTITY_SIZE; i++) printf("%02x", sample_image.identity[i]);
    printf(" %u\\n", (unsigned)sample_image.size);
    return 0;
}
"""
COMPILERS = {"elf64": ["gcc", "clang"], "elf32": ["gcc -m32", "clang -m32"],
             "pe64": ["x86_64-w64-mingw32-gcc"], "pe32": ["i686-w64-mingw32-gcc"]}
FLAGS = {"-pg": "profile", "--coverage": "coverage", "-fprofile-arcs": "coverage",
         "-fsanitize=address": "sanitizer", "-fsanitize=undefined": "sanitizer",
         "-static-pie": "fixed address", "-shared": "fixed address", "-pthread": "threads",
         "-finstrument-functions": "calls functions", "-fsplit-stack": "thread-local",
         "-mx32": "32 or 64 bits", "-mcmodel=large": "2 GiB"}


class Bad(Exception):
    """Something is not as it must be."""


def good(condition, what):
    if not condition:
        raise Bad(what)


class Bench:
    """A folder with a PAL's sources, and the tools."""

    def __init__(self, build, folder):
        self.folder = pathlib.Path(folder)
        self.env = {**os.environ, "XMHF_BUILD": str(pathlib.Path(build).absolute())}
        self.lint_program = pathlib.Path(build).absolute() / "pal_sdk" / "tools" / "pal-lint"
        self.write(self.folder)

    @staticmethod
    def write(folder):
        (folder / "sample_interface.h").write_text(INTERFACE, encoding="ascii")
        (folder / "sample.c").write_text(CODE, encoding="ascii")
        (folder / "program.c").write_text(PROGRAM, encoding="ascii")

    def run(self, *words, folder=None):
        """(status, what it printed)."""
        # Without the search for an interpreter: see tests/sdk/images.py.
        words = [*[sys.executable, "-S"] * (words[0] == TOOLS / "pal-cc"), *words]
        done = subprocess.run([str(word) for word in words], cwd=folder or self.folder,
                              env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=LIMIT, check=False, text=True,
                              errors="replace")
        return done.returncode, done.stdout

    def must(self, *words, folder=None):
        status, text = self.run(*words, folder=folder)
        good(status == 0, f"{' '.join(map(str, words))}: status {status}\n{text}")
        return text

    def cc(self, *words, folder=None):
        return self.must(TOOLS / "pal-cc", *words, folder=folder)

    def refused(self, status, words, *command):
        """A command that must end so, and say these words."""
        got, text = self.run(*command)
        good(got == status, f"{' '.join(map(str, command))}: status {got}, not {status}\n{text}")
        for word in words:
            good(word in text, f"{' '.join(map(str, command))}: no \"{word}\" in\n{text}")

    def image(self, compiler="gcc", *flags, to="sample.pal", sources=("sample.c",)):
        self.cc("--cc", compiler, "-O2", *flags, "--interface", "sample_interface.h", "-o", to,
                *sources)
        return self.folder / to

    def lint(self, *words):
        return self.must(self.lint_program, *words)

    def identity(self, image):
        return self.lint("--identity", image).strip()


def here(form):
    """The compilers of a form that this machine has."""
    return [name for name in COMPILERS[form] if shutil.which(name.split()[0])]


def forms():
    return [form for form in COMPILERS if here(form)]


def kinds():
    """A compiler of each kind, for what doesn't depend on its bits. MinGW's of 32 bits, whose
    objects have an underscore before each name."""
    return [name for name in ("gcc", "clang", COMPILERS["pe32"][0]) if shutil.which(name)]


# --- tests ----------------------------------------------------------------------------

def test_same_bits(bench):
    """One identity, whatever the folder and the paths are, in every form."""
    made = 0
    other = bench.folder / "a folder" / "deep"
    other.mkdir(parents=True)
    bench.write(other)
    for form in forms():
        for compiler in here(form):
            first = bench.image(compiler).read_bytes()
            bench.cc("--cc", compiler, "-O2", "--interface", other / "sample_interface.h", "-o",
                     other / "out.pal", other / "sample.c")
            bench.cc("--cc", compiler, "-O2", "--interface", "deep/sample_interface.h", "-o",
                     other / "again.pal", "deep/sample.c", folder=other.parent)
            for name in ("out.pal", "again.pal"):
                good((other / name).read_bytes() == first, f"{compiler}: {name} differs")
            made += 1
    good(str(bench.folder).encode() not in first, "a path is in the image")
    return f"{made} compilers, each in three ways"


def test_identity(bench):
    """pal-lint's identity is sha256sum's of the bytes that it says; the rest isn't measured."""
    image = bench.image()
    listing = bench.lint(image)
    count = int(re.search(r"first (\d+) bytes", listing).group(1))
    data = image.read_bytes()
    digest = hashlib.sha256(data[:count]).hexdigest()
    good(f"identity {digest}" in listing and bench.identity(image) == digest, listing)
    good(bench.identity(str(image) + ".elf") == digest, "the linked file's is another one")
    good(data[count:count + 8] == b"XMHFNOTE", "the notes are elsewhere")
    named = bench.image("gcc", "--name", "other", to="other.pal")
    good(bench.identity(named) == digest, "a name changes the identity")
    for option, value in (("--stack", "8192"), ("--stacks", "2"), ("--budget", "9"),
                          ("--debug", None)):
        changed = bench.image("gcc", option, *([value] if value else []), to="changed.pal")
        good(bench.identity(changed) != digest, f"{option} doesn't change the identity")
    return f"{count} bytes; stacks, budget and debug are in it, the name isn't"


def test_embed(bench):
    """An image is in programs of all compilers of its width, with names, numbers and identity."""
    done = 0
    for form in forms():
        image = bench.image(here(form)[0])
        want = f"sample 0 1 0 {bench.identity(image)} {image.stat().st_size}\n"
        for host in (name for other in forms() if other[-2:] == form[-2:] for name in here(other)):
            bench.cc("--host-cc", host, "-o", "sample_image.o", "sample.pal")
            bench.must(*host.split(), "-I", SOURCE / "pal_sdk" / "include", "-o", "program",
                       "program.c", "sample_image.o")
            if "mingw" not in host:
                printed = bench.must("./program")
                good(printed == want, f"{form} in {host}: {printed}, not {want}")
            done += 1
    wrong = (("gcc -m32", "embedded with --caller 32") if form[-2:] == "64"
             else ("gcc", "it calls images of 64 bits only"))
    bench.refused(1, [wrong[1]], TOOLS / "pal-cc", "--host-cc", wrong[0], "-o", "wrong.o",
                  "sample.pal")
    return f"{done} pairs of image and program; the wrong width is refused"


WIDE = """\
#include <pal/interface.h>
PAL_ENTRY(wide, uint64_t, all, PAL_VALUE(uint64_t, a), PAL_VALUE(int8_t, b), PAL_STRING(text, 80),
          PAL_IN(uint64_t, list, n, 100), PAL_VALUE(int64_t, c), PAL_VALUE(uint32_t, n))
"""
WIDE_CODE = """\
#include "wide_interface.h"
uint64_t all(uint64_t a, int8_t b, const char *t, const uint64_t *l, int64_t c, uint32_t n)
{
    return a + (uint64_t)b + (uint64_t)t[0] + l[n - 1] + (uint64_t)c;
}
"""


def test_caller(bench):
    """A 64-bit image for 32-bit programs has the words that those have, and is embedded in them."""
    (bench.folder / "wide_interface.h").write_text(WIDE)
    (bench.folder / "wide.c").write_text(WIDE_CODE)

    def words(*flags):
        bench.cc(*flags, "--interface", "wide_interface.h", "-o", "wide.pal", "wide.c")
        return re.findall("^ *parameter.*", bench.lint("wide.pal"), re.M)
    narrow, wide, between = words("-m32"), words("-m64"), words("-m64", "--caller", "32")
    good(between == narrow, f"for a 32-bit program: {between}, not {narrow}")
    good(len(wide) == 7 and len(narrow) == 10, f"{wide}, {narrow}")
    bench.cc("--caller", "32", "-o", "wide_image.o", "wide.pal")
    good(bench.must("file", "-b", "wide_image.o").startswith("ELF 32-bit"), "not for 32 bits")
    bench.refused(1, ["with --caller 32"], TOOLS / "pal-cc", "-m32", "-o", "wrong.o", "wide.pal")
    bench.refused(2, ["has 32 or 64 bits"], TOOLS / "pal-cc", "--caller", "16", "-o", "wrong.o",
                  "wide.pal")
    bench.refused(1, ["images of 64 bits only"], TOOLS / "pal-cc", "-m32", "--caller", "64",
                  "--interface", "wide_interface.h", "-o", "wrong.pal", "wide.c")
    return f"{len(between)} words, as with -m32"


def test_flags(bench):
    """What no flag can change is refused before anything is compiled."""
    for flag, word in FLAGS.items():
        bench.refused(1, [f"error: {flag}: ", word], TOOLS / "pal-cc", flag, "--interface",
                      "sample_interface.h", "-o", "refused.pal", "sample.c")
        bench.refused(1, [f"error: {flag}: ", word], TOOLS / "pal-cc", "--cc", f"gcc {flag}",
                      "--interface", "sample_interface.h", "-o", "refused.pal", "sample.c")
    trap = "-fsanitize-undefined-trap-on-error"  # excepts -fsanitize= and nothing else
    for flag in ("-mrtd", "-fshort-enums", "-fsanitize-coverage=trace-pc", "-pg"):
        bench.refused(1, [f"error: {flag}: "], TOOLS / "pal-cc", flag, "-fsanitize=undefined", trap,
                      "--interface", "sample_interface.h", "-o", "refused.pal", "sample.c")
    bench.image(f"gcc -fsanitize=undefined {trap}")
    bench.refused(2, ["--interface"], TOOLS / "pal-cc", "-o", "x.pal", "sample.c")
    bench.refused(2, ["no such file"], TOOLS / "pal-cc", "-o", "x.o", "-c", "absent.c")
    bench.refused(2, ["no such compiler"], TOOLS / "pal-cc", "--cc", "absent", "-o", "x.pal",
                  "--interface", "sample_interface.h", "sample.c")
    bench.refused(1, ["31 stacks: there can be at most 30", "STACK and a PARAM"],
                  TOOLS / "pal-cc", "--stacks", "31", "--interface", "sample_interface.h", "-o",
                  "refused.pal", "sample.c")
    bench.refused(2, ["is no number"], bench.lint_program, "--make", "x", "--stack", "many",
                  "sample.c")
    bench.image("gcc", "-flto", "-fPIC", "-fcf-protection=full", "-fstack-protector-all")
    return f"{len(FLAGS)} flags, and usage"


def test_includes(bench):
    """A source with an entry or an ocall of other types, and without the header, is refused."""
    (bench.folder / "sample_interface.h").write_text(INTERFACE + (
        "PAL_OCALL(sample, uint32_t, ask, PAL_VALUE(uint32_t, a))\n"), encoding="ascii")
    (bench.folder / "bare.c").write_text(
        "unsigned add(const unsigned *a, unsigned long long b) { return a ? (unsigned)b : 1; }\n"
        "unsigned sum(const unsigned char *a, unsigned b) { return a[b]; }\n", encoding="ascii")
    (bench.folder / "asks.c").write_text("unsigned ask(char *a);\nunsigned more(void);\n"
                                         "unsigned more(void) { return ask(0); }\n",
                                         encoding="ascii")
    for form in forms():
        for compiler in here(form):
            for flags in ([], ["-flto"]) if "gcc" in compiler and form[0] == "e" else ([],):
                for sources in (["bare.c"], ["sample.c", "asks.c"]):
                    bench.refused(1, [f"{sources[-1]}: error: ", "doesn't include"],
                                  TOOLS / "pal-cc", "--cc", compiler, *flags, "--interface",
                                  "sample_interface.h", "-o", "bare.pal", *sources)
            bench.image(compiler, "-MD", "-MF", "mine.d")
    good((bench.folder / "mine.d").exists(), "a -MF of the command line was lost")
    return f"{len(forms())} forms"


def test_names(bench):
    """An image is called as PAL_ENTRY says; another name is told, and two PALs are refused."""
    command = (TOOLS / "pal-cc", "-o", "sample.pal", "--interface")
    for header, words, name in (
            ("sample_interface.h", (), "sample"), ("api.h", (), "sample"),
            ("other_interface.h", ("other_interface.h:2: warning: add: ", "sample_image"),
             "sample")):
        (bench.folder / header).write_text(INTERFACE, encoding="ascii")
        said = bench.must(*command, header, "sample.c")
        good(all(word in said for word in words) and bool(said) == bool(words), said)
        names = bench.must(bench.lint_program, "--names", "sample.pal")
        good(f"image {name}\n" in names, f"{header}: {names}")
    (bench.folder / "two_interface.h").write_text(
        "#include <pal/interface.h>\n\nPAL_ENTRY_VOID(two, nothing)\n", encoding="ascii")
    (bench.folder / "two.c").write_text('#include "two_interface.h"\nvoid nothing(void) { }\n',
                                        encoding="ascii")
    both = ("sample_interface.h", "--interface", "two_interface.h", "sample.c", "two.c")
    bench.refused(1, [": error: ", "an image is one PAL"], *command, *both)
    bench.refused(1, [": error: ", "an image is one PAL"], TOOLS / "pal-cc", "--native", "-o",
                  "native.o", "--interface", *both)
    bench.cc("-O2", "-o", "named.o", "--interface", "api.h", "sample.c")
    good((bench.folder / "named.pal").exists(), "no image beside the object")
    good("sample_image" in bench.must("nm", "named.o"), "the object has another name")
    return "by PAL_ENTRY; a header of another name; two PALs"


def test_second_header(bench):
    """An interface that comes in through a second header is found, checked and told of."""
    (bench.folder / "more").mkdir()
    (bench.folder / "more" / "inner.h").write_text("#pragma once\n" + INTERFACE, encoding="ascii")
    (bench.folder / "sample_interface.h").write_text('#include "inner.h"\n', encoding="ascii")
    (bench.folder / "inner.c").write_text(CODE.replace("sample_interface.h", "inner.h"),
                                          encoding="ascii")
    (bench.folder / "bare.c").write_text(
        "unsigned add(const unsigned *a, unsigned long long b) { return a ? (unsigned)b : 1; }\n"
        "unsigned sum(const unsigned char *a, unsigned b) { return a[b]; }\n", encoding="ascii")
    tried = 0
    for compiler in kinds():
        for where in ("-Imore", "-isystemmore"):
            first = ("--cc", compiler, "-O2", where, "-I.", "-o", "second.pal", "--interface")
            for header in ("sample_interface.h", "more/inner.h"):
                for source in ("sample.c", "inner.c"):
                    bench.cc(*first, header, source)
                    names = bench.must(bench.lint_program, "--names", "second.pal")
                    good("entry add\nentry sum\n" in names, f"{compiler}: {names}")
                bench.refused(1, ["bare.c: error: add", "doesn't include"], TOOLS / "pal-cc",
                              *first, header, "bare.c")
                bench.refused(0, ["inner.h:3: warning: add: "], TOOLS / "pal-cc", *first, header,
                              "--name", "other", "sample.c")
                tried += 4
    return f"{tried} ways"


def test_objects(bench):
    """Objects of other commands: good ones are linked, others named by function."""
    bad = {"-fstack-protector-all": "the stack protector's guard is in thread-local storage",
           "-fsanitize=undefined": "compiled with a sanitizer",
           "--coverage": "compiled with --coverage", "-pg": "compiled with -pg"}
    (bench.folder / "more.c").write_text("int more(int x)\n{\n    char b[40];\n"
                                         "    __asm__(\"\" : : \"r\"(b));\n"
                                         "    return x + 1;\n}\n", encoding="ascii")
    code = CODE.replace("a * calls++", "a * calls++ + more(a)").replace(
        "static uint32_t calls;", "static uint32_t calls; int more(int);")
    (bench.folder / "uses.c").write_text(code, encoding="ascii")
    bench.must("gcc", "-O2", "-g", "-c", "-fPIC", "-fno-stack-protector", "more.c")
    bench.image("gcc", to="uses.pal", sources=("uses.c", "more.o"))
    bench.must("ar", "rc", "libmore.a", "more.o")
    bench.image("gcc", to="uses.pal", sources=("uses.c", "libmore.a"))
    for flag, word in bad.items():
        bench.must("gcc", "-O1", "-g", "-c", flag, "more.c")
        bench.refused(1, [word, "more.c:"], TOOLS / "pal-cc", "-O2", "--interface",
                      "sample_interface.h", "-o", "uses.pal", "uses.c", "more.o")
        good(not (bench.folder / "uses.pal").exists(), "the old image is still there")
    (bench.folder / "alien.c").write_text(
        CODE.replace("static uint32_t calls;",
                     "static uint32_t calls __attribute__((section(\"mine\")));"),
        encoding="ascii")
    bench.refused(1, ["section mine: ", "uses section mine"], TOOLS / "pal-cc", "--interface",
                  "sample_interface.h", "-o", "alien.pal", "alien.c")
    return f"an object, an archive; {len(bad)} kinds refused"


def test_dropped(bench):
    """What an object asks for and an image can't have: a stack to execute, variables in RODATA."""
    bad = {".rodata.mine": "calls can be written", ".data.rel.ro.mine": "calls can be written"}
    good_ones = (".data.mine", ".bss.mine")
    compilers = COMPILERS["elf64"] + COMPILERS["elf32"]
    for name in (*bad, *good_ones):
        (bench.folder / "placed.c").write_text(
            CODE.replace("static uint32_t calls;", "uint32_t calls __attribute__((section("
                         f"\"{name}\"))) = {int('bss' not in name)};"), encoding="ascii")
        for compiler in compilers:
            if name in bad:
                bench.refused(1, [bad[name], name, "begin with .data."], TOOLS / "pal-cc", "--cc",
                              compiler, "-w", "--interface", "sample_interface.h", "-o",
                              "placed.pal", "placed.c")
            else:
                bench.image(compiler, "-w", to="placed.pal", sources=("placed.c",))
    (bench.folder / "tables.c").write_text(
        CODE.replace("static uint32_t calls;", "static uint32_t calls;\n"
                     "static const char *const names[] = { \"a\", \"b\" };\n"
                     "const uint8_t *const all[] = { (const uint8_t *)\"c\", 0 };\n")
        .replace("a * calls++", "a * calls++ + (uint32_t)names[a & 1][0] + all[0][a & 1]"),
        encoding="ascii")
    for compiler in compilers:
        for flags in ((), ("-fPIE", "-fdata-sections"), ("-fPIC",)):
            bench.image(compiler, *flags, to="tables.pal", sources=("tables.c",))
    (bench.folder / "stack.s").write_text(
        ".globl stack\nstack: ret\n.section .note.GNU-stack,\"x\",@progbits\n", encoding="ascii")
    bench.refused(1, ["stack: ", "a stack that can be executed"], TOOLS / "pal-cc", "--interface",
                  "sample_interface.h", "-o", "stack.pal", "sample.c", "stack.s")
    return f"{len(bad)} sections, a stack; {len(good_ones)} sections and tables are good"


def test_places(bench):
    """pal-addr2line: by section, by number, by address; with 32 and 64 bits, ELF and PE."""
    line = CODE.split("\n").index("uint32_t add(uint32_t a, uint32_t b)") + 1
    for form in forms():
        compiler = here(form)[0]
        image = bench.image(compiler, "-O1")
        nm = bench.must("nm", str(image) + ".elf")
        address = int(re.search(r"^(\w+) T _?add$", nm, re.M).group(1), 16)
        places = [f"{address:#x}", f"CODE+{address - 0x10000000:#x}",
                  f"0+{address - 0x10000000:#x}"]
        for where in (image, f"{image}.elf"):
            told = bench.must(TOOLS / "pal-addr2line", where, *places).splitlines()
            want = [f"{place}: add at sample.c:{line}" for place in places]
            told = [re.sub(r":\d+$", f":{line}", text) if f":{line + 1}" in text else text
                    for text in told]
            good(told == want, f"{compiler}: {told}, not {want}")
    bench.refused(1, ["no function (outside the image)"], TOOLS / "pal-addr2line", image, "0x1234")
    bench.refused(2, ["no such section"], TOOLS / "pal-addr2line", image, "STICK+0x1")
    return f"{len(forms())} forms"


def test_finished(bench):
    """pal-lint says of a finished image what pal-cc says, with names and lines, and without."""
    (bench.folder / "call.c").write_text(CODE.replace(
        "    return a * calls++;", '    __asm__ volatile("syscall" : : : "rcx", "r11", "rax");\n'
        "    return a * calls++;"), encoding="ascii")
    image = bench.image()
    bench.refused(1, ["call.c:7: error: helper: a system call (syscall)"], TOOLS / "pal-cc", "-O2",
                  "--interface", "sample_interface.h", "-o", "call.pal", "call.c")
    data = bytearray(image.read_bytes())
    count = int(re.search(r"first (\d+) bytes", bench.lint(image)).group(1))
    code = data.index(b"\xc3", count - 2 * 4096)  # in CODE, somewhere
    data[code:code + 1] = b"\xf4"
    (bench.folder / "broken.pal").write_bytes(data)
    bench.refused(1, ["the instruction hlt"], bench.lint_program, "broken.pal")
    (bench.folder / "cut.pal").write_bytes(data[:100])
    bench.refused(1, ["cut off"], bench.lint_program, "cut.pal")
    bench.refused(2, ["neither an image nor an ELF or PE file"], bench.lint_program, "sample.c")
    bench.cc("-c", "-o", "sample.o", "sample.c")
    bench.refused(2, ["isn't linked"], bench.lint_program, "sample.o")
    return "a system call, hlt, a cut file, no image"


def test_native(bench):
    """--native: one object, which exports what an image's does and keeps sanitizers."""
    for compiler in (name for form in forms() for name in here(form)):
        bench.cc("--native", "--cc", compiler, "--interface", "sample_interface.h", "-o",
                 "native.o", "sample.c")
        names = bench.must("nm", "native.o")
        for name in ("sample_image", "sample_entry_add", "sample_entry_sum", "add"):
            good(re.search(rf" [TRDd] _?{name}$", names, re.M), f"{compiler}: no {name}\n{names}")
    bench.cc("--native", "-fsanitize=address", "--coverage", "--interface", "sample_interface.h",
             "-o", "native.o", "sample.c")
    good("__asan_" in bench.must("nm", "native.o"), "no sanitizer in it")
    return "every compiler; ASan and coverage are taken"


def test_stacks(bench):
    """Frames that pal-lint reads from the code are those that the compiler tells."""
    folder = SOURCE / "pal_sdk" / "examples" / "torture"
    compared = 0
    for compiler in (name for form in forms() for name in here(form) if "clang" not in name):
        for level in ("-O0", "-O2"):
            bench.cc("--cc", compiler, level, "-fstack-usage", "-c", "-o", "torture.o",
                     folder / "torture_pal.c")
            usage = (bench.folder / "torture.su").read_text(encoding="ascii")
            told = {line.split("\t")[0].rsplit(":", 1)[1]: int(line.split("\t")[1])
                    for line in usage.splitlines()}
            bench.cc("--cc", compiler, level, "--interface", folder / "torture_interface.h", "-o",
                     "torture.pal", "torture.o")
            listing = bench.lint("torture.pal")
            ways = re.findall(r"^stack of .* bytes \((.*)\)", listing, re.M)
            good(ways, f"{compiler}: no need of stack in\n{listing}")
            for name, frame in (part.split() for way in ways for part in way.split(" > ")
                                if part != "..."):
                if name in told:
                    good(told[name] <= int(frame) <= told[name] + 64,
                         f"{compiler} {level}: {name} has {frame} bytes, told are {told[name]}")
                    compared += 1
    return f"{compared} frames"


def test_advice(bench):
    """Each function of functions.txt is libpal-rt's, or pal-cc says what a PAL has instead."""
    names = [name for line in (SOURCE / "tests" / "sdk" / "functions.txt").read_text(
        encoding="ascii").splitlines() if not line.startswith("#") for name in line.split()]
    calls = "".join(f"void {name}(void); {name}();\n" for name in names)
    (bench.folder / "calls.c").write_text(f"void calls(void);\nvoid calls(void)\n{{\n{calls}}}\n",
                                          encoding="ascii")
    (bench.folder / "uses.c").write_text(CODE.replace("a * calls++", "(calls(), a)").replace(
        "static uint32_t calls;", "void calls(void);"), encoding="ascii")
    told = 0
    for compiler in ("gcc", "i686-w64-mingw32-gcc"):
        if not shutil.which(compiler):
            continue
        status, text = bench.run(TOOLS / "pal-cc", "--cc", compiler, "-w", "--interface",
                                 "sample_interface.h", "-o", "calls.pal", "calls.c", "uses.c")
        said = dict(re.findall(r"^calls\.c:\d+: error: (\w+): (.*)$", text, re.M))
        bad = [name for name, sentence in said.items() if "defined nowhere" in sentence]
        good(status == 1 and not bad,
             f"{compiler} has no sentence for {' '.join(bad)}\n{text[:900]}")
        for name in ("memmem", "floor", "strsep", "atoll", "lldiv", "sqrtf", "reallocarray"):
            good(name not in said, f"{compiler}: {name}: {said.get(name)}")
        for name in ("sin", "strtof", "htonl", "isdigit", "mktime", "fopen", "wcslen"):
            good(name in said, f"{compiler} links {name}")
        told += len(said)
    return f"{len(names)} functions; {told} sentences"


def test_undeclared(bench):
    """What compilers don't know is told of at its line, too, by C's and C++'s compilers."""
    code = CODE.replace("return a * calls++;", "return a * calls++ +\n"
                        "htonl(a) +\n(uint32_t)cosh(a);")
    line = code.splitlines().index("htonl(a) +") + 1
    words = [f".c:{line}: pal-cc: htonl: it is in <arpa/inet.h>",
             f".c:{line + 1}: pal-cc: cosh: libpal-rt has of math.h"]
    (bench.folder / "undeclared.c").write_text(code, encoding="ascii")
    (bench.folder / "undeclared.cpp").write_text(
        'extern "C" {\n' + code + "}\n", encoding="ascii")
    compilers = [name for form in forms() for name in here(form)]
    for compiler in compilers:
        bench.refused(1, words, TOOLS / "pal-cc", "--cc", compiler, "--interface",
                      "sample_interface.h", "-o", "x.pal", "undeclared.c")
    for compiler in ("g++", "clang"):
        bench.refused(1, [f"undeclared.cpp:{line + 1}: pal-cc: htonl: "], TOOLS / "pal-cc", "--cc",
                      compiler, "--interface", "sample_interface.h", "-o", "x.pal",
                      "undeclared.cpp")
    return f"{len(compilers)} compilers; C++ by two"


def test_twice(bench):
    """What is defined twice, in two sources or beside libpal-rt's, is named with its place."""
    (bench.folder / "twice.c").write_text(
        "#include <stdlib.h>\nunsigned more(void);\n"
        "void *malloc(size_t n) { return n ? 0 : &n; }\n"
        "unsigned more(void) { return realloc(0, 1) != 0; }\n", encoding="ascii")
    (bench.folder / "again.c").write_text(
        "unsigned more(void);\nunsigned more(void) { return 1; }\n", encoding="ascii")
    code = CODE.replace("a * calls++", "a * calls++ + more()")
    (bench.folder / "uses.c").write_text(code.replace(
        "static uint32_t calls;", "static uint32_t calls; unsigned more();"), encoding="ascii")
    compilers = [name for form in forms() for name in here(form)]
    for compiler in compilers:
        command = (TOOLS / "pal-cc", "--cc", compiler, "-w", "--interface", "sample_interface.h",
                   "-o", "x.pal", "uses.c", "twice.c")
        bench.refused(1, ["twice.c:3: error: malloc: libpal-rt has it, too", "PAL_HEAP"], *command)
        bench.refused(1, ["error: more: it is defined twice"], *command, "again.c")
    return f"{len(compilers)} compilers"


def test_pure_virtual(bench):
    """A pure virtual function's place in a table has the death of that name, not NULL."""
    (bench.folder / "virtual.cpp").write_text(VIRTUAL, encoding="ascii")
    (bench.folder / "empty.cpp").write_text("", encoding="ascii")
    compilers = [name for form in forms() for name in here(form)
                 if bench.run(*name.split(), "-c", "-o", "empty.o", "empty.cpp")[0] == 0]
    for compiler in compilers:
        bench.image(compiler, to="virtual.pal", sources=("virtual.cpp",))
        symbols = bench.must("nm", "virtual.pal.elf")
        good(re.search(r"^[0-9a-f]+ [Tt] _+cxa_pure_virtual$", symbols, re.M),
             f"{compiler}: no __cxa_pure_virtual in\n{symbols}")
    return ", ".join(compilers)


def test_wrong_words(bench):
    """Numbers and places that can't be: a sentence each."""
    command = (TOOLS / "pal-cc", "--interface", "sample_interface.h", "sample.c", "-o")
    bench.refused(2, ["--stack 16384"], *command, "sample.pal", "--stack", "16K")
    bench.refused(2, ["--budget many: no number"], *command, "sample.pal", "--budget=many")
    status, text = bench.run(*command, "nowhere/sample.pal")
    good(status == 2 and text.startswith("pal-cc: nowhere/") and "Traceback" not in text,
         f"-o nowhere/sample.pal: status {status}\n{text}")
    return "2 numbers, 1 place"


TESTS = (test_same_bits, test_identity, test_embed, test_caller, test_flags, test_includes,
         test_second_header, test_names, test_objects, test_dropped, test_places, test_finished,
         test_native, test_stacks, test_advice, test_undeclared, test_twice, test_pure_virtual,
         test_wrong_words)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these tests: same_bits")
    parser.add_argument("--build", default=base.build_root(), metavar="DIR",
                        help="build folder (default: $XMHF_BUILD, or in the cache)")
    args = parser.parse_args()
    known = {test.__name__.removeprefix("test_"): test for test in TESTS}
    unknown = [name for name in args.names if name not in known]
    if unknown:
        raise base.ToolError(f"no test is called {', '.join(unknown)}; there are "
                             f"{', '.join(known)}")
    base.stop_on_signals()
    status = 0
    for name in args.names or known:
        with tempfile.TemporaryDirectory(prefix="xmhf-tools-") as folder:
            try:
                print(f"ok {name}: {known[name](Bench(args.build, folder))}", flush=True)
            except (Bad, OSError, subprocess.TimeoutExpired) as problem:
                print(f"not ok {name}: {problem}", flush=True)
                status = 1
    return status


base.main(main)

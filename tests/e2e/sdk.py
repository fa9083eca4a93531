"""Images by the SDK under the hypervisor: the usual mistakes, leaks, deaths, fork.

SPDX-License-Identifier: MIT

What is built, and what must happen, is in tests/sdk; tests/sdk/run.py does the same in native mode.
"""
import concurrent.futures
import os
import re
import shutil
import sys

from common import SOURCE, Skipped, check
import pals

sys.path.insert(0, str(SOURCE / "tests" / "sdk"))
import images  # noqa: E402
import mistakes  # noqa: E402
from mistakes import Build  # noqa: E402

AT_ONCE = 8   # images that a process runs, one after the other
LIMIT = 1200  # seconds, several times what an idle host takes
# With every change some of them: what is decided at run time, and by the hypervisor.
SOME = ("alloca_100000", "asm_computed", "caller_pointer", "const_table", "double",
        "eleven_parameters", "global", "guard", "ocall", "past_the_count", "pointer_as_integer",
        "recursion", "setjmp", "sse_spill", "stack_protector", "thirty_two_parameters",
        "write_const", "wrong_unit")
FORMS = (("elf64", "gcc"), ("pe64", "mingw"), ("elf32", "gcc"), ("pe32", "mingw"))


def program(machines, name):
    """A program of tests/sdk as built, for the guest."""
    path = machines.build / "tests" / "sdk" / name
    if not path.exists():
        raise Skipped(f"there is no {path}")
    return path


def compiles(mistake, build):
    """Whether there is a compiler for its language here."""
    return mistake.path.suffix != ".cpp" or images.has_cxx(
        images.COMPILERS[build.form][build.compiler][0])


def build_images(machines, wanted, builds):
    """Build them, each in all these ways: [(mistake, build, file)] of those that aren't refused."""
    folder = machines.scratch / "images"
    folder.mkdir(exist_ok=True)
    bench = images.Bench(machines.build, folder)

    def one(pair):
        mistake, build = pair
        status, said, image = bench.compile(mistake, build)
        try:
            there = mistakes.check_build(mistake, build, status, said)
        except mistakes.Bad as problem:
            check(False, f"{mistake.name}, {build}: {problem}")
        image.with_name(image.name + ".elf").unlink(missing_ok=True)
        return (mistake, build, image) if there else None
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(one, [(mistake, build) for mistake in wanted
                              for build in builds if compiles(mistake, build)])
        return [found for found in done if found]


def quoted(words):
    return " ".join(f"'{word}'" for word in words)


def linux(build):
    """The program that runs an image of this width."""
    return "sdk_run" if build.bits == 64 else "sdk_run32"


def script_of(built, runner):
    """The guest's commands, some images in each process."""
    lines = []
    for bits in sorted({build.bits for _, build, _ in built}):
        mine = [one for one in built if one[1].bits == bits]
        for first in range(0, len(mine), AT_ONCE):
            words = []
            for mistake, build, image in mine[first:first + AT_ONCE]:
                words += ["--"] * bool(words) + [f"images/{image.name}"]
                words += [call for _, call in mistake.calls(build)]
            lines.append(f"{runner(mine[0][1])} {images.KEY} {quoted(words)}; echo status $?")
    return "\n".join(lines) + "\n"


def judge(run, built):
    """What each image did, against what its source says."""
    text = run.text().replace("\r\n", "\n")
    parts = dict(re.findall(r"^image images/(\S+)\n(.*?)(?=^image |^status |\Z)", text,
                            re.M | re.S))
    problems = []
    for mistake, build, image in built:
        try:
            mistakes.check_run(mistake, build, parts.get(image.name, ""), False)
        except mistakes.Bad as problem:
            problems.append(f"{mistake.name}, {build}: {problem}")
    check(not problems, f"{len(problems)} of {len(built)}:\n  " + "\n  ".join(problems[:10]))
    return len(built)


def run_mistakes(machines, names, builds, search=True):
    """Build and run mistakes in one guest; then look for the pattern in the guest's memory."""
    known = images.sources()
    wanted = [known[name] for name in names]
    built = build_images(machines, wanted, builds)
    commands = machines.scratch / "sdk.sh"
    look = f"memsearch --kcore key:{images.KEY}" if search else "false"
    commands.write_text(f"{script_of(built, linux)}{look}; echo kcore $?\n", encoding="ascii")
    runners = {program(machines, linux(build)) for build in builds}
    run = machines.run(["sh", "sdk.sh"], "--timeout", str(LIMIT), "--one-core",
                       adds=[commands, machines.scratch / "images", machines.compile("memsearch"),
                             *sorted(runners)]).ended_well()
    count = judge(run, built)
    check("kcore 1\n" in run.text(), f"the guest's memory:\n{run.text()[-500:]}")
    return (f"{count} images of {len(wanted)} mistakes: right results, deaths that say why; no "
            f"word of their pattern in the process{' or in the OS' * search}")


def ways(levels):
    return [Build(form, compiler, level) for form, compiler in FORMS for level in levels]


def test_sdk(machines):
    """Some of the usual mistakes, ELF and PE, 64 and 32 bits, under the hypervisor."""
    # Bochs takes a minute for the search, which sdk-leak makes there.
    return run_mistakes(machines, SOME, ways(["-O2"]), machines.args.bench == "svm")


def in_pals():
    """Names of all mistakes in PALs; of XMHF_SDK_MISTAKES if that is set: names, or M/N, the M-th
    of N parts of all, for who can't wait for a whole form."""
    found = [name for name, mistake in images.sources().items()
             if mistake.path.parent.name == "mistakes"]
    chosen = os.environ.get("XMHF_SDK_MISTAKES", "").split()
    part = re.fullmatch(r"(\d+)/(\d+)", chosen[0]) if len(chosen) == 1 else None
    if part:
        m, n = map(int, part.groups())
        check(0 < m <= n, f"XMHF_SDK_MISTAKES={chosen[0]}: there is no such part")
        return found[m - 1::n]
    check(set(chosen) <= set(found), f"XMHF_SDK_MISTAKES={' '.join(chosen)}: not all are names")
    return chosen or found


def every_mistake(machines, form):
    """All of the usual mistakes in images of one form, by each of its compilers, -O0 and -O2; on
    Intel by one, -O2, since Bochs takes seconds for an image."""
    if machines.args.bench == "vmx":
        return run_mistakes(machines, in_pals(), [build for build in ways(["-O2"])
                                                  if build.form == form], False)
    compilers = [name for name, command in images.COMPILERS[form].items()
                 if shutil.which(command[0])]
    return run_mistakes(machines, in_pals(), [Build(form, name, level) for name in compilers
                                              for level in images.LEVELS])


def test_sdk_elf64(machines):
    """All of the usual mistakes, ELF images of 64 bits, by gcc and clang, -O0 and -O2."""
    return every_mistake(machines, "elf64")


def test_sdk_elf32(machines):
    """The same with 32 bits."""
    return every_mistake(machines, "elf32")


def test_sdk_pe64(machines):
    """All of the usual mistakes, by MinGW for 64 bits, -O0 and -O2."""
    return every_mistake(machines, "pe64")


def test_sdk_pe32(machines):
    """The same with 32 bits."""
    return every_mistake(machines, "pe32")


def wine(machines, bits, builds):
    """All mistakes, in a Windows program."""
    known = images.sources()
    built = build_images(machines, [known[name] for name in in_pals()], builds)
    name = f"sdk_run{'' if bits == 64 else '32'}.exe"
    commands = machines.scratch / "sdk.sh"
    commands.write_text(script_of(built, lambda build: f"wine {name}"), encoding="ascii")
    run = machines.run(["sh", "sdk.sh"], "--wine", str(bits), "--timeout", str(LIMIT),
                       "--one-core", adds=[commands, machines.scratch / "images",
                                           program(machines, name)]).ended_well()
    return judge(run, built)


def test_sdk_wine(machines):
    """All of the usual mistakes in Windows programs, under Wine, ELF and PE images."""
    count = wine(machines, 64, ways(["-O2"])[:2]) + wine(machines, 32, ways(["-O2"])[2:])
    return f"{count} images in PE32+ and PE32 programs: right results, deaths that say why"


def test_sdk_leak(machines):
    """While a PAL has the pattern, root doesn't find a word of it; natively the search does."""
    return leak(machines, "", True) + "; " + leak(machines, "_native", False)


def leak(machines, kind, hypervisor):
    known = images.sources()
    built = build_images(machines, [known["const_table"]], [Build("elf64", "gcc", "-O2")])
    name = f"sdk_run{kind}"
    script = (f"mkfifo p; {name} {images.KEY} --hold images/{built[0][2].name} <p >o & pid=$!; "
              "exec 4>p; until grep -q ready o; do usleep 50000; done; "
              f"memsearch --kcore key:{images.KEY}; echo kernel $?; "
              f"memsearch --pid $pid key:{images.KEY}; echo process $?; echo >&4; wait $pid; "
              "cat o; "
              f"memsearch --kcore key:{images.KEY}; echo after $?")
    run = machines.run(["sh", "-c", script], hypervisor=hypervisor,
                       adds=[machines.scratch / "images", program(machines, name),
                             machines.compile("memsearch")]).ended_well()
    status = 1 if hypervisor else 0  # of memsearch: 1 is "not found"
    for line in (f"kernel {status}", f"process {status}", "kept 4096"):
        check(f"{line}\n" in run.text(), f"no \"{line}\" in:\n{run.text()}")
    check(not hypervisor or "after 1\n" in run.text(), f"afterwards:\n{run.text()}")
    return ("neither kcore nor the process had a word of 8 pages of a PAL's" if hypervisor
            else "native mode had them in both")


def test_sdk_control(machines):
    """Without the hypervisor opening an image fails with a sentence, and without a signal."""
    known = images.sources()
    built = build_images(machines, [known["const_table"]], ways(["-O2"])[::2])
    script = script_of(built, linux)
    run = machines.run(["sh", "-c", script], hypervisor=False,
                       adds=[machines.scratch / "images", program(machines, "sdk_run"),
                             program(machines, "sdk_run32")]).ended_well()
    said = re.findall(r"^open 1 text=(.*)$", run.text(), re.M)
    check(len(said) == len(built) and all("hypervisor" in text for text in said), run.text())
    check(run.text().count("status 0\n") == 2, run.text())
    return f"{len(built)} images: \"{said[0]}\""


def test_sdk_fork(machines):
    """A child, a grandchild, a process with a recycled CR3 doesn't have its parent's image."""
    built = build_images(machines, [images.sources()["const_table"]], ways(["-O2"])[::2])
    script = "\n".join(f"echo @@ {name}; {name} images/{image.name}; echo @@ end $?"
                       for name, (_, _, image) in zip(("sdk_fork", "sdk_fork32"), built))
    run = machines.run(["sh", "-c", script], "--one-core",
                       adds=[machines.scratch / "images", program(machines, "sdk_fork"),
                             program(machines, "sdk_fork32")]).ended_well()
    made = sum(pals.counted(output, name)
               for name, output, _ in pals.parts_of(run, ("sdk_fork", "sdk_fork32")))
    return f"{made} checks, 64 and 32 bits"


def identity(machines, image):
    """What pal-lint says of an image file."""
    status, said = images.run([machines.build / "pal_sdk" / "tools" / "pal-lint", image])
    found = re.search(r"\b([0-9a-f]{64})\b", said)
    check(status == 0 and found, f"pal-lint {image}: {said}")
    return found.group(1)


def test_sdk_identity(machines):
    """pal-lint's identity is the hypervisor's; registers after a call hold nothing of the PAL's."""
    # The System V convention and cdecl, which the program calls by.
    built = build_images(machines, [images.sources()["const_table"]], ways(["-O2"])[::2])
    script = "\n".join(
        f"echo @@ {name}; {name} {images.KEY} images/{image.name} {identity(machines, image)}; "
        "echo @@ end $?" for name, (_, _, image) in zip(("pal_image", "pal_image32"), built))
    run = machines.run(["sh", "-c", script], "--one-core",
                       adds=[machines.scratch / "images", machines.pal_test("pal_image"),
                             machines.pal_test("pal_image32")]).ended_well()
    made = sum(pals.counted(output, name)
               for name, output, _ in pals.parts_of(run, ("pal_image", "pal_image32")))
    return f"{made} checks, 64 and 32 bits"


CALLERS = SOURCE / "tests" / "sdk" / "callers"
CALLER_HOSTS = {"64": "g++ -m64 -x c++ -std=c++17", "32": "gcc -m32"}  # Debian's g++ has no -m32


def build_callers(machines, bits, library):
    """The program that tests threads, with the hypervisor's library or the native one."""
    program = machines.scratch / f"callers{bits}{library.removeprefix('libpal')}"
    tool = SOURCE / "pal_sdk" / "tools" / "pal-cc"
    folders = [f"-I{SOURCE / name}" for name in ("pal_sdk/include", "include")]
    commands, objects = [], []
    for name, flags in (("callers", ["--stacks", "3"]), ("spinner", ["--budget", "100000000"])):
        image, embedded = (machines.scratch / f"{name}{bits}.{end}" for end in ("pal", "o"))
        commands += [
            [tool, f"-m{bits}", *flags, "--interface", CALLERS / f"{name}_interface.h", "-O2",
             "-o", image, CALLERS / f"{name}_pal.c"],
            [tool, "--host-cc", f"gcc -m{bits}", "-o", embedded, image]]
        objects.append(embedded)
    for command in (
            *commands,
            [*CALLER_HOSTS[bits].split(), "-static", "-O2", "-pthread", *folders,
             CALLERS / "callers.c", "-x", "none", *objects,
             machines.build / "pal_sdk" / "lib" / bits / f"{library}.a", "-o", program]):
        status, said = images.run(command, env={**os.environ, "XMHF_BUILD": str(machines.build)})
        check(status == 0, f"{command[0]}: {said}")
    return program


def passed(text, wanted):
    check("not ok" not in text and f"1..{wanted}\n" in text, text[-1500:])
    return wanted


def test_sdk_callers(machines):
    """A program's threads in a PAL: deaths, ends of ocalls, waiting, budgets; natively too."""
    made = 0
    for bits, wanted in (("64", 15), ("32", 14)):
        program = build_callers(machines, bits, "libpal")
        run = machines.run([program.name], "--one-core", adds=[program]).ended_well()
        made += passed(run.text(), wanted)
        _, said = images.run([build_callers(machines, bits, "libpal-native")])
        made += passed(said, wanted)
    return f"{made} checks, 64 bits as C++ and 32 as C"


BASIC = (test_sdk, test_sdk_callers, test_sdk_leak, test_sdk_control, test_sdk_fork,
         test_sdk_identity)
MORE = (test_sdk_elf64, test_sdk_elf32, test_sdk_pe64, test_sdk_pe32, test_sdk_wine)

#!/usr/bin/env python3
"""Build everything and run the tests, group by group; the last line counts the results.

SPDX-License-Identifier: MIT
"""
import argparse
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # the source tree stays as it is
import choose  # noqa: E402
from harness import CPUS, SOURCE, Builds, Job, Session, base  # noqa: E402

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

GROUPS = {
    "build": "gcc and clang, -O0 and -O2, warnings as errors; same bits twice; headers alone",
    "unit": "host unit tests under ASan and UBSan, and short runs of the fuzzers",
    "model": "PALs' lives on two CPUs, every order of accesses, in a model (SPIN)",
    "guests": "tiny bare-metal guests under the hypervisor",
    "svm": "end to end on an emulated AMD machine: Linux, PALs, attacks",
    "boot": "the same machine with UEFI firmware: GRUB, xmhf.efi, loaders behind it, Secure Boot",
    "vmx": "tiny guests and end to end on an emulated Intel machine (Bochs)",
    "sdk": "PALs by the SDK, ELF and PE: usual mistakes, leaks, examples, in native mode",
    "models": "every CPU model of Bochs that has VMX, and one with SVM",
    "pal": "all of PALs: model, tiny guests, Linux on both machines (only if it is named)",
    "modes": "PALs of another width than their caller, every pair (only if it is named)",
}
# One more than CPUs: machines wait for their firmware's timeouts, make for its last link. With as
# many as CPUs a fifth of the time was idle.
ROWS = CPUS + 1
BY_NAME = ("pal", "modes")  # these tests are in other groups too
SDK_FORMS = ("sdk-elf64", "sdk-elf32", "sdk-pe64", "sdk-pe32")
SDK_GUESTS = {"svm": (*SDK_FORMS, "sdk-wine"), "vmx": SDK_FORMS}  # of the group sdk, --all
PAL_GUESTS = ("pal-2", "fuzz", "inpal", "games", "legacy", "poison")
MODES_UNIT = ("test_tv_modes",)
MODES_GUESTS = ("widths", "mode16")
MODES_LINUX = {  # 32-bit kernels take minutes to boot in Bochs
    "svm": ("pal-widths", "pal-widths-pae", "pal-widths-nonpae"), "vmx": ("pal-widths",),
}
MODES_ALL = ("pal-widths-pae", "pal-widths-nonpae")
EPILOG = """\
names: behind one group, only these of its tests: check.sh unit test_walk, check.sh guests fuzz,
check.sh svm boot-2, check.sh vmx cpuid pal-secret, check.sh models tigerlake.

Groups run side by side, one more at a time than there are CPUs (--rows). Time limits of tests count
only the time in which a machine could have run, so a busy host is no failure.
"""


class Interrupted(Exception):
    """Ctrl-C or a request to end."""
    seen = False


# --- groups -----------------------------------------------------------------------

class Plan:
    """What to do: the build folders, which tests, and the jobs in which they are done."""

    def __init__(self, args, builds):
        self.builds = builds
        self.names = args.names  # of the one group, or none
        self.extra = ["--all"] if args.all else []
        self.smoke = frozenset(args.smoke)  # groups of which one quick test is enough
        self.groups = args.groups
        self.env = {**os.environ, "XMHF_BUILD": str(builds.main)}

    def chosen(self, group):
        """The tests of a group that were asked for; none means all of it."""
        return choose.SMOKE.get(group, []) if group in self.smoke else self.names

    # Each returns the group's jobs, functions of a row.

    def build(self):
        def work(row):
            row.step("documents name what exists", [["tools/doc-check"]], SOURCE)
            row.step("no include goes up a floor, or in a circle", [["tools/layer-check"]], SOURCE)
            row.step("lines and functions are as STYLE.md says", [["tools/style-check"]], SOURCE)
            if "build" in self.smoke:
                self.builds.make(row, "gcc -O2")
                return
            self.builds.make(row, "gcc -O2")
            for name in ("gcc -O0", "clang -O0", "clang -O2"):
                self.builds.make(row, name, targets=() if self.extra else ("product",))
            for hypapp in ("helloworld", "lockdown"):
                self.builds.make(row, f"gcc -O2 {hypapp}", options=[f"--with-hypapp={hypapp}"],
                                 targets=["xmhf.elf"])
            if self.builds.make(row, "gcc -O2"):
                self.builds.same_bits(row)
                row.step("xmhf.efi is an image that firmware and shim take",
                         [["tests/efi_image.py", self.builds.folder("gcc -O2") / "xmhf.efi"]],
                         SOURCE)
                row.step("headers compile alone", [["make", "header-check"]],
                         self.builds.folder("gcc -O2"))
        return [work]

    def unit_with(self, row, tests, compiler):
        """The unit tests, or these, built by one compiler."""
        told = "" if compiler == "gcc -O2" else f" with {compiler}"
        targets = [f"tests/unit/{name.partition('/')[0]}" for name in tests] or ["unit-tests"]
        self.builds.make_tests(row, f"build unit tests{told}", targets, compiler)
        row.runner(f"unit tests{told}",
                   ["tests/unit/run.py", "--build", self.builds.folder(compiler),
                    *tests], self.env)

    def unit(self):
        names = self.chosen("unit")
        fuzzers = [name.removeprefix("fuzz/") for name in names if name.startswith("fuzz")]
        tests = [name for name in names if not name.startswith("fuzz")]

        def work(row):
            if tests or not names:
                self.unit_with(row, tests, "gcc -O2")
            if fuzzers or not names:
                self.builds.make_tests(row, "build fuzzers",
                                       [f"tests/fuzz/{name}" for name in fuzzers] or ["fuzz"])
                row.runner("fuzzers",
                           ["tests/fuzz/run.py", "--build", self.builds.main, *self.extra,
                            *fuzzers], self.env)
            if self.extra and not names:
                self.unit_with(row, [], "clang -O2")
        return [work]

    def model(self):
        def work(row):
            row.runner("model", ["tests/model/run.py", *self.extra], self.env)
        return [work]

    def machine(self, name, *argv):
        """A job whose tests boot the hypervisor, by a program of its own."""
        def work(row):
            if self.builds.make(row, "gcc -O2"):
                row.runner(name, [*argv, *self.extra], self.env)
        return work

    def sdk_guests(self):
        """Where the group sdk runs the mistakes in guests: where no other group does it."""
        return [bench for bench in SDK_GUESTS if self.extra and not self.names
                and bench not in self.groups]

    def sdk(self):
        """The mistakes, with --all in guests too, as the e2e tests have them; beside them, since
        most of it is one program at a time, the examples and the tools."""
        def mistakes(row):
            if self.builds.make(row, "gcc -O2"):
                row.runner("sdk", ["tests/sdk/run.py", "--build", self.builds.main, *self.extra,
                                   *self.chosen("sdk")], self.env)
                for bench in self.sdk_guests():
                    row.runner(f"sdk {bench}", ["tests/e2e/run.py", bench, *SDK_GUESTS[bench]],
                               self.env)

        def others(row):
            if self.builds.make(row, "gcc -O2"):
                for name in ("examples", "tools", "installed"):
                    row.runner(f"sdk {name}", [f"tests/sdk/{name}.py", "--build",
                                               self.builds.main], self.env)
        return [mistakes] if self.chosen("sdk") else [mistakes, others]

    def guests(self):
        return [self.machine("guests", "tests/guests/run.py", *self.chosen("guests"))]

    def models(self):
        return [self.machine("models", "tests/guests/models.py", *self.chosen("models"))]

    def svm(self):
        return [self.machine("svm", "tests/e2e/run.py", "svm", *self.chosen("svm"))]

    def boot(self):
        return [self.machine("boot", "tests/e2e/run.py", "boot", *self.chosen("boot"))]

    def vmx(self):
        names = self.chosen("vmx")
        tiny = [name for name in names if name in tiny_guests()]
        linux = [name for name in names if name not in tiny]
        jobs = []
        if linux or not names:
            jobs.append(self.machine("vmx", "tests/e2e/run.py", "vmx", *linux))
        if tiny or not names:
            jobs.append(self.machine("vmx guests", "tests/guests/run.py", "--bench", "vmx", *tiny))
        return jobs

    def pal(self):
        """The tests of PALs, wherever they are, on both machines."""
        guests = [*PAL_GUESTS, *(["fuzz-long"] if self.extra else [])]
        jobs = []
        for bench in ("vmx", "svm"):
            def work(row, bench=bench):
                if self.builds.make(row, "gcc -O2"):
                    row.runner(f"pal {bench} guests",
                               ["tests/guests/run.py", "--bench", bench, *guests], self.env)
                    row.runner(f"pal {bench}",
                               ["tests/e2e/run.py", bench, "--pal", *self.extra], self.env)
            jobs.append(work)
        return [*jobs, *self.model()]

    def modes(self):
        """Every pair of caller and PAL modes: against the fake core, then on both machines."""
        def unit(row):
            self.unit_with(row, MODES_UNIT, "gcc -O2")
        jobs = [unit]
        for bench in ("vmx", "svm"):
            guests = [*MODES_GUESTS, *(["widths-long"] if self.extra else [])]
            linux = dict.fromkeys([*MODES_LINUX[bench], *(MODES_ALL if self.extra else ())])

            def work(row, bench=bench, guests=guests, linux=linux):
                if self.builds.make(row, "gcc -O2"):
                    row.runner(f"modes {bench} guests",
                               ["tests/guests/run.py", "--bench", bench, *guests], self.env)
                    row.runner(f"modes {bench}", ["tests/e2e/run.py", bench, *linux], self.env)
            jobs.append(work)
        return jobs

    def jobs(self, groups):
        """All jobs, the longest first, so that the rows end at about the same time. What make has
        to do in the main build folder comes before: two makes in one folder disturb each other."""
        order = ("vmx", "svm", "boot", "pal", "modes", "build", "sdk", "unit", "model", "guests",
                 "models")
        return [Job(name, work) for name in order if name in groups
                for work in getattr(self, name)()]

    def steps(self, groups):
        """How many progress lines there will be."""
        shared = 0 if set(groups) <= {"unit", "model"} else 1  # the build gcc -O2
        own = {"build": 3 if "build" in self.smoke else 10, "unit": 4, "vmx": len(self.vmx()),
               "pal": 5, "modes": 6, "sdk": 1 if self.chosen("sdk") else 4 + len(self.sdk_guests())}
        if self.chosen("unit"):
            own["unit"] = 2 * len({name.startswith("fuzz") for name in self.chosen("unit")})
        elif self.extra:
            own["unit"] = 6
        return shared + sum(own.get(name, 1) for name in groups)


def tiny_guests():
    """Names of tiny guests and of their programs."""
    words = []
    for line in (SOURCE / "tests/guests/guests.cfg").read_text(encoding="ascii").splitlines():
        words += line.split("#")[0].split()[:2]
    return {word for word in words if word != "skip"}


# --- arguments ----------------------------------------------------------------------

def parse():
    parser = argparse.ArgumentParser(
        prog="check.sh", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Install what is missing (as root), build outside the tree, run the tests.",
        epilog="groups:\n" + "\n".join(f"  {name:8}{text}" for name, text in GROUPS.items())
        + "\n\n" + EPILOG)
    parser.add_argument("groups", nargs="*", metavar="GROUP [NAME...]",
                        help="default: every group but pal and modes")
    parser.add_argument("--list", action="store_true", help="list the groups and end")
    parser.add_argument("--all", action="store_true",
                        help="also the tests that are too long for every change")
    parser.add_argument("--changed-since", metavar="REV",
                        help="all of the groups that look at what "
                        "differs from this git revision, and one quick test of each other group")
    parser.add_argument("--changed", action="store_true",
                        help="the same since the last run here in "
                        "which every group was green; without one, everything")
    parser.add_argument("--rows", type=int, default=ROWS, metavar="N",
                        help=f"groups at the same time (default: one more than CPUs, {ROWS})")
    parser.add_argument("--build", metavar="DIR", help="build in DIR and leave it there "
                        "(default: a new folder, removed when all is well)")
    args = parser.parse_args()
    args.names, args.smoke = [], ()
    if args.groups[:1] and args.groups[0] in GROUPS and not set(args.groups) <= set(GROUPS):
        args.groups, args.names = args.groups[:1], args.groups[1:]
    check(parser, args)
    args.everything = not args.groups
    wanted = args.groups or [name for name in GROUPS if name not in BY_NAME]
    args.groups = [name for name in GROUPS if name in wanted]
    return args


def check(parser, args):
    """Refuse what makes no sense."""
    for name in args.groups:
        if name not in GROUPS:
            parser.error(f"no group {name}: the groups are {', '.join(GROUPS)}")
    if args.names and args.groups[0] in ("build", "model", "pal", "modes"):
        parser.error(f"the group {args.groups[0]} has no tests by name")
    if (args.changed or args.changed_since) and args.groups:
        parser.error("--changed and --changed-since choose the groups themselves")
    if not 1 <= args.rows <= 256:
        parser.error(f"--rows {args.rows}: it is a number from 1 to 256")
    if args.changed_since is not None and choose.changed(SOURCE, args.changed_since) is None:
        parser.error(f"--changed-since {args.changed_since}: git knows no such revision here")


def choose_groups(args):
    """With --changed or --changed-since: which groups need only one quick test."""
    if not (args.changed or args.changed_since):
        return
    since = args.changed_since or choose.last_green(SOURCE)
    paths = since and choose.changed(SOURCE, since)
    if paths is None:
        print("no green run of everything is known here: all groups", flush=True)
        return
    needed, why = choose.groups_for(paths)
    if needed is choose.EVERYTHING:
        print(f"{why} has changed since {since}: all groups", flush=True)
        return
    args.everything = False
    args.smoke = [name for name in args.groups if name not in needed]
    print(f"{len(paths)} files differ from {since}: all "
          f"of {', '.join(sorted(needed)) or 'no group'}; "
          f"one quick test of {', '.join(args.smoke) or 'no other'}", flush=True)


# --- the whole ------------------------------------------------------------------------

def report(session, groups):
    """What failed, the time of each group, and the last line. The exit status."""
    print()
    for failure in session.failures:
        print(f"not ok {failure}")
    if session.failures:
        print(f"builds and logs are in {session.work}")
    for name in groups:
        counts = session.counts[name]
        print(f"{name:8}{session.seconds[name]:5.0f} s, {session.cpu[name]:5.0f} s of CPU  "
              f"{counts['ok']} passed, {counts['not ok']} failed, {counts['skip']} skipped")
    passed, failed, skipped = (session.sum(kind) for kind in ("ok", "not ok", "skip"))
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return 0 if passed and not failed else 1


def build_parent():
    """Where new build folders go; never in the source tree."""
    root = os.environ.get("XMHF_BUILD_ROOT")
    path = pathlib.Path(root).absolute() if root else base.cache_root()
    path.mkdir(parents=True, exist_ok=True)
    return path


def on_signal(number, _frame):
    if not Interrupted.seen:  # once is enough; cleaning up is not to be interrupted
        Interrupted.seen = True
        raise Interrupted(number)


def prepare(plan, session, groups):
    """Before the rows begin: what all share, in the main build folder."""
    def work(row):
        if set(groups) - {"unit", "model"} and plan.builds.make(row, "gcc -O2"):
            subprocess.run(["make", "-s", "guests"], cwd=plan.builds.main, check=False,
                           stdin=subprocess.DEVNULL)
    session.run([Job(groups[0], work)], 1)


def run(args, root):
    """Everything, in build folders under `root`. The exit status."""
    main_build = pathlib.Path(args.build).absolute() if args.build else root / "main"
    plan = Plan(args, Builds(root, main_build))
    session = Session(root, plan.steps(args.groups))
    try:
        prepare(plan, session, args.groups)
        session.run(plan.jobs(args.groups), args.rows)
    except Interrupted as reason:
        base.say(f"\ncheck.sh: interrupted after {session.sum('ok')} passed, "
                 f"{session.sum('not ok')} failed")
        return 128 + reason.args[0]
    status = report(session, args.groups)
    if status == 0 and args.everything:
        choose.remember_green(SOURCE)
    return status


def main():
    args = parse()
    if args.list:
        for name, text in GROUPS.items():
            print(f"{name:8}{text}")
        return 0
    choose_groups(args)
    for number in SIGNALS:
        signal.signal(number, on_signal)
    root = pathlib.Path(tempfile.mkdtemp(prefix="check-", dir=build_parent()))
    status = run(args, root)
    if status != 1:  # a failure's logs are still wanted
        shutil.rmtree(root, ignore_errors=True)
    return status


base.main(main)

"""Which groups of tests a change needs, by the paths that it touches.

SPDX-License-Identifier: MIT
"""
import re
import subprocess

EVERYTHING = None

# Path, and the groups that look at what is there. The first row that matches counts; a path that
# no row knows needs everything.
ROWS = (
    (r"(notes/.*|[A-Z]+\.md|.*/README\.md|tests/vectors/README.*|tools/man/.*|LICENSE)$",
     {"build"}),
    (r"tests/efi_image\.py$", {"build"}),
    (r"tests/model/", {"model"}),
    (r"tests/(unit|fuzz|vectors)/", {"build", "unit"}),
    (r"tests/sdk/", {"sdk", "svm", "vmx"}),
    (r"tests/guests/models\.(py|cfg)$", {"models"}),
    (r"tests/guests/", {"guests", "vmx", "models"}),
    (r"tests/(programs/efi/|e2e/(boot_|efi\.|grub_efi))", {"boot"}),
    (r"tests/programs/", {"svm", "vmx"}),
    (r"tests/(e2e|bench)/", {"svm", "vmx", "boot"}),
    (r"xmhf-core/virt/svm/", {"build", "unit", "guests", "svm", "boot"}),
    (r"xmhf-core/virt/vmx/", {"build", "unit", "vmx", "models"}),
    (r"hypapps/helloworld/", {"build", "svm", "vmx"}),
    (r"tests/hypapps/", {"guests", "vmx"}),
    (r"(hypapps/lockdown/|tools/lockdown-ctl)", {"build", "unit", "svm", "vmx"}),
    (r"boot/uefi/", {"build", "unit", "boot"}),
    (r"include/",
     {"build", "unit", "model", "guests", "sdk", "svm", "boot", "vmx", "models"}),
    (r"(hypapps|xmhf-core|boot|lib)/",
     {"build", "unit", "model", "guests", "svm", "boot", "vmx", "models"}),
    (r"pal_sdk/", {"build", "guests", "sdk", "svm", "vmx"}),
    (r"(tools/(probe|logdecode|xmhf-stat|sources\.am)|tools/lib/)",
     {"build", "unit", "svm", "boot", "vmx", "models"}),
    (r"(tools/|demo\.sh$)", {"build", "svm"}),
)

# Of a group that needs nothing: one quick test.
SMOKE = {
    "unit": ["test_options"],
    "guests": ["protect"],
    "sdk": ["list", "const_table"],
    "svm": ["pal-secret"],
    "boot": ["efi-bad-next"],
    "vmx": ["cpuid"],
    "models": ["corei7_haswell_4770"],
    "model": [],  # all of it takes a minute
}


def git(source, *words):
    """Lines that git prints, or None if it can't."""
    try:
        done = subprocess.run(["git", "-C", source, *words], stdout=subprocess.PIPE, check=False,
                              stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True)
    except OSError:
        return None
    return done.stdout.splitlines() if done.returncode == 0 else None


def changed(source, revision):
    """Paths that differ from a revision, files that git doesn't know among them; None if git
    doesn't know the revision."""
    known = git(source, "rev-parse", "--verify", "--end-of-options", revision + "^{commit}")
    differ = known and git(source, "diff", "--no-renames", "--name-only", known[0], "--")
    new = git(source, "ls-files", "--others", "--exclude-standard")
    return None if differ is None or new is None else sorted({*differ, *new})


def groups_for(paths):
    """The groups that these paths need, and the first path that needs everything, or None."""
    needed = set()
    for path in paths:
        row = next((groups for pattern, groups in ROWS if re.match(pattern, path)), EVERYTHING)
        if row is EVERYTHING:
            return EVERYTHING, path
        needed |= row
    return needed, None


def record_file(source):
    """Where the last green run of everything is remembered: with the clone, not in the tree."""
    lines = git(source, "rev-parse", "--path-format=absolute", "--git-path", "xmhf-last-green")
    return lines[0] if lines else None


def last_green(source):
    """The commit of the last green run of everything in this clone, or None."""
    path = record_file(source)
    try:
        with open(path or "", encoding="ascii") as record:
            return record.read().strip() or None
    except (OSError, UnicodeError):
        return None


def remember_green(source):
    """All tests have passed: remember the commit, if that is what was tested."""
    path, head = record_file(source), git(source, "rev-parse", "HEAD")
    if path and head and git(source, "status", "--porcelain") == []:
        with open(path, "w", encoding="ascii") as record:
            record.write(head[0] + "\n")

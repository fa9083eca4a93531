#!/usr/bin/env python3
"""Tests of the SDK's examples: what each prints, the same in every form, with one identity.

SPDX-License-Identifier: MIT

tests/e2e/sdk_examples.py runs the same programs under the hypervisor, and those for Windows.
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

EXAMPLES = SOURCE / "pal_sdk" / "examples"
# Name and how many checks it makes; 0: it prints something else.
CHECKS = {"hello": 0, "totp": 45, "vault": 29, "torture": 0, "worker": 0, "keystore": 129}
THREADS, ROUNDS = 4, 8 * 500  # worker's, as it is
HELLO_LINES = 30
LIMIT = 120  # seconds of one program on a busy host


class Bad(Exception):
    """Something is not as it must be."""


def worker_text():
    """What `worker` must print: computed here."""
    lines = []
    for thread in range(THREADS):
        digest = bytes([thread]) * 32
        for _ in range(ROUNDS):
            digest = hashlib.sha256(digest).digest()
        lines.append(f"thread {thread}: {digest.hex()}\n")
    return "".join(lines) + f"{THREADS * ROUNDS} rounds by {THREADS} threads, all counted\n"


def judge(name, output, status):
    """Fail unless a program printed what it must; its checks."""
    tail = f"{name}:\n{output[-1500:]}"
    if status != 0 or "WRONG" in output:
        raise Bad(f"status {status} of {tail}")
    if name == "hello":
        good = output == "20 + 22 = 42\n"
        made = 1
    elif name == "worker":
        good, made = output == worker_text(), THREADS + 1
    else:
        found = re.search(r"^(\d+) checks, 0 wrong", output, re.M)
        made = int(found.group(1)) if found else 0
        good = found and made == CHECKS[name] if CHECKS[name] else made > 300
    if not good:
        raise Bad(f"unexpected output of {tail}")
    return made


def plain(output):
    """Lines end in LF, under Windows too; native mode has a vault less."""
    text = output.replace("\r\n", "\n")
    return re.sub(r"^skip .*\n", "", text, flags=re.M)


def same(outputs):
    """Fail unless all of {form: output} are equal."""
    first, *others = outputs.items()
    for form, output in others:
        if output != first[1]:
            at = next((i for i, (a, b) in enumerate(zip(first[1], output)) if a != b), "the end")
            raise Bad(f"{form} differs from {first[0]} at byte {at}")


# --- tests ------------------------------------------------------------------------

def test_hello(_build):
    """hello is as short as it claims."""
    lines = {path.name: len(path.read_text().splitlines())
             for path in (EXAMPLES / "hello").iterdir()}
    if sum(lines.values()) > HELLO_LINES:
        raise Bad(f"{sum(lines.values())} lines: {lines}")
    return f"{sum(lines.values())} lines in {len(lines)} files"


def identity(build, image):
    return base.run([build / "pal_sdk" / "tools" / "pal-lint", "--identity", image],
                    "ask for an identity").strip()


def test_identity(build):
    """ELF and PE programs have the same image, and pal-lint's identity is that of its bytes."""
    seen = 0
    for name in CHECKS:
        folder = build / "pal_sdk" / "examples" / name
        for bits, ending in ((64, ""), (32, "32")):
            image = folder / f"{name}-elf{bits}.pal"
            programs = [path for path in (folder / f"{name}{ending}",
                                          folder / f"{name}{ending}.exe") if path.exists()]
            if not image.exists() or not programs:
                continue
            names = base.run([build / "pal_sdk" / "tools" / "pal-lint", "--names", image],
                             "list an image")
            measured = int(re.search(r"^measured (\d+)$", names, re.M).group(1))
            told, data = identity(build, image), image.read_bytes()
            if hashlib.sha256(data[:measured]).hexdigest() != told:
                raise Bad(f"{image.name}: pal-lint says {told}")
            for program in programs:
                content = program.read_bytes()
                if data not in content or bytes.fromhex(told) not in content:
                    raise Bad(f"{program.name} hasn't the image {told}")
                seen += 1
    if not seen:
        raise Bad("there are no programs: run make")
    return f"{seen} programs have the images whose identity pal-lint prints"


def test_reproducible(build):
    """The keystore, built again elsewhere, has the same identity."""
    image = build / "pal_sdk" / "examples" / "keystore" / "keystore-elf64.pal"
    with tempfile.TemporaryDirectory(prefix="xmhf-examples-") as scratch:
        copy = pathlib.Path(scratch) / "elsewhere"
        shutil.copytree(EXAMPLES / "keystore", copy)
        again = pathlib.Path(scratch) / "again.pal"
        base.run([build / "pal_sdk" / "tools" / "pal-cc", "--cc", os.environ.get("CC", "gcc"),
                  "--name", "keystore", "--stacks", "4", "-std=gnu11", "-O2", "--interface",
                  copy / "keystore_interface.h", "-o", again, copy / "keystore_pal.c"],
                 "build the keystore again", env={**os.environ, "XMHF_BUILD": str(build)})
        first, second = identity(build, image), identity(build, again)
    if first != second:
        raise Bad(f"{first} became {second}")
    return f"the keystore is {first[:16]}... again"


def native_outputs(build, name):
    """{form: output} of an example's native programs for Linux."""
    outputs = {}
    for ending in ("", "32"):
        program = build / "pal_sdk" / "examples" / name / f"{name}-native{ending}"
        if program.exists():
            done = subprocess.run([program], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  stdin=subprocess.DEVNULL, timeout=LIMIT, check=False)
            output = plain(done.stdout.decode())
            judge_native(name, output, done.returncode)
            outputs[f"{name}-native{ending}"] = output
    return outputs


def judge_native(name, output, status):
    """As judge(), without the vault that native mode can't have."""
    if name == "vault":
        output = output.replace("28 checks", "29 checks")
    return judge(name, output, status)


def test_native(build):
    """Each example in native mode prints what it must, the same with 64 and 32 bits."""
    programs = 0
    for name in CHECKS:
        outputs = native_outputs(build, name)
        if outputs:
            same(outputs)
        programs += len(outputs)
    if not programs:
        raise Bad("there are no native programs: run make")
    return f"{programs} programs, each of {len(CHECKS)} examples the same with 64 and 32 bits"


TESTS = (test_hello, test_identity, test_reproducible, test_native)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these tests")
    parser.add_argument("--list", action="store_true", help="list the tests and do nothing")
    parser.add_argument("--build", default=base.build_root(), metavar="DIR",
                        help="build folder (default: $XMHF_BUILD, or in the cache)")
    args = parser.parse_args()
    known = {test.__name__.removeprefix("test_"): test for test in TESTS}
    if args.list:
        print("\n".join(known))
        return 0
    unknown = [name for name in args.names if name not in known]
    if unknown:
        raise base.ToolError(f"no test is called {', '.join(unknown)}; see --list")
    good = True
    for name in args.names or known:
        try:
            print(f"ok {name}: {known[name](pathlib.Path(args.build).absolute())}", flush=True)
        except Bad as problem:
            print(f"not ok {name}: {problem}", flush=True)
            good = False
    return 0 if good else 1


if __name__ == "__main__":
    base.main(main)

"""The SDK's examples under the hypervisor: Linux and Windows programs, 64 and 32 bits.

SPDX-License-Identifier: MIT

What each must print is in tests/sdk/examples.py, which runs them in native mode.
"""
import hmac
import re
import sys

from common import SOURCE, base, check

sys.path.insert(0, str(SOURCE / "tests" / "sdk"))
import examples  # noqa: E402

LIMIT = 1200  # seconds, several times what an idle host takes
LINUX = ("", "32")
WINDOWS = {64: (".exe", "-pe.exe"), 32: ("32.exe", "-pe32.exe")}
NATIVE = {64: ("-native.exe", "-native-pe.exe"), 32: ("-native32.exe", "-native-pe32.exe")}
SECRET = bytes(0x35 ^ (i * 11 & 0xFF) for i in range(48))  # of the leak test


def program(machines, name, ending):
    """An example's program as built."""
    return machines.example(f"{name}/{name}{ending}")


def outputs(machines, forms, *options, runner="", names=tuple(examples.CHECKS), **more):
    """{(example, ending): output} of all these programs, run in one guest and judged."""
    wanted = [(name, ending) for name in names for ending in forms]
    script = "".join(f"echo @@ {name}{ending}; {runner}{name}{ending} 2>/dev/null; "
                     "echo @@ end $?; " for name, ending in wanted)
    run = machines.run(["sh", "-c", script], "--timeout", str(LIMIT), "--one-core", *options,
                       adds=[program(machines, *one) for one in wanted], **more).ended_well()
    parts = re.findall(r"^@@ ([\w.-]+)\r?\n(.*?)^@@ end (\d+)\r?$",
                       run.output.decode(errors="replace"), re.M | re.S)
    check(len(parts) == len(wanted), f"only {len(parts)} ran:\n{run.text()[-2000:]}")
    return {one: (output, int(status)) for one, (_, output, status) in zip(wanted, parts)}


def judged(found, judge=examples.judge):
    """Fail unless each program printed what it must, and all of an example the same. Checks."""
    made, plain = 0, {}
    try:
        for (name, ending), (output, status) in found.items():
            text = examples.plain(output)
            made += judge(name, text, status)
            plain.setdefault(name, {})[name + ending] = text
        for forms in plain.values():
            examples.same(forms)
    except examples.Bad as problem:
        check(False, str(problem))
    return made


def test_examples(machines):
    """Each example under the hypervisor, 64 and 32 bits: the same output, and the right one."""
    made = judged(outputs(machines, LINUX))
    return f"{made} checks by {2 * len(examples.CHECKS)} programs, the same with 64 and 32 bits"


def test_examples_wine(machines):
    """Each example as PE32+ and PE32, with the ELF image and with MinGW's, as under Linux."""
    found = outputs(machines, LINUX)
    for bits, forms in WINDOWS.items():
        found.update(outputs(machines, forms, "--wine", str(bits), runner="wine "))
    made = judged(found)
    return f"{made} checks by {len(found)} programs; Linux and Windows, ELF's image and MinGW's"


def test_hello_wine(machines):
    """The smallest example as PE32+, with the ELF image and with MinGW's, under Wine."""
    found = outputs(machines, WINDOWS[64], "--wine", "64", "--mem", "512", runner="wine ",
                    names=("hello",))
    return f"{judged(found)} Windows programs called their PALs, ELF's image and MinGW's"


def test_examples_native(machines):
    """Each example in native mode as PE32+ and PE32 under Wine, without the hypervisor."""
    found = {}
    for bits, forms in NATIVE.items():
        found.update(outputs(machines, forms, "--wine", str(bits), runner="wine ",
                             hypervisor=False))
    made = judged(found, examples.judge_native)
    return f"{made} checks by {len(found)} Windows programs in native mode"


def test_examples_control(machines):
    """Without the hypervisor each example says so in a sentence, and without a signal."""
    found = outputs(machines, LINUX, hypervisor=False)
    for (name, ending), (output, status) in found.items():
        check(status == 1 and "no hypervisor with PALs" in output,
              f"{name}{ending}: status {status}:\n{output}")
    return f"{len(found)} programs say: {output.strip()}"


def held(machines, ending, hypervisor):
    """While the keystore has an imported key: what searches of memory find, and what it makes."""
    masked = bytes(byte ^ 0x5A for byte in SECRET).hex()
    holder = program(machines, "keystore", ending)
    script = (f"mkfifo p; {holder.name} --hold {masked} <p >o & pid=$!; exec 4>p; "
              "until grep -q ready o; do usleep 50000; done; "
              f"memsearch --kcore {masked}; echo kernel $?; "
              f"memsearch --pid $pid {masked}; echo process $?; echo >&4; wait $pid; cat o; "
              f"memsearch --kcore {masked}; echo after $?")
    run = machines.run(["sh", "-c", script], hypervisor=hypervisor,
                       adds=[holder, machines.compile("memsearch")]).ended_well()
    code = hmac.new(SECRET, b"message", "sha256").hexdigest()
    check(f"done {code}\n" in run.text(), f"the key made another code:\n{run.text()}")
    return run.text()


def test_examples_leak(machines):
    """Root doesn't find a key that the keystore has; in native mode the same search does."""
    text = held(machines, "", True)
    for line in ("kernel 1\n", "process 1\n", "after 1\n"):
        check(line in text, f"no {line!r} in:\n{text}")
    control = held(machines, "-native", False)
    for line in ("kernel 0\n", "process 0\n"):
        check(line in control, f"no {line!r} in native mode:\n{control}")
    return "neither kcore nor the process had the keystore's key; native mode had it in both"


def test_examples_cost(machines):
    """The keystore's registration, and a signature beside the same code called directly."""
    text = base.run([SOURCE / "tests" / "bench" / "keystore.py", "--check", "--build",
                     machines.build, "--bench", machines.args.bench], "measure the keystore")
    slower = re.findall(r"slower +(\S+) %  at most", text)
    opened = re.search(r"SHA extensions +([\d,]+)", text)
    check(opened and len(slower) == 2, text)
    return (f"registered in {opened.group(1)} instructions; Ed25519 {slower[0]} %, P-256 "
            f"{slower[1]} % slower than the same code called directly")


def test_examples_widths(machines):
    """PALs of another width: 64-bit code of a program of 32 bits, 16-bit code of one of 64."""
    adds = [machines.example("wide/wide32"), machines.example("crc16/crc16")]
    run = machines.run(["sh", "-c", "wide32; echo @@ $?; crc16; echo @@ $?"], "--timeout",
                       str(LIMIT), adds=adds).ended_well()
    text = run.output.decode(errors="replace")
    check(re.findall(r"^@@ (\d+)", text, re.M) == ["0", "0"] and "ANOTHER" not in text
          and "this program has 32 bits" in text and "cbf43926" in text, text[-2000:])
    return "SHA-512, products and powers in 64-bit code, a CRC in 16-bit code, as the programs' own"


BASIC = (test_examples, test_examples_widths, test_examples_leak, test_examples_cost)
MORE = (test_examples_wine, test_hello_wine, test_examples_native, test_examples_control)

#!/bin/bash
# Shows the hypervisor's main job from a bare Debian: one PAL that the guest's root cannot read.
# SPDX-License-Identifier: MIT
set -euo pipefail

source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XMHF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/xmhf}
build=${XMHF_BUILD:-$cache/build}
cpus=2
memory=512 # MiB
keep_log=no
work=

usage() {
    cat <<EOF
usage: ./demo.sh [--keep-log] [--cpus N] [--help]

Shows the hypervisor at work, on Debian 12, as root or with sudo. It installs the
packages it needs (tools/packages.txt), builds outside the source tree, boots Linux
under the hypervisor in QEMU from a GRUB image, has a program in that guest use a
PAL, and searches all memory that the guest's root can reach for the PAL's secret.
The same search on the same machine without the hypervisor then finds the secret.

  --keep-log   keep the logs of the machines and of the build, and say where
  --cpus N     CPUs of the machine (default 2)

Built files are in $build
(set XMHF_BUILD to change that), downloaded ones in
$cache (XMHF_CACHE). A second run uses both again.
The last line is "demo: ok" and the exit status 0 when everything was as it should be.
EOF
}

fail() {
    printf '\ndemo: failed: %s\n' "$*" >&2
    keep_log=yes
    exit 1
}

clean_up() {
    local status=$?
    trap - EXIT INT TERM
    # Jobs of this shell, and nothing else; each is a process group of its own.
    local job
    for job in $(jobs -p); do kill -TERM -- "-$job" 2>/dev/null || true; done
    wait 2>/dev/null || true
    if [ -n "$work" ]; then
        if [ $keep_log = yes ]; then echo "demo: logs are in $work" >&2; else rm -rf "$work"; fi
    fi
    exit $status
}

step() { printf '\n== %s\n' "$*"; }
tell() { printf '   %s\n' "$*"; }

# no_room LOG: did a command fail because a disk is full?
no_room() {
    grep -qE "No space left on device|enough free space|Disk quota exceeded|a disk is full" "$1"
}

# progress TEXT LOG COMMAND...: run a long command, with the seconds on a terminal.
progress() {
    local text=$1 log=$2 start=$SECONDS status=0 pid
    shift 2
    set -m # a process group of its own, so that Ctrl-C can end all of it
    "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    set +m
    if [ -t 1 ]; then
        while kill -0 $pid 2>/dev/null; do
            printf '\r   %s ... %d s' "$text" $((SECONDS - start))
            sleep 0.5
        done
        printf '\r\033[K' # the final line takes this one's place
    fi
    wait $pid || status=$?
    if [ $status = 0 ]; then
        tell "$text: done, $((SECONDS - start)) s"
    else
        tell "$text: FAILED"
        if no_room "$log"; then
            df -Pm / "$cache" "$build" "${TMPDIR:-/tmp}" 2>/dev/null |
                sort -u | sed 's/^/   | /' >&2
            fail "a disk is full; free some space, or set XMHF_CACHE, XMHF_BUILD or TMPDIR" \
                "to a folder elsewhere (what was said is in $log)"
        fi
        tail -n 15 "$log" | sed 's/^/   | /' >&2
        return $status
    fi
}

# Packages that are not there, one per line. Those for the tests only are left out.
missing_packages() {
    awk -v RS= '!/^# Tests/' "$source_dir/tools/packages.txt" |
        sed -e 's/#.*//' -e '/^[[:space:]]*$/d' |
        while read -r package _; do
            [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
                echo "$package"
        done
}

install_packages() {
    local missing=() as_root=()
    command -v dpkg-query >/dev/null || fail "this needs Debian 12 (there is no dpkg here)"
    mapfile -t missing < <(missing_packages)
    if [ ${#missing[@]} = 0 ]; then
        tell "all needed packages are there"
        return
    fi
    tell "missing: ${missing[*]}"
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null ||
            fail "packages are missing; as root run: apt-get install ${missing[*]}"
        as_root=(sudo)
        sudo -v || fail "sudo was refused; as root run: apt-get install ${missing[*]}"
    fi
    # An old index names versions the mirror no longer has: refresh it first.
    progress "fetching the package index" "$work/apt-update.log" \
        "${as_root[@]}" apt-get -q update ||
        fail "apt-get update did not work; see $work/apt-update.log"
    progress "installing packages" "$work/apt-install.log" \
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qy --no-install-recommends install "${missing[@]}" ||
        fail "the packages could not be installed; see $work/apt-install.log"
}

# check_space FOLDER MIB VARIABLE: is there room? If not, VARIABLE chooses another place.
check_space() {
    local folder=$1 needed=$2 free
    mkdir -p "$folder" || fail "cannot make the folder $folder"
    free=$(df -Pm "$folder" | awk 'NR == 2 { print $4 }')
    [ "$free" -ge "$needed" ] ||
        fail "$folder has $free MiB free and $needed MiB are needed; free some," \
            "or set $3 to a folder elsewhere"
}

# A chain of && because bash ignores "set -e" in what is called with || behind it.
configure_and_make() {
    { [ -x "$source_dir/configure" ] || "$source_dir/bootstrap"; } &&
        cd "$build" &&
        { [ -f Makefile ] || "$source_dir/configure"; } &&
        make -j"$(nproc)" &&
        mkdir -p tests/programs &&
        "${CC:-gcc}" -O2 -static -o tests/programs/memsearch \
            "$source_dir/tests/programs/memsearch.c"
}

build_all() {
    mkdir -p "$build"
    progress "building in $build" "$work/build.log" configure_and_make ||
        fail "the build did not work; see $work/build.log"
    [ -f "$build/xmhf.elf" ] || fail "the build made no $build/xmhf.elf"
    [ -f "$build/pal_sdk/examples/demo_pal" ] || fail "the build made no PAL example"
    progress "fetching the guest's kernel" "$work/kernel.log" \
        "$source_dir/tools/fetch-kernel" amd64 ||
        fail "there is no guest kernel; see $work/kernel.log"
}

# The PAL's secret for a seed, each byte XORed with 0x5a: the searcher is never
# given the secret itself, so that it cannot find its own copy.
masked_secret() {
    local seed=$1 i
    for i in $(seq 0 31); do
        printf '%02x' $((0xA5 ^ ((seed * 31 + i * 7) & 0xff) ^ 0x5a))
    done
}

# boot NAME OPTION...: one machine; what the guest printed is in $work/NAME.out.
boot() {
    local name=$1 seed=$2 status=0
    shift 2
    "$source_dir/tools/xmhf-run" --boot grub-mb2 --cpus "$cpus" --mem "$memory" --build "$build" \
        --log "$work/$name.serial.log" --show-hv --add "$build/pal_sdk/examples/demo_pal" \
        --add "$build/tests/programs/memsearch" \
        --add "$source_dir/tests/programs/demo-guest.sh" "$@" \
        -- sh demo-guest.sh "$seed" "$(masked_secret "$seed")" "$memory" \
        2>&1 | tee "$work/$name.out" | sed -u 's/^/   /' || status=$?
    [ $status = 0 ] || fail "the run $name ended with status $status"
}

# expect NAME WHAT PATTERN FILE: one thing that must have been said.
expect() {
    local name=$1 what=$2 pattern=$3
    grep -Eq "$pattern" "$work/$name" || fail "$what (looked for \"$pattern\" in $work/$name)"
    tell "ok: $what"
}

with_hypervisor() {
    local seed=$1
    boot protected "$seed"
    echo
    expect protected.serial.log "the hypervisor is up on $cpus CPUs" \
        "^\[xmhf[^]]*\] up on $cpus CPUs"
    expect protected.serial.log "it says that DMA protection is off" \
        "^\[xmhf[^]]*\] DMA protection: off"
    expect protected.out "the guest is Linux with $cpus CPUs" "^guest: Linux .*, $cpus CPUs"
    expect protected.out "the PAL was registered" "^pal: registered "
    expect protected.out "the PAL was called and its result is right" "^pal: call .* = 42 ok"
    expect protected.out "the kernel's memory does not hold the secret" "^verdict kernel: not found"
    expect protected.out "the process's memory does not hold the secret" \
        "^verdict process: not found"
    expect protected.out "no other physical address shows the secret" "^verdict physical: not found"
    expect protected.out "the PAL was unregistered" "^pal: unregistered"
    expect protected.out "it left no secret behind" "^verdict afterwards: not found"
}

without_hypervisor() {
    local seed=$1
    boot control "$seed" --no-hypervisor
    echo
    expect control.out "there was no hypervisor" "^pal: no hypervisor: running unprotected"
    expect control.out "the result is the same" "^pal: call .* = 42 ok"
    expect control.out "the kernel's memory holds the secret" "^verdict kernel: found"
    expect control.out "the process's memory holds the secret" "^verdict process: found"
}

while [ $# -gt 0 ]; do
    case $1 in
    --help | -h) usage; exit 0 ;;
    --keep-log) keep_log=yes ;;
    --cpus) [ $# -gt 1 ] || { usage >&2; exit 2; }; cpus=$2; shift ;;
    --cpus=*) cpus=${1#--cpus=} ;;
    *) echo "demo.sh: unknown option $1" >&2; usage >&2; exit 2 ;;
    esac
    shift
done
case $cpus in '' | *[!0-9]* | 0* | ????*) cpus=0 ;; esac
if [ "$cpus" -lt 1 ] || [ "$cpus" -gt 255 ]; then
    echo "demo.sh: --cpus needs a number from 1 to 255" >&2
    exit 2
fi

trap clean_up EXIT
trap 'echo >&2; echo "demo: interrupted" >&2; exit 130' INT
trap 'exit 143' TERM
work=$(mktemp -d "${TMPDIR:-/tmp}/xmhf-demo-XXXXXX") ||
    fail "no folder can be made in ${TMPDIR:-/tmp}; set TMPDIR to a folder elsewhere"

step "Set-up"
check_space "$cache" 1500 XMHF_CACHE
check_space "$build" 100 XMHF_BUILD
check_space "$work" 200 TMPDIR
install_packages
build_all

seed=$((RANDOM % 255 + 1))
step "Linux under the hypervisor: a PAL, and root searching for its secret"
tell "(the machine is emulated by QEMU and boots from a GRUB image; about 10 s)"
with_hypervisor $seed

step "The same without the hypervisor: the search must find the secret"
without_hypervisor $seed

printf '\ndemo: ok\n'

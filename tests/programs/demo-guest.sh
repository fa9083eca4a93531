#!/bin/sh
# The demonstration's part inside the guest: use a PAL and search memory for its secret.
# SPDX-License-Identifier: MIT
#
# usage: demo-guest.sh SEED MASKED-HEX MEMORY-MIB
# Prints one fact per line, "name: text"; demo.sh and the end-to-end tests read them.
set -u
seed=$1 masked=$2 mib=$3

stop() {
    echo "error: $*"
    exit 1
}

echo "guest: $(uname -srm), $(nproc) CPUs"

mkfifo pal.in
demo_pal --secret-seed "$seed" --hold <pal.in >pal.out 2>&1 &
pal=$!
exec 4>pal.in # keeps the PAL's program waiting

tries=0
until grep -q '^ready' pal.out; do
    tries=$((tries + 1))
    if [ $tries -gt 600 ] || ! kill -0 $pal 2>/dev/null; then
        sed 's/^/pal: /' pal.out
        stop "the PAL's program did not get ready"
    fi
    usleep 100000
done
grep -v '^ready' pal.out | sed 's/^/pal: /'

# One search at a time, for each has its own verdict.
verdict() {
    name=$1
    shift
    memsearch "$@" "$masked" >search.out 2>&1
    status=$?
    sed 's/^/search: /' search.out
    case $status in
    0) echo "verdict $name: found" ;;
    1) echo "verdict $name: not found" ;;
    *) stop "the search of $name did not work" ;;
    esac
}
verdict kernel --kcore
verdict process --pid $pal
verdict physical --devmem "$mib"

echo go >&4
wait $pal
status=$?
sed -n '/^ready/,$p' pal.out | sed -e 1d -e 's/^/pal: /'
[ $status = 0 ] || stop "the PAL's program ended with status $status"
# What an unregistered PAL leaves behind must not hold the secret either.
verdict afterwards --kcore
echo "guest: done"

#!/bin/sh
# In the guest: CPUs that go and come, NMIs, memory that moves and is swapped, without end.
# SPDX-License-Identifier: MIT
#
# usage: soak-noise.sh CPUS   counts what it did in the files hotplug, nmi and compact
cpus=$1

echo 100M >/sys/block/zram0/disksize
mkswap /dev/zram0 >/dev/null && swapon /dev/zram0 || echo "no swap"
echo 100 >/proc/sys/vm/swappiness
mount -o remount,size=95% /tmp

hotplug() {
    n=0
    while :; do
        c=/sys/devices/system/cpu/cpu$((n % (cpus - 1) + 1))/online
        # Refused when the scheduler is busy with it; then the next one.
        if echo 0 >$c; then
            usleep 100000
            until echo 1 >$c; do usleep 100000; done
            n=$((n + 1))
            echo $n >hotplug
        fi
        usleep 200000
    done
}

# Programs have their own pages swapped out; this takes away the memory around them.
swapping() {
    while :; do
        free=$(awk '/MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
        dd if=/dev/zero of=/tmp/fill bs=1M count=$((free - 40))
        rm /tmp/fill
        sleep 1
    done
}

# The kernel asks all other CPUs for their stacks.
nmi() {
    n=0
    while :; do
        echo l >/proc/sysrq-trigger
        n=$((n + cpus - 1))
        echo $n >nmi
        usleep 300000
    done
}

compact() {
    n=0
    while :; do
        echo 1 >/proc/sys/vm/compact_memory
        n=$((n + 1))
        echo $n >compact
        usleep 500000
    done
}

hotplug 2>/dev/null &
nmi 2>/dev/null &
swapping 2>/dev/null &
compact 2>/dev/null &
wait

#!/bin/sh
# In the guest: make swap and a disk with files, in memory; and look at the files again.
# SPDX-License-Identifier: MIT
#
# usage: damage.sh begin|end   needs the modules zram, crc32c_generic and ext4
case $1 in
begin)
    echo 100M >/sys/block/zram0/disksize
    mkswap /dev/zram0 >/dev/null && swapon /dev/zram0 || exit 90
    disk=zram$(cat /sys/class/zram-control/hot_add)
    echo 24M >/sys/block/$disk/disksize
    mkdir -p /tmp/files
    mke2fs -b 4096 /dev/$disk >/dev/null 2>&1 && mount -t ext4 /dev/$disk /tmp/files || exit 91
    for i in 1 2 3 4 5 6 7 8; do
        dd if=/dev/urandom of=/tmp/files/$i bs=1M count=2 2>/dev/null
    done
    sync
    (cd /tmp/files && sha256sum ?) >/tmp/sums
    dmesg -r | grep -c '^<[0-4]>' >/tmp/before
    ;;
end)
    sync
    echo 3 >/proc/sys/vm/drop_caches
    (cd /tmp/files && sha256sum -c /tmp/sums) >/tmp/checked 2>&1
    echo "files are the same: $(grep -c OK /tmp/checked)"
    dmesg -r | grep '^<[0-4]>' | tail -n +$(($(cat /tmp/before) + 1)) | sed 's/^/new warning: /'
    ;;
esac

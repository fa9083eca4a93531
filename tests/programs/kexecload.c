/* SPDX-License-Identifier: MIT */
/* Start another kernel from the running one:   kexecload KERNEL INITRD COMMAND-LINE */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CMD_KEXEC 0x45584543 /* LINUX_REBOOT_CMD_KEXEC, which libc doesn't name */

int main(int argc, char **argv)
{
    int kernel, initrd;

    if (argc != 4) {
        return 2;
    }
    kernel = open(argv[1], O_RDONLY);
    initrd = open(argv[2], O_RDONLY);
    if (kernel < 0 || initrd < 0
        || syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[3]) + 1, argv[3], 0L) != 0) {
        perror("kexecload");
        return 1;
    }
    reboot(CMD_KEXEC);
    perror("kexecload: reboot");
    return 1;
}

/* SPDX-License-Identifier: MIT */
/* Without privileges: 32-bit code that single-steps over SYSENTER, N times.   stepsysenter N */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CS32 0x23 /* __USER32_CS of a 64-bit Linux */
#define SIZE 8192

/* mov $20, %eax (getpid); mov %esp, %ebp; pushf; orl $TF, (%esp); popf; sysenter */
static const unsigned char code[] = {
    0xb8, 20, 0, 0, 0, 0x89, 0xe5, 0x9c, 0x81, 0x0c, 0x24, 0, 1, 0, 0, 0x9d, 0x0f, 0x34,
};

static void go(unsigned char *page)
{
    struct { unsigned offset; unsigned short cs; } __attribute__((packed)) to;

    memcpy(page, code, sizeof(code));
    to.offset = (unsigned)(unsigned long)page;
    to.cs = CS32;
    __asm__ volatile("mov %0, %%rsp; ljmpl *%1" :: "r"(page + SIZE - 64), "m"(to) : "memory");
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 1;

    for (int i = 0; i < rounds; i++) {
        int status;
        pid_t child = fork();

        if (child == 0) {
            unsigned char *page = mmap(NULL, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
                                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
            if (page == MAP_FAILED || setuid(65534) != 0) {
                return 3;
            }
            go(page);
        }
        if (child < 0 || waitpid(child, &status, 0) != child || !WIFSIGNALED(status)) {
            printf("round %d: the child did not run into its step\n", i);
            return 1;
        }
    }
    printf("%d steps over SYSENTER\n", rounds);
    return 0;
}

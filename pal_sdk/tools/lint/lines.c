/* SPDX-License-Identifier: MIT */
/* Source lines, asked of addr2line. */
#include "lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define AT_ONCE 64u /* addresses of one question */

static void ask(const char *file, const uint64_t *addresses, size_t n, int to)
{
    char texts[AT_ONCE][24], *args[AT_ONCE + 5] = { "addr2line", "-e", (char *)file, "--" };

    for (size_t i = 0; i < n; i++) {
        snprintf(texts[i], sizeof(texts[i]), "0x%llx", (unsigned long long)addresses[i]);
        args[4 + i] = texts[i];
    }
    dup2(to, STDOUT_FILENO);
    close(STDERR_FILENO);
    execvp(args[0], args);
    _exit(127);
}

/* One line of the answer: without what follows the number, and nothing if it isn't known. */
static void take_line(char *line)
{
    char *end = strrchr(line, ':');

    line[strcspn(line, "\n")] = 0;
    if (!end || line[0] == '?' || strtoul(end + 1, NULL, 10) == 0) {
        line[0] = 0;
        return;
    }
    end[1 + strspn(end + 1, "0123456789")] = 0;
    while (strncmp(line, "./", 2) == 0) {
        memmove(line, line + 2, strlen(line + 2) + 1);
    }
}

static void some_lines(const char *file, const uint64_t *addresses, size_t n,
                       char (*lines)[LINE_MAX_TEXT])
{
    FILE *answer;
    int ends[2];
    pid_t child;

    if (pipe(ends) != 0) {
        return;
    }
    child = fork();
    if (child == 0) {
        ask(file, addresses, n, ends[1]);
    }
    close(ends[1]);
    answer = fdopen(ends[0], "r");
    for (size_t i = 0; answer && i < n && fgets(lines[i], LINE_MAX_TEXT, answer); i++) {
        take_line(lines[i]);
    }
    if (answer) {
        fclose(answer);
    }
    if (child > 0) {
        waitpid(child, NULL, 0);
    }
}

void lines_of(const char *file, const uint64_t *addresses, size_t n, char (*lines)[LINE_MAX_TEXT])
{
    for (size_t i = 0; i < n; i++) {
        lines[i][0] = 0;
    }
    for (size_t i = 0; i < n; i += AT_ONCE) { /* address 0 has no line */
        some_lines(file, addresses + i, n - i < AT_ONCE ? n - i : AT_ONCE, lines + i);
    }
}

/* SPDX-License-Identifier: MIT */
/* MISTAKE helper outside: an ocall that the program doesn't have. */
/* REFUSED: ocalls_ocall_ask|undefined */
#include "ocalls_interface.h"

int main(void)
{
    struct pal_handle *pal = 0;
    uint32_t result;

    return (int)ocalls_go(pal, &result, 1).error;
}

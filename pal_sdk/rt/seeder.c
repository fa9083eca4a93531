/* SPDX-License-Identifier: MIT */
/* BearSSL's "system seeder" of PALs: its random generators begin with the hypervisor's numbers. */
#include <pal/rt.h>

#include <bearssl.h>

static int seed(const br_prng_class **generator)
{
    uint8_t bytes[48];
    int error = pal_random(bytes, sizeof(bytes));

    if (error == 0) {
        (*generator)->update(generator, bytes, sizeof(bytes));
    }
    pal_wipe(bytes, sizeof(bytes));
    return error == 0;
}

br_prng_seeder br_prng_seeder_system(const char **name)
{
    if (name) {
        *name = "pal_random";
    }
    return seed;
}

/* SPDX-License-Identifier: MIT */
/*
 * The least that must work on every CPU model: all CPUs come up, and ring 3 registers a PAL,
 * calls it on each of them and takes it back. And PALs of each number of arguments, which store to
 * their stack as compilers do.
 */
#include <x86/cpuid.h>
#include "small_pal.h"

/* Those of the public ABI that have two to ten. */
static void each_number_of_arguments(void)
{
    for (unsigned n = 2; n <= TV_MAX_PARAMS; n++) {
        register_pal(n);
        result = 0;
        call_pal(this_cpu());
        CHECK(result == 42, "with %u arguments the PAL gave %llu", n, (unsigned long long)result);
        unregister_pal();
    }
}

void guest_main(void)
{
    if (cpuid(TV_CPUID_LEAF, 0).eax != TV_CPUID_REPLY_EAX) {
        skip("no TrustVisor here");
    }
    CHECK(info(XMHF_INFO_CPUS) == cpu_total(), "the hypervisor has %llu CPUs of %u",
          (unsigned long long)info(XMHF_INFO_CPUS), cpu_total());
    uint64_t before = info(XMHF_INFO_POOL_FREE);
    register_pal(1);
    for (unsigned i = 0; i < cpu_total(); i++) {
        result = 0;
        if (i == 0) {
            call_pal(this_cpu());
        } else {
            CHECK(ap_run(i, call_pal), "CPU %u didn't start", i);
        }
        for (unsigned j = 0; j < 1000 && result == 0; j++) {
            delay_us(1000);
        }
        CHECK(result == 42 + i, "on CPU %u the PAL gave %llu", i, (unsigned long long)result);
    }
    CHECK(pages[4][0] == 0, "the PAL's data is in the OS's page");
    unregister_pal();
    each_number_of_arguments();
    CHECK(info(XMHF_INFO_POOL_FREE) == before, "the pool has not all pages back");
    pass("a PAL ran on each of %u CPUs", cpu_total());
}

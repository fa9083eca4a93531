/* SPDX-License-Identifier: MIT */
/* The PAL library, as far as it needs no hypervisor: what it puts into the structure, and its
 * calls, of functions that are no PALs. */
#include "unit.h"

#include "pal_sdk/include/pal/module.h"

static const uint8_t code[100] = { 0xc3 };

/* Programs that were written with the module interface's former names compile. */
_Static_assert(sizeof(struct xmhf_pal) == sizeof(struct xmhf_module)
               && sizeof(struct xmhf_pal_section) == sizeof(struct xmhf_module_section)
               && sizeof(struct xmhf_pal_param) == sizeof(struct xmhf_module_param)
               && sizeof(struct xmhf_pal_entry) == sizeof(struct xmhf_module_entry), "names");
_Static_assert(XMHF_PAL_VERSION == 1 && XMHF_PAL_SECTIONS == 64 && XMHF_PAL_PARAMS == 32
               && XMHF_PAL_ENTRIES == 16 && XMHF_PAL_STACKS == 32 && XMHF_PAL_ENTRY_ALIGN == 16
               && XMHF_PAL_FLAG_PIC == 2 && PAL_CONVENTION_OWN == PAL_CONVENTION_NATIVE
               && XMHF_HC_PAL_REGISTER == 0x101 && XMHF_HC_PAL_UNREGISTER == 0x102, "values");

static struct pal_module_spec spec_of(unsigned stacks)
{
    return (struct pal_module_spec){
        code, code + sizeof(code), code, sizeof(code), 1, stacks, 1, 1, PAL_CONVENTION, 0,
    };
}

/* CODE, DATA, RODATA, and a STACK and a PARAM section for each stack. */
static void test_sections(void **state)
{
    struct pal_module_spec spec;
    struct pal_module m;

    (void)state;
    for (unsigned stacks = 0; stacks <= XMHF_MODULE_STACKS + 1; stacks++) {
        bool fits = 3 + 2 * stacks <= XMHF_MODULE_SECTIONS;
        spec = spec_of(stacks);
        assert_int_equal(pal_module_create(&m, &spec), fits ? 0 : -1);
        assert_int_equal(m.pal.sections, fits ? 3 + 2 * stacks : 0);
        assert_int_equal(m.memory != NULL, fits);
        pal_module_destroy(&m);
    }
    spec = spec_of(XMHF_MODULE_STACKS);
    spec.param_pages = 0;
    assert_int_equal(pal_module_create(&m, &spec), 0);
    assert_int_equal(m.pal.sections, 3 + XMHF_MODULE_STACKS);
    pal_module_destroy(&m);
    spec = spec_of(XMHF_MODULE_STACKS - 1); /* as many as there are */
    spec.rodata_size = 0;
    assert_int_equal(pal_module_create(&m, &spec), 0);
    assert_int_equal(m.pal.sections, XMHF_MODULE_SECTIONS);
    pal_module_destroy(&m);
}

/* Sections lie a page apart, and jumps lead into the copy. */
static void test_layout(void **state)
{
    struct pal_module_spec spec = spec_of(2);
    struct pal_module m;
    uint64_t at;
    int32_t distance;
    uint8_t *entry;

    (void)state;
    assert_int_equal(pal_module_create(&m, &spec), 0);
    at = (uintptr_t)m.memory;
    for (unsigned i = 0; i < m.pal.sections; i++) {
        assert_int_equal(m.pal.section[i].start, at);
        at += (m.pal.section[i].pages + 1) * PAL_PAGE;
    }
    assert_int_equal(at, (uintptr_t)m.memory + m.size);
    assert_memory_equal(m.code, code, sizeof(code));
    assert_memory_equal(m.rodata, code, sizeof(code));
    for (unsigned i = 0; i < XMHF_MODULE_ENTRIES; i++) {
        entry = pal_module_entry(&m, code + 3 * i, 0, 0);
        assert_non_null(entry);
        assert_int_equal((uintptr_t)entry % XMHF_MODULE_ENTRY_ALIGN, 0);
        assert_int_equal(entry[0], 0xe9);
        memcpy(&distance, entry + 1, sizeof(distance));
        assert_ptr_equal(entry + 5 + distance, (uint8_t *)m.code + 3 * i);
    }
    assert_null(pal_module_entry(&m, code, 0, 0));
    for (unsigned i = 0; i < XMHF_MODULE_PARAMS; i++) {
        assert_int_equal(pal_module_integer(&m), i);
    }
    assert_int_equal(pal_module_pointer(&m, XMHF_IN, 8), -1);
    pal_module_destroy(&m);
}

#define TEN(type) type a, type b, type c, type d, type e, type f, type g, type h, type i, type j
#define MIX (a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i + 10 * j)

static PAL_ABI pal_word mix(TEN(pal_word)) { return MIX; }
#ifdef __x86_64__
static __attribute__((ms_abi)) pal_word mix_ms(TEN(pal_word)) { return MIX; }
#endif

static void test_conventions(void **state)
{
    const pal_word args[XMHF_MODULE_PARAMS] = { 3, 1, 4, 1, 5, 9, 2, 6, 5, 3 };
    const pal_word expected = mix(3, 1, 4, 1, 5, 9, 2, 6, 5, 3);
    struct pal_module m = { .pal.convention = PAL_CONVENTION };

    (void)state;
    assert_int_equal(pal_module_call(&m, (void *)(uintptr_t)mix, args, 10).result, expected);
    /* Wrong numbers of arguments are the caller's loss, but not his stack's. */
    assert_int_equal(pal_module_call(&m, (void *)(uintptr_t)mix, args, 1u << 24).result, expected);
#ifdef __x86_64__
    m.pal.convention = XMHF_MICROSOFT;
    assert_int_equal(pal_module_call(&m, (void *)(uintptr_t)mix_ms, args, 10).result, expected);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sections), cmocka_unit_test(test_layout),
            cmocka_unit_test(test_conventions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

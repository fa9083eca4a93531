/* SPDX-License-Identifier: MIT */
/* The PAL's side of pal/interface.h, which includes it: prototypes; and with PAL_DEFINE_ENTRIES, in
 * C only, what stands between the hypervisor and the PAL's functions, and pal-lint's records. */
#ifndef PAL_INTERFACE_PAL_H
#define PAL_INTERFACE_PAL_H

#include <pal/interface.h>
#ifdef __PAL__

#ifdef PAL_DEFINE_ENTRIES
#include <pal/descriptor.h>
#include <pal/rt.h>
#include <xmhf/hypercall.h>
#endif

#ifndef PAL_DEFINE_ENTRIES

#define PAL_ENTRY(pal, type, ...) PAL_ENTRY_(pal, type, PAL_NAME(__VA_ARGS__), __VA_ARGS__)
#define PAL_ENTRY_(pal, type, name, ...) \
    PAL_CHECKS(pal, __VA_ARGS__) \
    PAL_EXTERN_C pal_integer_##type name PAL_PARAMETERS(pal, __VA_ARGS__);
#define PAL_ENTRY_VOID(pal, ...) PAL_ENTRY_VOID_(pal, PAL_NAME(__VA_ARGS__), __VA_ARGS__)
#define PAL_ENTRY_VOID_(pal, name, ...) \
    PAL_CHECKS(pal, __VA_ARGS__) \
    PAL_EXTERN_C void name PAL_PARAMETERS(pal, __VA_ARGS__);
#define PAL_OCALL(pal, type, ...) PAL_OCALL_(pal, type, PAL_NAME(__VA_ARGS__), __VA_ARGS__)
#define PAL_OCALL_(pal, type, name, ...) \
    PAL_CHECKS(pal, __VA_ARGS__) \
    PAL_EXTERN_C int name(pal_integer_##type *pal_result PAL_EACH(PAL_PLAIN, pal, __VA_ARGS__));
#define PAL_OCALL_VOID(pal, ...) PAL_OCALL_VOID_(pal, PAL_NAME(__VA_ARGS__), __VA_ARGS__)
#define PAL_OCALL_VOID_(pal, name, ...) \
    PAL_CHECKS(pal, __VA_ARGS__) \
    PAL_EXTERN_C int name PAL_PARAMETERS(pal, __VA_ARGS__);

#else /* PAL_DEFINE_ENTRIES */

/* --- entries -------------------------------------------------------------------------- */

/* What comes from the hypervisor: words, whose upper halves are the caller's choice. */
#define PAL_RAW(pal, entry, parameter)    PAL_SELECT(PAL_W_, pal, entry, PAL_OPEN parameter)
#define PAL_W_p_value(p, e, type, name, count, max) \
    PAL_CAT(PAL_RAW_, PAL_WIDTH(type))(name)
#define PAL_RAW_word(name) , pal_word name
#define PAL_RAW_wide(name) , pal_word name, pal_word pal_high_##name
#define PAL_W_p_in(p, e, type, name, count, max)          , const pal_fixed_width_##type *name
#define PAL_W_p_out(p, e, type, name, count, max)         , pal_fixed_width_##type *name
#define PAL_W_p_inout(p, e, type, name, count, max)       , pal_fixed_width_##type *name
#define PAL_W_p_in_array(p, e, type, name, count, max)    , const pal_fixed_width_##type *name
#define PAL_W_p_out_array(p, e, type, name, count, max)   , pal_fixed_width_##type *name
#define PAL_W_p_inout_array(p, e, type, name, count, max) , pal_fixed_width_##type *name
#define PAL_W_p_in_struct(p, e, type, name, count, max)   , const pal_fixed_width_##type *name
#define PAL_W_p_out_struct(p, e, type, name, count, max)  , pal_fixed_width_##type *name
#define PAL_W_p_inout_struct(p, e, type, name, count, max) , pal_fixed_width_##type *name
#define PAL_W_p_string(p, e, type, name, count, max) \
    , char *name, pal_word pal_bytes_##name

/* What the function gets. */
#define PAL_PASS(pal, entry, parameter)   PAL_SELECT(PAL_Q_, pal, entry, PAL_OPEN parameter)
#define PAL_Q_p_value(p, e, type, name, count, max) \
    , (pal_integer_##type)PAL_CAT(PAL_PASS_, PAL_WIDTH(type))(name)
#define PAL_PASS_word(name) name
#define PAL_PASS_wide(name) ((uint64_t)pal_high_##name << 32 | name)
#define PAL_Q_p_in(p, e, type, name, count, max)           , name
#define PAL_Q_p_out(p, e, type, name, count, max)          , name
#define PAL_Q_p_inout(p, e, type, name, count, max)        , name
#define PAL_Q_p_in_array(p, e, type, name, count, max)     , name
#define PAL_Q_p_out_array(p, e, type, name, count, max)    , name
#define PAL_Q_p_inout_array(p, e, type, name, count, max)  , name
#define PAL_Q_p_in_struct(p, e, type, name, count, max)    , name
#define PAL_Q_p_out_struct(p, e, type, name, count, max)   , name
#define PAL_Q_p_inout_struct(p, e, type, name, count, max) , name
#define PAL_Q_p_string(p, e, type, name, count, max) \
    , pal_ended(name, pal_bytes_##name, (size_t)(max) + 1)

/* The text is in the PAL's own memory. The hypervisor has checked the number of bytes. */
static inline __attribute__((unused)) const char *pal_ended(char *text, pal_word bytes, size_t room)
{
    if (bytes == 0) {
        return "";
    }
    text[(bytes <= room ? bytes : room) - 1] = 0;
    return text;
}

/* A count must be of a type that the PAL can't mistake. */
#define PAL_COUNTS(pal, entry, parameter) PAL_SELECT(PAL_K_, pal, entry, PAL_OPEN parameter)
#define PAL_K_p_value(p, e, type, name, count, max)        (void)(name);
#define PAL_K_p_in(p, e, type, name, count, max)    (void)(name); PAL_COUNT_CHECK(e, name, count) \
    PAL_ASSERT(sizeof(pal_fixed_width_##type) <= 0xffff, "elements of at most 65535 bytes");
#define PAL_K_p_out(p, e, type, name, count, max)   PAL_K_p_in(p, e, type, name, count, max)
#define PAL_K_p_inout(p, e, type, name, count, max) PAL_K_p_in(p, e, type, name, count, max)
#define PAL_K_p_in_array(p, e, type, name, count, max)     (void)(name);
#define PAL_K_p_out_array(p, e, type, name, count, max)    (void)(name);
#define PAL_K_p_inout_array(p, e, type, name, count, max)  (void)(name);
#define PAL_K_p_in_struct(p, e, type, name, count, max)    (void)(name);
#define PAL_K_p_out_struct(p, e, type, name, count, max)   (void)(name);
#define PAL_K_p_inout_struct(p, e, type, name, count, max) (void)(name);
#define PAL_K_p_string(p, e, type, name, count, max)       (void)(name);

/* Not const: where code is position-independent the linker would write the function's address into
 * it, and all records of a section must be of one kind. */
#define PAL_DESCRIBE(pal, variable, kind, number, params, function, name, ...) \
    PAL_ASSERT(sizeof(#name) <= PAL_DESCRIPTOR_NAME, #name ": a name has at most 63 letters"); \
    PAL_ASSERT(sizeof(#pal) <= PAL_DESCRIPTOR_NAME, #pal ": a name has at most 63 letters"); \
    PAL_DESCRIPTOR_PLACE static struct pal_descriptor variable = { \
        PAL_DESCRIPTOR_MAGIC, kind, number, params, __LINE__, 0, { function }, #name, #pal, \
        { __VA_ARGS__ } \
    };

/* `extra` is the parameter for a 64-bit result with 32 bits, `last` and `more` tell of it; `done`
 * makes the call. */
#define PAL_WRAPPER(pal, type, name, extra, last, more, done, ...) \
    PAL_CHECKS(pal, __VA_ARGS__) \
    type name PAL_PARAMETERS(pal, __VA_ARGS__); \
    static inline __attribute__((unused)) void \
    pal_counts_##name PAL_PARAMETERS(pal, __VA_ARGS__) { PAL_EACH(PAL_COUNTS, pal, __VA_ARGS__) } \
    enum { pal_at_##name##_pal_first = -1 PAL_EACH(PAL_NUMBER, pal, __VA_ARGS__) more, \
           pal_at_##name##_pal_end }; \
    PAL_ASSERT((int)pal_at_##name##_pal_end <= (int)XMHF_IMAGE_ENTRY_PARAMS, \
               #pal ": " #name ": more than 32 words; a string is two"); \
    pal_word pal_entry_##name PAL_WORDS(~ PAL_EACH(PAL_RAW, pal, __VA_ARGS__) extra); \
    __attribute__((used)) PAL_RT_NO_GUARD \
    pal_word pal_entry_##name PAL_WORDS(~ PAL_EACH(PAL_RAW, pal, __VA_ARGS__) extra) \
    { \
        pal_rt_enter(); \
        done(name PAL_CALL(PAL_ANY(__VA_ARGS__), ~ PAL_EACH(PAL_PASS, pal, __VA_ARGS__))) \
    } \
    PAL_DESCRIBE(pal, pal_descriptor_##name, PAL_DESCRIPTOR_ENTRY, __COUNTER__, \
                 pal_at_##name##_pal_end, (const void *)pal_entry_##name, name, \
                 PAL_EACH(PAL_RECORD, pal, __VA_ARGS__) last)

#define PAL_WORDS(...) PAL_PARENS(PAL_ANY(__VA_ARGS__), __VA_ARGS__)
#define PAL_EXTRA_word
#define PAL_EXTRA_wide , uint64_t *pal_wide
#define PAL_DONE_word(...) return (pal_word)__VA_ARGS__;
#define PAL_DONE_wide(...) *pal_wide = (uint64_t)__VA_ARGS__; return 0;
#define PAL_DONE_none(...) __VA_ARGS__; return 0;

#define PAL_ENTRY(pal, type, ...) PAL_ENTRY_(pal, type, PAL_NAME(__VA_ARGS__), __VA_ARGS__)
#define PAL_ENTRY_(pal, type, name, ...) \
    PAL_ENTRY_1(pal, pal_integer_##type, PAL_WIDTH(type), name, __VA_ARGS__)
#define PAL_ENTRY_1(...) PAL_ENTRY_2(__VA_ARGS__)
#define PAL_ENTRY_2(pal, type, width, name, ...) \
    PAL_WRAPPER(pal, type, name, PAL_EXTRA_##width, PAL_LAST_##width, PAL_MORE_##width(name), \
                PAL_DONE_##width, __VA_ARGS__)
#define PAL_ENTRY_VOID(pal, ...) PAL_ENTRY_VOID_(pal, PAL_NAME(__VA_ARGS__), __VA_ARGS__)
#define PAL_ENTRY_VOID_(pal, name, ...) \
    PAL_WRAPPER(pal, void, name, PAL_EXTRA_word, PAL_LAST_word, PAL_MORE_word(name), \
                PAL_DONE_none, __VA_ARGS__)

/* --- ocalls --------------------------------------------------------------------------- */

/* The layout of requests and answers is told in pal/interface_host.h. */
#define PAL_UP8(bytes) (((size_t)(bytes) + 7) / 8 * 8)

/* Bytes of a request and of an answer, at most. */
#define PAL_REQUEST(pal, entry, parameter) PAL_SELECT(PAL_S_, pal, entry, PAL_OPEN parameter)
#define PAL_S_ALL(type, max) + PAL_UP8((max) * sizeof(pal_fixed_width_##type))
#define PAL_S_p_value(p, e, type, name, count, max)        + 8
#define PAL_S_p_in(p, e, type, name, count, max)           PAL_S_ALL(type, max)
#define PAL_S_p_out(p, e, type, name, count, max)
#define PAL_S_p_inout(p, e, type, name, count, max)        PAL_S_ALL(type, max)
#define PAL_S_p_in_array(p, e, type, name, count, max)     PAL_S_ALL(type, max)
#define PAL_S_p_out_array(p, e, type, name, count, max)
#define PAL_S_p_inout_array(p, e, type, name, count, max)  PAL_S_ALL(type, max)
#define PAL_S_p_in_struct(p, e, type, name, count, max)    PAL_S_ALL(type, max)
#define PAL_S_p_out_struct(p, e, type, name, count, max)
#define PAL_S_p_inout_struct(p, e, type, name, count, max) PAL_S_ALL(type, max)
#define PAL_S_p_string(p, e, type, name, count, max)       + 8 + PAL_UP8((max) + 1)
#define PAL_ANSWER(pal, entry, parameter)  PAL_SELECT(PAL_U_, pal, entry, PAL_OPEN parameter)
#define PAL_U_p_value(p, e, type, name, count, max)
#define PAL_U_p_in(p, e, type, name, count, max)
#define PAL_U_p_out(p, e, type, name, count, max)          PAL_S_ALL(type, max)
#define PAL_U_p_inout(p, e, type, name, count, max)        PAL_S_ALL(type, max)
#define PAL_U_p_in_array(p, e, type, name, count, max)
#define PAL_U_p_out_array(p, e, type, name, count, max)    PAL_S_ALL(type, max)
#define PAL_U_p_inout_array(p, e, type, name, count, max)  PAL_S_ALL(type, max)
#define PAL_U_p_in_struct(p, e, type, name, count, max)
#define PAL_U_p_out_struct(p, e, type, name, count, max)   PAL_S_ALL(type, max)
#define PAL_U_p_inout_struct(p, e, type, name, count, max) PAL_S_ALL(type, max)
#define PAL_U_p_string(p, e, type, name, count, max)

/* A request is put together in the buffer that its answer comes to. */
struct pal_packer {
    unsigned char *at;   /* where the next byte goes, or comes from */
    bool bad;            /* a count or text is more than declared */
};

static inline __attribute__((unused)) void pal_put(struct pal_packer *b, const void *from,
                                                   size_t bytes)
{
    if (!b->bad) {
        if (bytes != 0) {
            memcpy(b->at, from, bytes);
        }
        memset(b->at + bytes, 0, PAL_UP8(bytes) - bytes);
        b->at += PAL_UP8(bytes);
    }
}

static inline __attribute__((unused)) void pal_put_value(struct pal_packer *b, uint64_t value)
{
    pal_put(b, &value, sizeof(value));
}

static inline __attribute__((unused)) void pal_get(struct pal_packer *b, void *to, size_t bytes)
{
    if (bytes != 0) {
        memcpy(to, b->at, bytes);
    }
    b->at += PAL_UP8(bytes);
}

/* Bytes of a text with its end. */
static inline __attribute__((unused)) size_t pal_text_bytes(struct pal_packer *b, const char *text,
                                                            size_t max)
{
    size_t n = 0;

    while (text[n] != 0) {
        if (n == max) {
            b->bad = true;
            return 0;
        }
        n++;
    }
    return n + 1;
}

#define PAL_PUT_VALUES(pal, entry, parameter)  PAL_SELECT(PAL_V_, pal, entry, PAL_OPEN parameter)
#define PAL_V_COUNTED(entry, name, count, max) \
    PAL_COUNT_CHECK(entry, name, count) pal_b.bad = pal_b.bad || pal_exceeds(count, max);
#define PAL_V_p_value(p, e, type, name, count, max)    pal_put_value(&pal_b, (uint64_t)(name));
#define PAL_V_p_in(p, e, type, name, count, max)       PAL_V_COUNTED(e, name, count, max)
#define PAL_V_p_out(p, e, type, name, count, max)      PAL_V_COUNTED(e, name, count, max)
#define PAL_V_p_inout(p, e, type, name, count, max)    PAL_V_COUNTED(e, name, count, max)
#define PAL_V_p_in_array(p, e, type, name, count, max)
#define PAL_V_p_out_array(p, e, type, name, count, max)
#define PAL_V_p_inout_array(p, e, type, name, count, max)
#define PAL_V_p_in_struct(p, e, type, name, count, max)
#define PAL_V_p_out_struct(p, e, type, name, count, max)
#define PAL_V_p_inout_struct(p, e, type, name, count, max)
#define PAL_V_p_string(p, e, type, name, count, max) \
    const size_t pal_bytes_##name = pal_text_bytes(&pal_b, name, max); \
    pal_put_value(&pal_b, pal_bytes_##name);

#define PAL_PUT_BUFFERS(pal, entry, parameter) PAL_SELECT(PAL_B_, pal, entry, PAL_OPEN parameter)
#define PAL_SOME(type, count) ((size_t)(count) * sizeof(pal_fixed_width_##type))
#define PAL_B_p_value(p, e, type, name, count, max)
#define PAL_B_p_in(p, e, type, name, count, max)    pal_put(&pal_b, name, PAL_SOME(type, count));
#define PAL_B_p_out(p, e, type, name, count, max)   pal_out += PAL_UP8(PAL_SOME(type, count));
#define PAL_B_p_inout(p, e, type, name, count, max) \
    PAL_B_p_in(p, e, type, name, count, max) PAL_B_p_out(p, e, type, name, count, max)
#define PAL_B_p_in_array(p, e, type, name, c, max)     PAL_B_p_in(p, e, type, name, max, max)
#define PAL_B_p_out_array(p, e, type, name, c, max)    PAL_B_p_out(p, e, type, name, max, max)
#define PAL_B_p_inout_array(p, e, type, name, c, max)  PAL_B_p_inout(p, e, type, name, max, max)
#define PAL_B_p_in_struct(p, e, type, name, c, max)    PAL_B_p_in(p, e, type, name, 1, 1)
#define PAL_B_p_out_struct(p, e, type, name, c, max)   PAL_B_p_out(p, e, type, name, 1, 1)
#define PAL_B_p_inout_struct(p, e, type, name, c, max) PAL_B_p_inout(p, e, type, name, 1, 1)
#define PAL_B_p_string(p, e, type, name, count, max)   pal_put(&pal_b, name, pal_bytes_##name);

#define PAL_GET_BUFFERS(pal, entry, parameter) PAL_SELECT(PAL_G_, pal, entry, PAL_OPEN parameter)
#define PAL_G_p_value(p, e, type, name, count, max)
#define PAL_G_p_in(p, e, type, name, count, max)
#define PAL_G_p_out(p, e, type, name, count, max)   pal_get(&pal_b, name, PAL_SOME(type, count));
#define PAL_G_p_inout(p, e, type, name, count, max)    PAL_G_p_out(p, e, type, name, count, max)
#define PAL_G_p_in_array(p, e, type, name, count, max)
#define PAL_G_p_out_array(p, e, type, name, c, max)    PAL_G_p_out(p, e, type, name, max, max)
#define PAL_G_p_inout_array(p, e, type, name, c, max)  PAL_G_p_out(p, e, type, name, max, max)
#define PAL_G_p_in_struct(p, e, type, name, count, max)
#define PAL_G_p_out_struct(p, e, type, name, c, max)   PAL_G_p_out(p, e, type, name, 1, 1)
#define PAL_G_p_inout_struct(p, e, type, name, c, max) PAL_G_p_out(p, e, type, name, 1, 1)
#define PAL_G_p_string(p, e, type, name, count, max)

#define PAL_OCALL_BUFFER(name) \
    union { \
        uint64_t align; \
        unsigned char bytes[(int)pal_request_##name > (int)pal_answer_##name \
                            ? (int)pal_request_##name : (int)pal_answer_##name]; \
    }

/* The answer must have exactly the bytes that it should: its sender is not to be trusted. */
#define PAL_ASK(pal, name, first, done, ...) \
    PAL_CHECKS(pal, __VA_ARGS__) \
    enum { pal_number_##name = __COUNTER__, \
           pal_request_##name = 8 PAL_EACH(PAL_REQUEST, pal, __VA_ARGS__), \
           pal_answer_##name = 8 PAL_EACH(PAL_ANSWER, pal, __VA_ARGS__) }; \
    int name first; \
    int name first \
    { \
        PAL_OCALL_BUFFER(name) pal_buffer; \
        struct pal_packer pal_b = { pal_buffer.bytes, false }; \
        size_t pal_out = 8; \
        uint64_t pal_r; \
        intptr_t pal_got; \
        PAL_EACH(PAL_PUT_VALUES, pal, __VA_ARGS__) \
        if (pal_b.bad) { \
            return -TV_TOO_LONG; \
        } \
        PAL_EACH(PAL_PUT_BUFFERS, pal, __VA_ARGS__) \
        pal_got = (intptr_t)pal_rt_hypercall(XMHF_HC_OCALL, pal_number_##name, \
                                             (pal_word)pal_buffer.bytes, \
                                             (pal_word)(pal_b.at - pal_buffer.bytes), \
                                             sizeof(pal_buffer)); \
        if (pal_got < 0) { \
            return (int)pal_got; \
        } \
        if ((size_t)pal_got != pal_out) { \
            return -TV_FAILED; \
        } \
        pal_b.at = pal_buffer.bytes; \
        pal_get(&pal_b, &pal_r, sizeof(pal_r)); \
        done \
        PAL_EACH(PAL_GET_BUFFERS, pal, __VA_ARGS__) \
        return 0; \
    } \
    PAL_DESCRIBE(pal, pal_ocall_descriptor_##name, PAL_DESCRIPTOR_OCALL, pal_number_##name, 1, 0, \
                 name, { XMHF_PARAM_OCALL, XMHF_INOUT, sizeof(PAL_OCALL_BUFFER(name)), 0, 0 })

#define PAL_OCALL(pal, type, ...) PAL_OCALL_(pal, type, PAL_NAME(__VA_ARGS__), __VA_ARGS__)
#define PAL_OCALL_(pal, type, name, ...) PAL_OCALL_1(pal, pal_integer_##type, name, __VA_ARGS__)
#define PAL_OCALL_1(pal, type, name, ...) \
    PAL_ASK(pal, name, (type *pal_result PAL_EACH(PAL_PLAIN, pal, __VA_ARGS__)), \
            *pal_result = (type)pal_r;, __VA_ARGS__)
#define PAL_OCALL_VOID(pal, ...) PAL_OCALL_VOID_(pal, PAL_NAME(__VA_ARGS__), __VA_ARGS__)
#define PAL_OCALL_VOID_(pal, name, ...) \
    PAL_ASK(pal, name, PAL_PARAMETERS(pal, __VA_ARGS__), (void)pal_r;, __VA_ARGS__)

#endif /* PAL_DEFINE_ENTRIES */
#endif /* __PAL__ */
#endif

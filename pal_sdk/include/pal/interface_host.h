/* SPDX-License-Identifier: MIT */
/* The program's side of pal/interface.h, which includes it: a stub for each entry, and what takes
 * an ocall's request apart. */
#ifndef PAL_INTERFACE_HOST_H
#define PAL_INTERFACE_HOST_H

#include <pal/interface.h>
#ifndef __PAL__

/* --- entries -------------------------------------------------------------------------- */

/* What the stub takes. */
#define PAL_TYPED(pal, entry, parameter)  PAL_SELECT(PAL_T_, pal, entry, PAL_OPEN parameter)
#define PAL_T_p_value(p, e, type, name, count, max)       , pal_integer_##type name
#define PAL_T_p_in(p, e, type, name, count, max)          , const PAL_POINTED(type) *name
#define PAL_T_p_out(p, e, type, name, count, max)         , PAL_POINTED(type) *name
#define PAL_T_p_inout(p, e, type, name, count, max)       , PAL_POINTED(type) *name
#define PAL_T_p_in_array(p, e, type, name, count, max) \
    , const PAL_POINTED(type) (*name)[max]
#define PAL_T_p_out_array(p, e, type, name, count, max)   , PAL_POINTED(type) (*name)[max]
#define PAL_T_p_inout_array(p, e, type, name, count, max) , PAL_POINTED(type) (*name)[max]
#define PAL_T_p_in_struct(p, e, type, name, count, max)   , const pal_fixed_width_##type *name
#define PAL_T_p_out_struct(p, e, type, name, count, max)  , pal_fixed_width_##type *name
#define PAL_T_p_inout_struct(p, e, type, name, count, max) , pal_fixed_width_##type *name
#define PAL_T_p_string(p, e, type, name, count, max)      , const char *name

/* What it does with each: check, and put into the words. */
#define PAL_PUSH(pal, entry, parameter)   PAL_SELECT(PAL_A_, pal, entry, PAL_OPEN parameter)
#define PAL_A_p_value(p, e, type, name, count, max) \
    PAL_CAT(PAL_PUSH_, PAL_WIDTH(type))(name)
#define PAL_PUSH_word(name) pal_args[pal_n++] = (pal_word)(name);
#define PAL_PUSH_wide(name) \
    pal_args[pal_n++] = (pal_word)(name); pal_args[pal_n++] = (pal_word)((uint64_t)(name) >> 32);
#define PAL_PUSH_COUNTED(entry, name, count, max) \
    PAL_COUNT_CHECK(entry, name, count) \
    pal_bad = pal_bad || pal_exceeds(count, max) || ((count) != 0 && !(name)); \
    pal_args[pal_n++] = (pal_word)(name);
#define PAL_PUSH_WHOLE(name) \
    pal_bad = pal_bad || !(name); \
    pal_args[pal_n++] = (pal_word)(name);
#define PAL_A_p_in(p, e, t, name, count, max)            PAL_PUSH_COUNTED(e, name, count, max)
#define PAL_A_p_out(p, e, t, name, count, max)           PAL_PUSH_COUNTED(e, name, count, max)
#define PAL_A_p_inout(p, e, t, name, count, max)         PAL_PUSH_COUNTED(e, name, count, max)
#define PAL_A_p_in_array(p, e, t, name, count, max)      PAL_PUSH_WHOLE(name)
#define PAL_A_p_out_array(p, e, t, name, count, max)     PAL_PUSH_WHOLE(name)
#define PAL_A_p_inout_array(p, e, t, name, count, max)   PAL_PUSH_WHOLE(name)
#define PAL_A_p_in_struct(p, e, t, name, count, max)     PAL_PUSH_WHOLE(name)
#define PAL_A_p_out_struct(p, e, t, name, count, max)    PAL_PUSH_WHOLE(name)
#define PAL_A_p_inout_struct(p, e, t, name, count, max)  PAL_PUSH_WHOLE(name)
#define PAL_A_p_string(p, e, t, name, count, max) \
    PAL_PUSH_WHOLE(name) \
    pal_args[pal_n++] = pal_text_bytes(name, max); \
    pal_bad = pal_bad || pal_args[pal_n - 1] > (max) + 1;

/* Bytes of a text with its end; one more than fits if it has more than `max` without. */
static inline __attribute__((unused)) pal_word pal_text_bytes(const char *text, size_t max)
{
    size_t n = 0;

    while (text && n <= max && text[n] != 0) {
        n++;
    }
    return (pal_word)(n + 1);
}

/* The names of a parameter's words. */
#define PAL_NAMED(pal, entry, parameter)  PAL_SELECT(PAL_M_, pal, entry, PAL_OPEN parameter)
#define PAL_M_p_value(p, e, type, name, count, max) PAL_CAT(PAL_NAMED_, PAL_WIDTH(type))(name)
#define PAL_NAMED_word(name) #name,
#define PAL_NAMED_wide(name) #name, #name,
#define PAL_M_p_in(p, e, t, name, count, max)            #name,
#define PAL_M_p_out(p, e, t, name, count, max)           #name,
#define PAL_M_p_inout(p, e, t, name, count, max)         #name,
#define PAL_M_p_in_array(p, e, t, name, count, max)      #name,
#define PAL_M_p_out_array(p, e, t, name, count, max)     #name,
#define PAL_M_p_inout_array(p, e, t, name, count, max)   #name,
#define PAL_M_p_in_struct(p, e, t, name, count, max)     #name,
#define PAL_M_p_out_struct(p, e, t, name, count, max)    #name,
#define PAL_M_p_inout_struct(p, e, t, name, count, max)  #name,
#define PAL_M_p_string(p, e, t, name, count, max)        #name, #name,

/* With 32 bits a 64-bit result comes through memory. */
#define PAL_RESULT_word(type) \
    pal_status = pal_call_declared(pal_handle, pal_entry, &pal_r, pal_args, pal_n, &pal_function); \
    if (pal_result) { *pal_result = (pal_integer_##type)pal_r; }
#define PAL_RESULT_wide(type) \
    pal_integer_##type pal_wide = 0; \
    pal_args[pal_n++] = (pal_word)&pal_wide; \
    pal_status = pal_call_declared(pal_handle, pal_entry, &pal_r, pal_args, pal_n, &pal_function); \
    if (pal_result) { *pal_result = pal_wide; }
#define PAL_RESULT_none \
    pal_status = pal_call_declared(pal_handle, pal_entry, &pal_r, pal_args, pal_n, &pal_function);

/* `first` is what stands before the declared parameters, `last` and `more` tell of a result through
 * memory, `done` makes the call. */
#define PAL_STUB(pal, name, first, last, more, done, ...) \
    PAL_EXTERN_CONST pal##_entry_##name; \
    PAL_CHECKS(pal, __VA_ARGS__) \
    static inline __attribute__((unused)) struct pal_status \
    pal##_##name(PAL_OPEN first PAL_EACH(PAL_TYPED, pal, __VA_ARGS__)) \
    { \
        enum { pal_at_##name##_pal_first = -1 PAL_EACH(PAL_NUMBER, pal, __VA_ARGS__) more }; \
        static const struct pal_parameter pal_declared[] = { \
            PAL_EACH(PAL_RECORD, pal, __VA_ARGS__) last { 0, 0, 0, 0, 0 } }; \
        const uint32_t pal_entry = pal##_entry_##name; \
        static const char *const pal_names[] = { \
            PAL_EACH(PAL_NAMED, pal, __VA_ARGS__) "the result" }; \
        static const struct pal_function pal_function = { \
            #pal, #name, pal_declared, pal_names }; \
        pal_word pal_args[2 * 32 + 2], pal_r = 0; \
        bool pal_bad = false; \
        struct pal_status pal_status; \
        unsigned pal_n = 0; \
        pal_args[0] = 0; /* without parameters nothing else is */ \
        PAL_EACH(PAL_PUSH, pal, __VA_ARGS__) \
        if (pal_bad) { \
            return pal_refuse(pal_handle, &pal_function, pal_args, pal_n); \
        } \
        done \
        return pal_status; \
    }
#ifdef __cplusplus
#define PAL_EXTERN_CONST extern "C" const uint32_t
#else
#define PAL_EXTERN_CONST extern const uint32_t
#endif

#define PAL_ENTRY(pal, type, ...) PAL_ENTRY_(pal, type, PAL_NAME(__VA_ARGS__), __VA_ARGS__)
#define PAL_ENTRY_(pal, type, name, ...) PAL_ENTRY_1(pal, type, name, __VA_ARGS__)
#define PAL_ENTRY_1(pal, type, name, ...) \
    PAL_STUB(pal, name, (struct pal_handle *pal_handle, pal_integer_##type *pal_result), \
             PAL_CAT(PAL_LAST_, PAL_WIDTH(type)), PAL_CAT(PAL_MORE_, PAL_WIDTH(type))(name), \
             PAL_CAT(PAL_RESULT_, PAL_WIDTH(type))(type), __VA_ARGS__)
#define PAL_ENTRY_VOID(pal, ...) PAL_ENTRY_VOID_(pal, PAL_NAME(__VA_ARGS__), __VA_ARGS__)
#define PAL_ENTRY_VOID_(pal, name, ...) \
    PAL_STUB(pal, name, (struct pal_handle *pal_handle), PAL_LAST_word, PAL_MORE_word(name), \
             PAL_RESULT_none, __VA_ARGS__)

/* --- ocalls --------------------------------------------------------------------------- */

/* A request: all values, 8 bytes each; then the buffers that are in, in order, each filled up to a
 * multiple of 8 bytes; a text has its bytes, with its end, among the values. An answer: 8 bytes for
 * the result, then the buffers that are out. */
#define PAL_UP8(bytes) (((size_t)(bytes) + 7) / 8 * 8)

struct pal_cursor {
    const unsigned char *at, *end;   /* of the request */
    unsigned char *out, *out_end;    /* of the answer */
    bool bad;
};

static inline __attribute__((unused)) uint64_t pal_take_value(struct pal_cursor *c)
{
    uint64_t v = 0;

    if (c->end - c->at < 8) {
        c->bad = true;
        return 0;
    }
    for (unsigned i = 0; i < 8; i++) {
        v |= (uint64_t)c->at[i] << 8 * i;
    }
    c->at += 8;
    return v;
}

/* `bytes` of the request, NULL if it has less. */
static inline __attribute__((unused)) const void *pal_take(struct pal_cursor *c, size_t bytes)
{
    const unsigned char *p = c->at;

    if (c->bad || (size_t)(c->end - p) < PAL_UP8(bytes)) {
        c->bad = true;
        return NULL;
    }
    c->at += PAL_UP8(bytes);
    return p;
}

/* A text of that many bytes, which must be ended. */
static inline __attribute__((unused)) const char *
pal_take_text(struct pal_cursor *c, uint64_t bytes, size_t max)
{
    const char *text = NULL;

    if (bytes != 0 && bytes <= (uint64_t)max + 1) {
        text = (const char *)pal_take(c, (size_t)bytes);
    }
    if (!text || text[bytes - 1] != 0) {
        c->bad = true;
    }
    return text;
}

/* Room in the answer, with what is in the request, or zeros. */
static inline __attribute__((unused)) void *pal_give(struct pal_cursor *c, size_t bytes, bool in)
{
    unsigned char *p = c->out;
    const unsigned char *from = in ? (const unsigned char *)pal_take(c, bytes) : NULL;

    if (c->bad || (size_t)(c->out_end - p) < PAL_UP8(bytes)) {
        c->bad = true;
        return NULL;
    }
    for (size_t i = 0; i < PAL_UP8(bytes); i++) {
        p[i] = from && i < bytes ? from[i] : 0;
    }
    c->out += PAL_UP8(bytes);
    return p;
}

/* Values first, since they count the buffers. */
#define PAL_TAKE_VALUES(pal, entry, parameter)  PAL_SELECT(PAL_V_, pal, entry, PAL_OPEN parameter)
#define PAL_V_NONE
#define PAL_V_p_value(p, e, type, name, count, max) \
    pal_integer_##type name = (pal_integer_##type)pal_take_value(&pal_c);
#define PAL_V_p_in(p, e, type, name, count, max)
#define PAL_V_p_out(p, e, type, name, count, max)
#define PAL_V_p_inout(p, e, type, name, count, max)
#define PAL_V_p_in_array(p, e, type, name, count, max)
#define PAL_V_p_out_array(p, e, type, name, count, max)
#define PAL_V_p_inout_array(p, e, type, name, count, max)
#define PAL_V_p_in_struct(p, e, type, name, count, max)
#define PAL_V_p_out_struct(p, e, type, name, count, max)
#define PAL_V_p_inout_struct(p, e, type, name, count, max)
#define PAL_V_p_string(p, e, type, name, count, max) \
    const uint64_t pal_bytes_##name = pal_take_value(&pal_c);

#define PAL_TAKE_BUFFERS(pal, entry, parameter) PAL_SELECT(PAL_B_, pal, entry, PAL_OPEN parameter)
#define PAL_B_p_value(p, e, type, name, count, max)
#define PAL_TAKE_SIZE(entry, type, name, count, max) \
    PAL_COUNT_CHECK(entry, name, count) \
    pal_c.bad = pal_c.bad || pal_exceeds(count, max); \
    const size_t pal_bytes_##name = pal_c.bad ? 0 : (count) * sizeof(pal_fixed_width_##type);
#define PAL_TAKE_IN(type, name, bytes) \
    const pal_fixed_width_##type *const name = \
        (const pal_fixed_width_##type *)pal_take(&pal_c, bytes);
#define PAL_TAKE_OUT(type, name, bytes, in) \
    pal_fixed_width_##type *const name = (pal_fixed_width_##type *)pal_give(&pal_c, bytes, in);
#define PAL_B_p_in(p, e, type, name, count, max) \
    PAL_TAKE_SIZE(e, type, name, count, max) PAL_TAKE_IN(type, name, pal_bytes_##name)
#define PAL_B_p_out(p, e, type, name, count, max) \
    PAL_TAKE_SIZE(e, type, name, count, max) PAL_TAKE_OUT(type, name, pal_bytes_##name, false)
#define PAL_B_p_inout(p, e, type, name, count, max) \
    PAL_TAKE_SIZE(e, type, name, count, max) PAL_TAKE_OUT(type, name, pal_bytes_##name, true)
#define PAL_ALL_OF(type, max) ((max) * sizeof(pal_fixed_width_##type))
#define PAL_B_p_in_array(p, e, type, name, count, max) \
    PAL_TAKE_IN(type, name, PAL_ALL_OF(type, max))
#define PAL_B_p_out_array(p, e, type, name, count, max) \
    PAL_TAKE_OUT(type, name, PAL_ALL_OF(type, max), false)
#define PAL_B_p_inout_array(p, e, type, name, count, max) \
    PAL_TAKE_OUT(type, name, PAL_ALL_OF(type, max), true)
#define PAL_B_p_in_struct(p, e, type, name, count, max) \
    PAL_TAKE_IN(type, name, PAL_ALL_OF(type, max))
#define PAL_B_p_out_struct(p, e, type, name, count, max) \
    PAL_TAKE_OUT(type, name, PAL_ALL_OF(type, max), false)
#define PAL_B_p_inout_struct(p, e, type, name, count, max) \
    PAL_TAKE_OUT(type, name, PAL_ALL_OF(type, max), true)
#define PAL_B_p_string(p, e, type, name, count, max) \
    const char *const name = pal_take_text(&pal_c, pal_bytes_##name, max);

#define PAL_JUST_NAME(pal, entry, parameter) PAL_SELECT(PAL_J_, pal, entry, PAL_OPEN parameter)
#define PAL_J_p_value(p, e, type, name, count, max)        , name
#define PAL_J_p_in(p, e, type, name, count, max)           , name
#define PAL_J_p_out(p, e, type, name, count, max)          , name
#define PAL_J_p_inout(p, e, type, name, count, max)        , name
#define PAL_J_p_in_array(p, e, type, name, count, max)     , name
#define PAL_J_p_out_array(p, e, type, name, count, max)    , name
#define PAL_J_p_inout_array(p, e, type, name, count, max)  , name
#define PAL_J_p_in_struct(p, e, type, name, count, max)    , name
#define PAL_J_p_out_struct(p, e, type, name, count, max)   , name
#define PAL_J_p_inout_struct(p, e, type, name, count, max) , name
#define PAL_J_p_string(p, e, type, name, count, max)       , name

/* `call` turns the function's name with its arguments into a uint64_t. */
#define PAL_DISPATCH(pal, name, type, call, ...) \
    PAL_CHECKS(pal, __VA_ARGS__) \
    PAL_EXTERN_C type pal##_ocall_##name PAL_PARAMETERS(pal, __VA_ARGS__); \
    static inline size_t pal##_unpack_##name(const unsigned char *pal_request, size_t pal_bytes, \
                                             unsigned char *pal_answer, size_t pal_room) \
    { \
        struct pal_cursor pal_c; \
        uint64_t pal_r = 0; \
        pal_c.at = pal_request; \
        pal_c.end = pal_request + pal_bytes; \
        pal_c.out = pal_answer + 8; \
        pal_c.out_end = pal_answer + pal_room; \
        pal_c.bad = pal_room < 8; \
        PAL_EACH(PAL_TAKE_VALUES, pal, __VA_ARGS__) \
        PAL_EACH(PAL_TAKE_BUFFERS, pal, __VA_ARGS__) \
        if (pal_c.bad || pal_c.at != pal_c.end) { \
            return 0; \
        } \
        call(pal##_ocall_##name \
             PAL_CALL(PAL_ANY(__VA_ARGS__), ~ PAL_EACH(PAL_JUST_NAME, pal, __VA_ARGS__))) \
        for (unsigned pal_i = 0; pal_i < 8; pal_i++) { \
            pal_answer[pal_i] = (unsigned char)(pal_r >> 8 * pal_i); \
        } \
        return (size_t)(pal_c.out - pal_answer); \
    } \
    static __attribute__((constructor)) void pal##_announce_##name(void) \
    { \
        static struct pal_ocall pal_o = { #pal, #name, pal##_unpack_##name, NULL }; \
        pal_ocall_add(&pal_o); \
    }
#define PAL_GET_RESULT(...) pal_r = (uint64_t)(__VA_ARGS__);
#define PAL_NO_RESULT(...)  __VA_ARGS__;

#define PAL_OCALL(pal, type, ...) PAL_OCALL_(pal, type, PAL_NAME(__VA_ARGS__), __VA_ARGS__)
#define PAL_OCALL_(pal, type, name, ...) \
    PAL_DISPATCH(pal, name, pal_integer_##type, PAL_GET_RESULT, __VA_ARGS__)
#define PAL_OCALL_VOID(pal, ...) PAL_OCALL_VOID_(pal, PAL_NAME(__VA_ARGS__), __VA_ARGS__)
#define PAL_OCALL_VOID_(pal, name, ...) PAL_DISPATCH(pal, name, void, PAL_NO_RESULT, __VA_ARGS__)

#endif /* __PAL__ */
#endif

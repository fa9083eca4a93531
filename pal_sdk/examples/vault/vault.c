/* SPDX-License-Identifier: MIT */
/*
 * A password vault in a PAL. Without arguments: the rules, tried out. vault -: obeys the lines of
 * standard input, a word and what it takes: found PASSWORD, unlock PASSWORD, lock, put NAME SECRET,
 * get NAME, drop NAME, names, change OLD NEW, save FILE, restore FILE.
 */
#include "vault_interface.h"
#include "../example.h"

#include <inttypes.h>
#include <string.h>

PAL_IMAGE(vault);

static struct pal_handle *pal;

/* call(ENTRY, ARGUMENTS...): what the entry returned. */
#define call(entry, ...) result_of(vault_##entry, pal, ##__VA_ARGS__)

static uint32_t put(const char *name, const char *secret)
{
    size_t size = strlen(secret);

    return size <= VAULT_SECRET ? call(put, name, (const uint8_t *)secret, (uint32_t)size)
                                : VAULT_BAD_SIZE;
}

/* The secret as text in `text`, which has room for VAULT_SECRET + 1 bytes. */
static uint32_t get(const char *name, char *text)
{
    uint8_t secret[VAULT_SECRET];
    uint32_t size[1] = { 0 }, error = call(get, name, &secret, &size);

    memcpy(text, secret, size[0]);
    text[size[0]] = 0;
    return error;
}

enum { NO_COMMAND = 100 };

static const char *error_text(uint32_t error)
{
    static const char *const texts[] = {
        [VAULT_OK] = "done",
        [VAULT_NONE] = "there is no vault yet",
        [VAULT_THERE] = "there is a vault already",
        [VAULT_LOCKED] = "the vault is locked",
        [VAULT_WRONG_PASSWORD] = "wrong password",
        [VAULT_LOCKED_OUT] = "too many wrong passwords: it stays locked",
        [VAULT_FULL] = "the vault is full",
        [VAULT_NO_SECRET] = "there is no such secret",
        [VAULT_BAD_SIZE] = "a size is wrong",
        [VAULT_BAD_BLOB] = "this vault didn't save that, or it was changed",
        [VAULT_OLD_BLOB] = "that is older than what the vault has",
        [VAULT_NO_ENTROPY] = "the hypervisor has no entropy",
    };

    return error < sizeof(texts) / sizeof(texts[0]) ? texts[error] : "no such word";
}

/* --- the rules --- */

static uint8_t blob[VAULT_BLOB], later[VAULT_BLOB];
static uint32_t later_size[1];

static void secret_rules(void)
{
    char text[VAULT_SECRET + 1];
    struct vault_names list;

    check(put("mail", "x") == VAULT_NONE, "no vault, no secrets");
    check(call(found, "") == VAULT_BAD_SIZE, "an empty master password is refused");
    check(call(found, "correct horse") == VAULT_OK, "a vault is founded");
    check(call(found, "correct horse") == VAULT_THERE, "and not a second one over it");
    check(put("mail", "hunter2") == VAULT_OK && put("bank", "12345") == VAULT_OK, "two secrets");
    check(get("mail", text) == VAULT_OK && strcmp(text, "hunter2") == 0, "one comes back");
    check(put("mail", "hunter3") == VAULT_OK && get("mail", text) == VAULT_OK
          && strcmp(text, "hunter3") == 0, "it is replaced");
    check(put("none", "") == VAULT_OK && get("none", text) == VAULT_OK && text[0] == 0,
          "an empty secret is one");
    check(call(drop, "none") == VAULT_OK && get("none", text) == VAULT_NO_SECRET, "one is dropped");
    check(get("", text) == VAULT_NO_SECRET && put("", "x") == VAULT_BAD_SIZE,
          "no secret has an empty name");
    check(call(names, &list) == VAULT_OK && list.count == 2 && strcmp(list.name[0], "mail") == 0
          && strcmp(list.name[1], "bank") == 0, "the names are mail and bank");
    for (unsigned i = 2; i < VAULT_SECRETS; i++) {
        snprintf(text, sizeof(text), "number %u", i);
        put(text, text);
    }
    check(put("one more", "x") == VAULT_FULL, "32 secrets fit");
}

static void password_rules(void)
{
    char text[VAULT_SECRET + 1];

    call(lock);
    check(get("mail", text) == VAULT_LOCKED && put("mail", "x") == VAULT_LOCKED,
          "locked: nothing comes out or goes in");
    check(call(unlock, "correct house") == VAULT_WRONG_PASSWORD, "a wrong password");
    check(get("mail", text) == VAULT_LOCKED, "leaves it locked");
    check(call(unlock, "correct horse") == VAULT_OK && get("mail", text) == VAULT_OK
          && strcmp(text, "hunter3") == 0, "the right one opens it");
    check(call(change, "wrong", "battery staple") == VAULT_WRONG_PASSWORD,
          "a new password needs the old one");
    check(call(change, "correct horse", "battery staple") == VAULT_OK, "the password is changed");
    call(lock);
    check(call(unlock, "correct horse") == VAULT_WRONG_PASSWORD, "the old one is none any more");
    check(call(unlock, "battery staple") == VAULT_OK && get("mail", text) == VAULT_OK
          && strcmp(text, "hunter3") == 0, "the new one opens all of it");
}

static void blob_rules(void)
{
    uint32_t size[1] = { 0 };
    char text[VAULT_SECRET + 1];

    check(call(save, blob, sizeof(blob), &size) == VAULT_OK, "the vault is saved");
    check(call(save, later, sizeof(later), &later_size) == VAULT_OK
          && memcmp(blob, later, size[0]) != 0, "saved again it looks different");
    check(call(restore, blob, size[0]) == VAULT_OK, "the vault takes it back");
    blob[size[0] / 2] ^= 1;
    check(call(restore, blob, size[0]) == VAULT_BAD_BLOB, "not with a bit changed");
    blob[size[0] / 2] ^= 1;
    check(call(restore, blob, size[0] - 1) == VAULT_BAD_BLOB
          && call(restore, blob, 0) == VAULT_BAD_BLOB, "not with a byte less, not without any");
    put("mail", "hunter4");
    check(call(restore, blob, size[0]) == VAULT_OLD_BLOB && get("mail", text) == VAULT_OK
          && strcmp(text, "hunter4") == 0, "an old one doesn't undo what is newer");
}

static void lock_out(void)
{
    uint32_t error = VAULT_OK;

    call(lock);
    for (unsigned i = 0; i < VAULT_WRONG; i++) {
        error = call(unlock, "guess");
    }
    check(error == VAULT_WRONG_PASSWORD, "ten wrong passwords");
    check(call(unlock, "battery staple") == VAULT_LOCKED_OUT, "and the right one is too late");
}

/* Another PAL of the same image has another key. */
static void other_vault(void)
{
    struct pal_handle *first = pal;

    if (pal_is_native()) {
        puts("skip  another vault: a native program has one of each image");
        return;
    }
    done(pal_open(&vault_image, &pal), 0);
    call(found, "battery staple");
    check(call(restore, later, later_size[0]) == VAULT_BAD_BLOB, "another vault can't read it");
    pal_close(pal);
    pal = first;
}

/* --- the lines --- */

static uint32_t save_to(const char *file)
{
    uint32_t size[1] = { 0 }, error = call(save, blob, sizeof(blob), &size);
    FILE *f = error == VAULT_OK ? fopen(file, "wb") : NULL;

    if (!f) {
        return error;
    }
    fwrite(blob, 1, size[0], f);
    fclose(f);
    return error;
}

static uint32_t restore_from(const char *file)
{
    FILE *f = fopen(file, "rb");
    size_t size = f ? fread(blob, 1, sizeof(blob), f) : 0;

    if (f) {
        fclose(f);
    }
    return call(restore, blob, (uint32_t)size);
}

static uint32_t show(const char *name)
{
    char text[VAULT_SECRET + 1];
    uint32_t error = get(name, text);

    if (error == VAULT_OK) {
        puts(text);
    }
    memset(text, 0, sizeof(text));
    return error;
}

static uint32_t show_names(void)
{
    struct vault_names list;
    uint32_t error = call(names, &list);

    for (uint32_t i = 0; error == VAULT_OK && i < list.count; i++) {
        puts(list.name[i]);
    }
    return error;
}

static uint32_t obey(const char *word, const char *a, const char *b)
{
    if (strlen(a) > VAULT_NAME || strlen(b) > VAULT_PASSWORD) {
        return VAULT_BAD_SIZE;
    }
    return strcmp(word, "found") == 0     ? call(found, a)
           : strcmp(word, "unlock") == 0  ? call(unlock, a)
           : strcmp(word, "lock") == 0    ? call(lock)
           : strcmp(word, "put") == 0     ? put(a, b)
           : strcmp(word, "get") == 0     ? show(a)
           : strcmp(word, "drop") == 0    ? call(drop, a)
           : strcmp(word, "names") == 0   ? show_names()
           : strcmp(word, "change") == 0  ? call(change, a, b)
           : strcmp(word, "save") == 0    ? save_to(a)
           : strcmp(word, "restore") == 0 ? restore_from(a)
                                          : NO_COMMAND;
}

static void obey_lines(void)
{
    char line[512], word[16], a[128], b[256];

    while (fgets(line, sizeof(line), stdin)) {
        a[0] = b[0] = 0;
        if (sscanf(line, "%15s %127s %255s", word, a, b) >= 1) {
            puts(error_text(obey(word, a, b)));
        }
    }
    memset(line, 0, sizeof(line));
    memset(a, 0, sizeof(a));
    memset(b, 0, sizeof(b));
}

int main(int argc, char **argv)
{
    int status = 0;

    done(pal_open(&vault_image, &pal), 0);
    if (argc > 1 && strcmp(argv[1], "-") == 0) {
        obey_lines();
    } else {
        secret_rules();
        password_rules();
        blob_rules();
        other_vault();
        lock_out();
        status = checked();
    }
    pal_close(pal);
    return status;
}

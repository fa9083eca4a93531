/* SPDX-License-Identifier: MIT */
/*
 * Signatures by a TPM 2.0, in ticks of the TSC: makes a P-256 key in the TPM behind a Unix socket
 * (swtpm's) and has it sign. Two lines "NAME VALUE": the mean of some, and the least.
 *
 *   guest_tpm SOCKET
 *
 * The commands are those of the TPM 2.0 Library, part 3; everything is big-endian.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { RUNS = 30, RESPONSE = 4096, HEADER = 10, HANDLE_AT = 10, RESULT_AT = 6, DIGEST_AT = 29 };

/* TPM2_CreatePrimary under the owner: ECC, NIST P-256, to sign by ECDSA with SHA-256, the nonce
 * the TPM's own. */
static const uint8_t create_primary[] = {
    0x80, 0x02, 0, 0, 0, 65, 0, 0, 0x01, 0x31,       /* with sessions, bytes, command */
    0x40, 0, 0, 0x01,                                /* the owner's hierarchy */
    0, 0, 0, 9, 0x40, 0, 0, 0x09, 0, 0, 0, 0, 0,     /* an empty password */
    0, 4, 0, 0, 0, 0,                                /* sensitive: no secret, no data */
    0, 24, 0, 0x23, 0, 0x0b, 0, 0x04, 0, 0x72, 0, 0, /* ECC, SHA-256, a signing key, no policy */
    0, 0x10, 0, 0x18, 0, 0x0b, 0, 0x03, 0, 0x10, 0, 0, 0, 0, /* ECDSA, SHA-256, P-256 */
    0, 0, 0, 0, 0, 0,                                /* no outside information, no PCRs */
};

/* TPM2_Sign: a digest of 32 bytes, by the key's own scheme, not hashed by the TPM. */
static uint8_t sign[DIGEST_AT + 32 + 10] = {
    0x80, 0x02, 0, 0, 0, DIGEST_AT + 32 + 10, 0, 0, 0x01, 0x5d,
    0, 0, 0, 0,                                      /* the key's handle */
    0, 0, 0, 9, 0x40, 0, 0, 0x09, 0, 0, 0, 0, 0,
    0, 32,
    [DIGEST_AT + 32] = 0, 0x10,                      /* scheme: the key's */
    0x80, 0x24, 0x40, 0, 0, 0x07, 0, 0,              /* a ticket of nothing */
};

static inline uint64_t ticks(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return low | (uint64_t)high << 32;
}

/* One command and its response; the bytes of it, or 0 if the TPM refused or nobody answered. */
static size_t command(int tpm, const uint8_t *bytes, size_t size, uint8_t response[RESPONSE])
{
    ssize_t got;
    unsigned tries = 0;

    do { /* it is still testing itself: TPM_RC_RETRY */
        if (write(tpm, bytes, size) != (ssize_t)size) {
            return 0;
        }
        got = read(tpm, response, RESPONSE);
    } while (got == HEADER && memcmp(response + RESULT_AT, "\0\0\x09\x22", 4) == 0
             && ++tries < 100);
    if (got < HEADER || memcmp(response + RESULT_AT, "\0\0\0", 4) != 0) {
        printf("the TPM answered with %ld bytes, result %02x%02x%02x%02x\n", (long)got, response[6],
               response[7], response[8], response[9]);
        return 0;
    }
    return (size_t)got;
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int tpm = socket(AF_UNIX, SOCK_STREAM, 0);

    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    return tpm >= 0 && connect(tpm, (struct sockaddr *)&address, sizeof(address)) == 0 ? tpm : -1;
}

static int measure(int tpm)
{
    static uint8_t response[RESPONSE];
    uint64_t least = UINT64_MAX, sum = 0, start, took;

    if (command(tpm, create_primary, sizeof(create_primary), response) == 0) {
        return 1;
    }
    memcpy(sign + HEADER, response + HANDLE_AT, 4);
    for (unsigned i = 0; i < RUNS; i++) {
        memset(sign + DIGEST_AT, (int)i, 32);
        start = ticks();
        if (command(tpm, sign, sizeof(sign), response) == 0) {
            return 1;
        }
        took = ticks() - start;
        sum += took;
        least = took < least ? took : least;
    }
    printf("tpm-sign-p256-mean %llu\ntpm-sign-p256 %llu\n", (unsigned long long)(sum / RUNS),
           (unsigned long long)least);
    return 0;
}

int main(int argc, char **argv)
{
    int tpm = argc == 2 ? connect_to(argv[1]) : -1;

    if (tpm < 0) {
        puts("usage: guest_tpm SOCKET, where a TPM listens");
        return 1;
    }
    return measure(tpm);
}

/* UUIDs; see the header. Random bytes come in batches, since a system call a job would be
   noticeable. */
#include "comfypool/base/uuid.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

static void random_bytes(unsigned char *out, size_t n)
{
    static unsigned char pool[256];
    static size_t left;
    if (left < n) {
        if (getrandom(pool, sizeof pool, 0) != (ssize_t)sizeof pool) {
            abort(); /* up to 256 bytes never fail once the kernel's pool is ready */
        }
        left = sizeof pool;
    }
    left -= n;
    memcpy(out, pool + left, n);
    memset(pool + left, 0, n);
}

static void format(unsigned char b[16], unsigned version, char ret[UUID_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    b[6] = (unsigned char)((b[6] & 0x0f) | version << 4);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    char *p = ret;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *p++ = '-';
        }
        *p++ = hex[b[i] >> 4];
        *p++ = hex[b[i] & 15];
    }
    *p = '\0';
}

uint64_t uuid_random(void)
{
    uint64_t n = 0;
    random_bytes((unsigned char *)&n, sizeof n);
    return n;
}

void uuid_v4(char ret[UUID_SIZE])
{
    unsigned char b[16];
    random_bytes(b, sizeof b);
    format(b, 4, ret);
}

void uuid_v7(struct wall_us now, char ret[UUID_SIZE])
{
    unsigned char b[16];
    random_bytes(b, sizeof b);
    const uint64_t ms = (uint64_t)(now.us / 1000);
    for (int i = 0; i < 6; i++) {
        b[i] = (unsigned char)(ms >> (8 * (5 - i)));
    }
    format(b, 7, ret);
}

bool uuid_is_canonical(struct str s)
{
    if (s.n != UUID_TEXT) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        const char c = s.p[i];
        const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (dash ? c != '-' : !hex) {
            return false;
        }
    }
    return true;
}

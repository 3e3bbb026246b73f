/* Text helpers and the allocation policy; see the header. */
#include "comfypool/base/str.h"

#include <stdio.h>
#include <stdlib.h>

bool str_to_int64(struct str s, int64_t *ret)
{
    size_t i = 0;
    const bool negative = s.n > 0 && s.p[0] == '-';
    if (negative) {
        i = 1;
    }
    if (i == s.n) {
        return false;
    }
    int64_t v = 0;
    for (; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
        /* Counts downwards: the negative range is the larger one. */
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, s.p[i] - '0', &v)) {
            return false;
        }
    }
    if (!negative && __builtin_sub_overflow((int64_t)0, v, &v)) {
        return false;
    }
    *ret = v;
    return true;
}

static void *or_die(void *p)
{
    if (p == NULL) {
        fputs("<2>level=crit msg=\"out of memory\"\n", stderr);
        abort();
    }
    return p;
}

void *mem_alloc(size_t n)
{
    return or_die(malloc(n == 0 ? 1 : n));
}

void *mem_zero(size_t count, size_t size)
{
    return or_die(calloc(count == 0 ? 1 : count, size == 0 ? 1 : size));
}

void *mem_grow(void *p, size_t n)
{
    return or_die(realloc(p, n == 0 ? 1 : n));
}

char *mem_copy(struct str s)
{
    char *copy = mem_alloc(s.n + 1);
    if (s.n > 0) {
        memcpy(copy, s.p, s.n);
    }
    copy[s.n] = '\0';
    return copy;
}

char *mem_strdup(const char *c_string)
{
    return c_string == NULL ? NULL : mem_copy(str_of(c_string));
}

void mem_free_ptr(void *p)
{
    void **pp = p;
    free(*pp);
    *pp = NULL;
}

struct str str_clip(struct str s, size_t most)
{
    if (s.n <= most) {
        return s;
    }
    while (most > 0 && ((unsigned char)s.p[most] & 0xc0) == 0x80) {
        most--;
    }
    return (struct str){s.p, most};
}

char *str_extension(const char *filename)
{
    enum { MOST = 16 };
    const char *dot = filename == NULL ? NULL : strrchr(filename, '.');
    const size_t n = dot == NULL ? 0 : strlen(dot);
    bool good = n >= 2 && n <= MOST && dot != filename;
    for (size_t i = 1; i < n && good; i++) {
        const char c = dot[i];
        good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    }
    return mem_strdup(good ? dot : "");
}

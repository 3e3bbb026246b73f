/*
 * A borrowed piece of text: pointer and length, no terminator, NUL bytes allowed. The function that
 * hands one out says how long it lives.
 *
 * The allocation policy of the whole program is here, too: small allocations do not fail, they end
 * the process (every accepted job is on disk, the service manager restarts); buffers that a peer
 * feeds have a maximum instead (base/buf.h).
 */
#ifndef COMFYPOOL_BASE_STR_H
#define COMFYPOOL_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})

/* STR() as an initialiser of a static table. */
#define STR_INIT(literal)                                                                          \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

static inline struct str str_of(const char *c_string)
{
    return (struct str){c_string, c_string == NULL ? 0 : strlen(c_string)};
}

/* Returns at most the first `most` bytes, ending at a character boundary. */
struct str str_clip(struct str s, size_t most);

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_is(struct str a, const char *c_string)
{
    return str_eq(a, str_of(c_string));
}

static inline bool str_ends_with(struct str a, struct str end)
{
    return a.n >= end.n && memcmp(a.p + a.n - end.n, end.p, end.n) == 0;
}

/* Returns the extension of a file name (or NULL): the dot and up to 15 letters and digits; ""
   when it has none. Owner: the caller. */
char *str_extension(const char *filename);

/* Parses a whole decimal integer (optional '-', digits). Returns false on anything else. */
bool str_to_int64(struct str s, int64_t *ret);

/* malloc, calloc and realloc that end the process with a message when out of memory. */
void *mem_alloc(size_t n);
void *mem_zero(size_t count, size_t size);
void *mem_grow(void *p, size_t n);
/* A NUL-terminated copy. Owner: the caller. */
char *mem_copy(struct str s);
/* Like mem_copy for a C string; NULL stays NULL. */
char *mem_strdup(const char *c_string);

/* Frees *p and clears it: for __attribute__((cleanup)). */
void mem_free_ptr(void *p);
#define AUTO_FREE __attribute__((cleanup(mem_free_ptr)))

#endif

/*
 * Text for comfysim: a growable buffer and JSON as Python's json.dumps writes it.
 *
 * Leaves reading JSON to jansson, but for what jansson refuses and Python takes (integers over 63
 * bits, NaN, Infinity): text_json_load keeps those as marked strings, text_json prints them back.
 * Invariant: a buffer's data is NUL terminated once something was appended. Out of memory aborts.
 */
#ifndef COMFYSIM_TEXT_H
#define COMFYSIM_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
    char *data;
    size_t len;
    size_t cap;
};

void *sim_alloc(size_t size);           /* zeroed; never NULL */
void *sim_grow(void *old, size_t size); /* realloc that never fails */
char *sim_strndup(const char *s, size_t len);

void text_reserve(struct text *t, size_t more);
void text_add(struct text *t, const char *s, size_t len);
void text_str(struct text *t, const char *s);
void text_printf(struct text *t, const char *format, ...)
    __attribute__((format(printf, 2, 3), nonnull));
void text_int(struct text *t, int64_t value);
void text_real(struct text *t, double value);                /* Python's repr: 1.0, 1e-05, NaN */
void text_quoted(struct text *t, const char *s, size_t len); /* a JSON string, ASCII only */
void text_json(struct text *t, const json_t *value);         /* ", " and ": " separators */
void text_py(struct text *t, const json_t *value);           /* Python's repr of a value */
void text_clear(struct text *t);
void text_free(struct text *t);

#define TEXT_LIT(t, literal) text_add((t), "" literal, sizeof(literal) - 1)

/* Reads a request body as Python's json.loads does, leniently. NULL when it is not JSON. */
json_t *text_json_load(const char *body, size_t len);

uint64_t mono_ns(void); /* CLOCK_MONOTONIC */
double wall_ms(void);   /* epoch, milliseconds with a fraction */

#endif

/*
 * The log: logfmt lines on stderr, one a call, with the journal's <N> level prefix when stderr is
 * no terminal. An error is logged once, where it is handled. Values are quoted and escaped as
 * needed; credentials never get here (addresses are logged without user information).
 *
 *   LOG(LOG_WARN, "backend lost", LOG_S("backend", name), LOG_I("ms", 1200));
 */
#ifndef COMFYPOOL_BASE_LOG_H
#define COMFYPOOL_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ordered; the numbers are syslog's. */
enum log_level { LOG_ERROR = 3, LOG_WARN = 4, LOG_INFO = 6, LOG_DEBUG = 7 };

struct log_field {
    const char *key;
    const char *text; /* NULL: the number counts */
    int64_t number;
};

#define LOG_S(k, v) ((struct log_field){.key = (k), .text = (v) == NULL ? "" : (v)})
#define LOG_I(k, v) ((struct log_field){.key = (k), .number = (int64_t)(v)})

#define LOG(level, message, ...)                                                                   \
    log_write((level), (message), (const struct log_field[]){__VA_ARGS__, {.key = NULL}})
/* Without fields. */
#define LOG_PLAIN(level, message)                                                                  \
    log_write((level), (message), &(const struct log_field){.key = NULL})

/* fields end with one whose key is NULL. */
void log_write(enum log_level level, const char *message, const struct log_field *fields);
void log_set_level(enum log_level level);
/* error, warning, info or debug; false on any other word. */
bool log_level_from_text(const char *text, enum log_level *ret);

#endif

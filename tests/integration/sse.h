/*
 * A reader of server-sent events on a socket of its own: chunked transfer, events, comments. What
 * it read is kept until the end of the test's process. It checks what holds of every event: ids on
 * durable ones only, growing; data is JSON; a job's has jobId, a node's nodeId.
 */
#ifndef COMFYPOOL_TESTS_SSE_H
#define COMFYPOOL_TESTS_SSE_H

#include "harness.h"

struct told {
    char *type;
    char *id; /* "": none */
    json_t *data;
    double came; /* now_s() */
};

struct sse {
    int fd;
    char *raw; /* what the socket gave */
    size_t raw_len, raw_at;
    char *body;                          /* without the framing of chunks */
    size_t body_len, body_at, body_seen; /* the end of a block is sought from there */
    char *head;                          /* NULL: not read yet */
    long status;
    long retry;  /* as it said, ms */
    bool ended;  /* nothing more comes... */
    bool is_cut; /* ...and it did not end as a whole stream does */
    struct told *list;
    size_t len;
    size_t at; /* the next that sse_next gives */
    struct sse *before;
};

/* GET path. last_id: Last-Event-ID, or NULL. */
struct sse *sse_open(struct daemon *d, const char *last_id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with a bearer token. */
struct sse *sse_open_by(struct daemon *d, const char *token, const char *last_id, const char *path);
/* The next event; NULL: the stream is over. */
const struct told *sse_next(struct sse *s);
/* The next of this type; fails when there is none. */
const struct told *sse_await(struct sse *s, const char *type);
/* The next of this type and job. */
const struct told *sse_await_of(struct sse *s, const char *type, const char *job_id);
/* Reads to the end, which must be a clean one. */
void sse_drain(struct sse *s);
/* What is already there, without waiting for more. */
void sse_look(struct sse *s);
void sse_close(struct sse *s);
/* How many events of a type were read. */
int sse_count(const struct sse *s, const char *type);
/* The last event that has an id. */
const char *sse_last_id(const struct sse *s);
/* The number in an id. */
long sse_number(const char *id);
bool sse_is(const struct told *t, const char *type);

#endif

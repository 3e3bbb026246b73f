/*
 * Traces of ended jobs, pushed to an OTLP endpoint in batches. Undeliverable ones are dropped and
 * counted; no job ever waits for it.
 */
#ifndef COMFYPOOL_NOTIFY_OTLP_H
#define COMFYPOOL_NOTIFY_OTLP_H

#include <stddef.h>
#include <stdint.h>

struct deadlines;
struct http_client;
struct otlp;
struct store;

struct otlp_options {
    const char *url;            /* target with its path; NULL: none */
    const char *const *headers; /* "Name: value", NULL at the end; or NULL */
    const char *version;        /* of the daemon */
};

struct otlp_stats {
    size_t waiting;         /* jobs */
    uint64_t sent, dropped; /* jobs, since the start */
};

/* All arguments are borrowed until otlp_free. */
struct otlp *otlp_new(struct store *store, struct http_client *http, struct deadlines *deadlines,
                      const struct otlp_options *options);
/* Queues the trace of a profiled job that has ended. */
void otlp_add(struct otlp *t, const char *job_id);
void otlp_count(const struct otlp *t, struct otlp_stats *ret);
void otlp_stop(struct otlp *t);
/* Call after otlp_stop. */
void otlp_free(struct otlp *t);

#endif

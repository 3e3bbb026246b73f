/*
 * Traces of ended jobs, pushed to an OTLP endpoint in batches. What cannot be delivered is dropped
 * and counted; no job ever waits for it.
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
    const char *url;            /* where traces go, with its path; NULL: nowhere */
    const char *const *headers; /* "Name: value", NULL at the end; or NULL */
    const char *version;        /* of the daemon */
};

struct otlp_stats {
    size_t waiting;         /* jobs */
    uint64_t sent, dropped; /* jobs, since the start */
};

/* All is borrowed until otlp_free. */
struct otlp *otlp_new(struct store *store, struct http_client *http, struct deadlines *deadlines,
                      const struct otlp_options *options);
/* A profiled job has ended. */
void otlp_add(struct otlp *t, const char *job_id);
void otlp_count(const struct otlp *t, struct otlp_stats *ret);
void otlp_stop(struct otlp *t);
/* After otlp_stop. */
void otlp_free(struct otlp *t);

#endif

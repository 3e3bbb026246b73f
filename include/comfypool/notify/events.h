/*
 * What happens, kept for a while and told to whoever listens. Durable events get a number and lie
 * in a ring: a stream that comes back with Last-Event-ID is given what it missed from there. The
 * others are told once, and cost nothing when nobody listens.
 *
 * Kept: EVENTS_KEPT_S seconds, EVENTS_KEPT events or EVENTS_KEPT_BYTES, whichever is less. A
 * profile is kept as a reference and read from the store when it is sent.
 */
#ifndef COMFYPOOL_NOTIFY_EVENTS_H
#define COMFYPOOL_NOTIFY_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/time.h"
#include "comfypool/base/uuid.h"
#include "comfypool/core/event.h"

enum { EVENTS_KEPT_S = 600, EVENTS_KEPT = 10000, EVENTS_KEPT_BYTES = 64 << 20 };

/* The data of an event, and a webhook's body: Standard Webhooks advises against more. */
enum { EVENT_DATA_MOST = 19 << 10 };

struct event {
    uint64_t n; /* from 1; 0: it is not durable */
    enum event_type type;
    struct mono_us at;
    char job_id[UUID_SIZE]; /* "": of no job */
    char *client;           /* whose job or batch; NULL: nobody's */
    char *data;             /* a JSON object */
    size_t len;
    int64_t seq; /* of the job, and the attempt whose profile goes with it; 0: none */
    unsigned attempt;
};

/* Who passes events on to those that listen. */
struct events_reader {
    void (*tell)(void *ctx, const struct event *e); /* lives as long as the call */
    void (*preview)(void *ctx);                     /* there is a new preview image */
    void *ctx;
};

struct events {
    char start[24]; /* of the daemon: the first part of each id */
    struct event *ring;
    size_t first;
    size_t len;
    size_t cap;
    size_t bytes;
    uint64_t last; /* the newest number */
    struct events_reader reader;
    size_t listeners;         /* how many the reader has */
    size_t preview_listeners; /* ... for preview images, too */
    uint64_t slow_readers;    /* dropped, since the start */
};

void events_init(struct events *e);
void events_done(struct events *e);
/* Before the first listener; copied. */
void events_set_reader(struct events *e, const struct events_reader *r);
/* So many listen from now on. */
void events_set_listeners(struct events *e, size_t all, size_t for_previews);

/* What an event is about. */
struct event_subject {
    const char *job_id; /* "": no job */
    const char *client; /* or NULL */
};
/* A durable event. data is taken; seq 0: no profile goes with it. */
void events_add(struct events *e, enum event_type type, struct event_subject of,
                struct buf *take_data, int64_t seq, unsigned attempt);
/* One that is not durable: to be made only when events_wanted says so. */
void events_tell(struct events *e, enum event_type type, struct event_subject of, struct str data);
/* Somebody listens at all. */
bool events_wanted(const struct events *e);
/* A new preview image of a running job is there. */
void events_preview(struct events *e);

/* The kept event with this number, NULL when there is none (any more). O(1). */
const struct event *events_find(const struct events *e, uint64_t n);
/* The number in an id of ours, of an event that is kept or followed by those that are; false:
   reset. */
bool events_read_id(struct events *e, const char *id, uint64_t *ret);

#endif

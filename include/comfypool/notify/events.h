/*
 * Events, kept for a while and passed to listeners. Durable events get a number and are kept in a
 * ring: a stream that resumes with Last-Event-ID gets what it missed. Others are sent once, and
 * cost nothing without listeners.
 *
 * Kept: EVENTS_KEPT_S seconds, EVENTS_KEPT events or EVENTS_KEPT_BYTES, whichever is less. A
 * profile is kept as a reference and read from the store when sent.
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

/* Limit of an event's data, and of a webhook's body: Standard Webhooks advises against more. */
enum { EVENT_DATA_MOST = 19 << 10 };

struct event {
    uint64_t n; /* from 1; 0: not durable */
    enum event_type type;
    struct mono_us at;
    char job_id[UUID_SIZE]; /* "": no job */
    char *client;           /* of the job or batch; NULL: none */
    char *data;             /* a JSON object */
    size_t len;
    int64_t seq; /* seq of the job whose attempt's profile goes with it; 0: none */
    unsigned attempt;
};

/* Passes events to the listeners. */
struct events_reader {
    void (*tell)(void *ctx, const struct event *e); /* e lives for the call */
    void (*preview)(void *ctx);                     /* there is a new preview image */
    void *ctx;
};

struct events {
    char start[24]; /* start time of the daemon: the first part of each id */
    struct event *ring;
    size_t first;
    size_t len;
    size_t cap;
    size_t bytes;
    uint64_t last; /* the newest number */
    struct events_reader reader;
    size_t listeners;         /* the reader's number of listeners */
    size_t preview_listeners; /* those who want preview images */
    uint64_t slow_readers;    /* dropped, since the start */
};

void events_init(struct events *e);
void events_done(struct events *e);
/* Before the first listener; copied. */
void events_set_reader(struct events *e, const struct events_reader *r);
/* Sets the number of listeners. */
void events_set_listeners(struct events *e, size_t all, size_t for_previews);

/* The subject of an event. */
struct event_subject {
    const char *job_id; /* "": no job */
    const char *client; /* or NULL */
};
/* Adds a durable event. Takes data; seq 0: no profile goes with it. */
void events_add(struct events *e, enum event_type type, struct event_subject of,
                struct buf *take_data, int64_t seq, unsigned attempt);
/* Sends a transient event: only useful when events_wanted. */
void events_tell(struct events *e, enum event_type type, struct event_subject of, struct str data);
/* True if there are listeners. */
bool events_wanted(const struct events *e);
/* Announces a new preview image of a running job. */
void events_preview(struct events *e);

/* Finds a kept event by number; NULL: none (any more). O(1). */
const struct event *events_find(const struct events *e, uint64_t n);
/* Reads the number of an id of ours, if the event is kept or followed by kept ones; false:
   reset. */
bool events_read_id(struct events *e, const char *id, uint64_t *ret);

#endif

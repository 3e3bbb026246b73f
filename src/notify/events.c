/* The ring of durable events; see the header. */
#include "comfypool/notify/events.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_RING = 64 };

void events_init(struct events *e)
{
    *e = (struct events){.ring = NULL};
    (void)snprintf(e->start, sizeof e->start, "%" PRId64, time_wall().us / 1000);
}

void events_set_reader(struct events *e, const struct events_reader *r)
{
    e->reader = *r;
}

void events_set_listeners(struct events *e, size_t all, size_t for_previews)
{
    e->listeners = all;
    e->preview_listeners = for_previews;
}

/* Returns the memory that an event takes. */
static size_t size_of(const struct event *e)
{
    return sizeof *e + e->len + (e->client == NULL ? 0 : strlen(e->client) + 1);
}

static void drop_first(struct events *e)
{
    struct event *old = &e->ring[e->first];
    e->bytes -= size_of(old);
    free(old->data);
    free(old->client);
    e->first = (e->first + 1) % e->cap;
    e->len--;
}

void events_done(struct events *e)
{
    while (e->len > 0) {
        drop_first(e);
    }
    free(e->ring);
    *e = (struct events){.ring = NULL};
}

static void drop_old(struct events *e, struct mono_us now)
{
    const struct mono_us oldest = {now.us - (int64_t)EVENTS_KEPT_S * 1000000};
    /* The newest is being sent: it stays, of any size. */
    while ((e->len > 1 && e->bytes > EVENTS_KEPT_BYTES) ||
           (e->len > 0 && mono_before(e->ring[e->first].at, oldest))) {
        drop_first(e);
    }
}

/* Makes room for one more, dropping the oldest at the maximum. */
static void make_room(struct events *e)
{
    if (e->len < e->cap) {
        return;
    }
    if (e->cap == 0) {
        e->cap = FIRST_RING;
        e->ring = mem_alloc(e->cap * sizeof *e->ring);
        return;
    }
    if (e->cap == EVENTS_KEPT) {
        drop_first(e);
        return;
    }
    const size_t cap = e->cap * 2 > EVENTS_KEPT ? EVENTS_KEPT : e->cap * 2;
    struct event *ring = mem_alloc(cap * sizeof *ring);
    for (size_t i = 0; i < e->len; i++) {
        ring[i] = e->ring[(e->first + i) % e->cap];
    }
    free(e->ring);
    e->ring = ring;
    e->first = 0;
    e->cap = cap;
}

void events_add(struct events *e, enum event_type type, struct event_subject of,
                struct buf *take_data, int64_t seq, unsigned attempt)
{
    struct event made = {
        .n = ++e->last,
        .type = type,
        .at = time_mono(),
        .len = take_data->len,
        .seq = seq,
        .attempt = attempt,
        .client = mem_strdup(of.client),
    };
    (void)snprintf(made.job_id, sizeof made.job_id, "%s", of.job_id);
    made.data = buf_take(take_data);
    make_room(e);
    e->ring[(e->first + e->len) % e->cap] = made;
    e->len++;
    e->bytes += size_of(&made);
    drop_old(e, made.at);
    if (e->listeners > 0) {
        e->reader.tell(e->reader.ctx, &made);
    }
}

bool events_wanted(const struct events *e)
{
    return e->listeners > 0;
}

void events_tell(struct events *e, enum event_type type, struct event_subject of, struct str data)
{
    struct event made = {.type = type, .len = data.n};
    (void)snprintf(made.job_id, sizeof made.job_id, "%s", of.job_id);
    made.data = (char *)(uintptr_t)data.p;      /* borrowed for the call */
    made.client = (char *)(uintptr_t)of.client; /* borrowed for the call */
    if (e->listeners > 0) {
        e->reader.tell(e->reader.ctx, &made);
    }
}

void events_preview(struct events *e)
{
    if (e->preview_listeners > 0) {
        e->reader.preview(e->reader.ctx);
    }
}

const struct event *events_find(const struct events *e, uint64_t n)
{
    if (n == 0 || n > e->last || e->last - n >= e->len) {
        return NULL;
    }
    return &e->ring[(e->first + e->len - 1 - (size_t)(e->last - n)) % e->cap];
}

bool events_read_id(struct events *e, const char *id, uint64_t *ret)
{
    const size_t n = strlen(e->start);
    int64_t number = 0;
    drop_old(e, time_mono());
    if (strncmp(id, e->start, n) != 0 || id[n] != '-' ||
        !str_to_int64(str_of(id + n + 1), &number) || number < 0 || (uint64_t)number > e->last) {
        return false;
    }
    *ret = (uint64_t)number;
    return *ret == e->last || events_find(e, *ret + 1) != NULL;
}

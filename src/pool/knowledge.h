/* What a backend has: its node classes and their inputs, as told on this connection or the one
   before. */
#ifndef COMFYPOOL_SRC_POOL_KNOWLEDGE_H
#define COMFYPOOL_SRC_POOL_KNOWLEDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/str.h"
#include "comfypool/core/catalog.h"
#include "comfypool/core/need.h"
#include "comfypool/loop/deadlines.h"

struct backend;
struct comfy_ask;
struct pool;

struct knowledge {
    struct catalog catalog;
    bool known;          /* was read, on this connection or the one before */
    struct mono_us told; /* when it last told its classes */
    uint64_t generation; /* counts changes */
    bool due;            /* to be read as soon as no prompt of ours is there */
    struct comfy_ask *classes, *replacements, *features;
    struct deadline patience; /* ... but no later than this: then it gets jobs again */
    uint64_t upload_most;     /* largest upload in bytes; 0: unknown */
};

/* Returns the backend's catalog for needs (core/need.h). */
struct need_catalog knowledge_of(const struct backend *b);
void knowledge_done(struct backend *b);

/* Has waiting jobs judged again at the end of the turn, after a change of anything that decides. */
void knowledge_changed(struct pool *p);
/* Requests a read of its classes, now or when its prompts are over. */
void knowledge_read(struct backend *b);
/* Starts the read if the backend is idle. */
void knowledge_settle(struct backend *b);
/* True while it gets no job because its classes are to be read first. */
bool knowledge_is_reading(const struct backend *b);
/* Handles the loss of its link. */
void knowledge_down(struct backend *b);
/* Notes that the backend can do more than was known. */
void knowledge_learnt(struct backend *b);
/* Handles a changed catalog. */
void knowledge_has_changed(struct backend *b);

#endif

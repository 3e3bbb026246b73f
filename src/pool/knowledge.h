/* What a backend has: its node classes and their inputs, as it said on this connection, or before.
 */
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
    bool known;          /* it was read, if not on this connection then on the one before */
    struct mono_us told; /* the last time that it answered what classes it has */
    uint64_t generation; /* counts changes */
    bool due;            /* it is to be read as soon as none of our prompts is there */
    struct comfy_ask *classes, *replacements, *features;
    struct deadline patience; /* with them: then it gets jobs again */
    uint64_t upload_most;     /* bytes of a file that it takes; 0: not known */
};

/* For needs (core/need.h). */
struct need_catalog knowledge_of(const struct backend *b);
void knowledge_done(struct backend *b);

/* Something that decides has changed: waiting jobs are looked at anew, at the end of the turn. */
void knowledge_changed(struct pool *p);
/* Its classes are to be read, now or when its prompts are over. */
void knowledge_read(struct backend *b);
/* Starts the read if the backend is idle. */
void knowledge_settle(struct backend *b);
/* True while it gets no job because its classes are to be read first. */
bool knowledge_is_reading(const struct backend *b);
/* Its link is lost. */
void knowledge_down(struct backend *b);
/* The backend can more than was known. */
void knowledge_learnt(struct backend *b);
/* What it said of its classes is another thing now. */
void knowledge_has_changed(struct backend *b);

#endif

/* Finds a batch and the states of its jobs. */
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/store/finds.h"

#include "engine.h"
#include "inner.h"

struct batch_find {
    struct find find;
    char id[UUID_SIZE];
    struct store_batch batch;
    int64_t counts[JOB_STATE_COUNT];
    store_found_batch_fn done;
};

static enum err read_batch(struct find *find, const struct engine *e, struct reader *r)
{
    struct batch_find *f = (struct batch_find *)find;
    const enum err found = e->batch(r, f->id, &f->batch);
    return found == ERR_NONE ? e->count_batch(r, f->id, f->counts) : found;
}

static void answer_batch(struct find *find)
{
    struct batch_find *f = (struct batch_find *)find;
    f->done(find->ctx, find->error, &f->batch.r, f->counts);
}

static void release_batch(struct find *find)
{
    struct batch_find *f = (struct batch_find *)find;
    store_batch_done(&f->batch);
}

static const struct find_kind batch_kind = {read_batch, answer_batch, release_batch};

void store_find_batch(struct store *s, const char *id, struct store_read *read,
                      store_found_batch_fn done, void *ctx)
{
    struct batch_find *f = find_new(&batch_kind, sizeof *f, ctx);
    (void)snprintf(f->id, sizeof f->id, "%s", id);
    f->done = done;
    find_ask(s, &f->find, read);
}

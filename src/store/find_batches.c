/* Finds a batch and the states of its jobs. */
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/store/finds.h"

#include "engine.h"
#include "inner.h"

struct batch_find {
    struct find find;
    char id[UUID_SIZE];
    enum err error;
    struct store_batch batch;
    int64_t counts[JOB_STATE_COUNT];
    store_found_batch_fn done;
    void *ctx;
};

static void read_batch(struct find *find, const struct engine *e, struct reader *r)
{
    struct batch_find *f = (struct batch_find *)find;
    f->error = e->batch(r, f->id, &f->batch);
    if (f->error == ERR_NONE) {
        f->error = e->count_batch(r, f->id, f->counts);
    }
}

static void answer_batch(struct find *find, bool unread)
{
    struct batch_find *f = (struct batch_find *)find;
    f->done(f->ctx, unread ? ERR_STORE_UNAVAILABLE : f->error, &f->batch.r, f->counts);
}

static void release_batch(struct find *find)
{
    struct batch_find *f = (struct batch_find *)find;
    store_batch_done(&f->batch);
}

void store_find_batch(struct store *s, const char *id, struct store_read *read,
                      store_found_batch_fn done, void *ctx)
{
    struct batch_find *f = mem_zero(1, sizeof *f);
    f->find.run = read_batch;
    f->find.answer = answer_batch;
    f->find.release = release_batch;
    (void)snprintf(f->id, sizeof f->id, "%s", id);
    f->done = done;
    f->ctx = ctx;
    find_ask(s, &f->find, read);
}

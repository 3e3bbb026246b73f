/* Finds by name: the subject of an Idempotency-Key, and a setting. */
#include <stdlib.h>

#include "comfypool/store/keys.h"
#include "comfypool/store/settings.h"

#include "engine.h"
#include "inner.h"

/* ---- an Idempotency-Key ---------------------------------------------------------------------- */

struct key_find {
    struct find find;
    char *key;
    bool is_batch;
    struct wall_us now;
    struct store_key found;
    store_found_key_fn done;
};

static enum err read_batch(struct key_find *f, const struct engine *e, struct reader *r)
{
    struct store_batch b = {.workflow = NULL};
    const enum err found = e->batch(r, f->found.record.job_id, &b);
    f->found.total = b.r.total;
    f->found.client = mem_strdup(b.r.client);
    store_batch_done(&b);
    return found;
}

static enum err read_key(struct find *find, const struct engine *e, struct reader *r)
{
    struct key_find *f = (struct key_find *)find;
    struct store_key *k = &f->found;
    const enum err found = e->key(r, f->key, f->now, &k->record);
    if (found != ERR_NONE || k->record.key == NULL) {
        return found;
    }
    k->subject_error =
        f->is_batch ? read_batch(f, e, r) : e->client(r, STORE_JOB, k->record.job_id, &k->client);
    return k->subject_error == ERR_STORE_UNAVAILABLE ? ERR_STORE_UNAVAILABLE : ERR_NONE;
}

static void answer_key(struct find *find)
{
    struct key_find *f = (struct key_find *)find;
    f->done(find->ctx, find->error, &f->found);
}

static void release_key(struct find *find)
{
    struct key_find *f = (struct key_find *)find;
    key_record_done(&f->found.record);
    free(f->found.client);
    free(f->key);
}

static const struct find_kind key_kind = {read_key, answer_key, release_key};

void store_find_key(struct store *s, const char *key, bool is_batch, struct wall_us now,
                    struct store_read *read, store_found_key_fn done, void *ctx)
{
    struct key_find *f = find_new(&key_kind, sizeof *f, ctx);
    f->key = mem_strdup(key);
    f->is_batch = is_batch;
    f->now = now;
    f->done = done;
    find_ask(s, &f->find, read);
}

/* ---- a setting ------------------------------------------------------------------------------- */

struct setting_find {
    struct find find;
    char *name;
    char *value;
    store_found_setting_fn done;
};

static enum err read_setting(struct find *find, const struct engine *e, struct reader *r)
{
    struct setting_find *f = (struct setting_find *)find;
    return e->setting(r, f->name, &f->value);
}

static void answer_setting(struct find *find)
{
    struct setting_find *f = (struct setting_find *)find;
    f->done(find->ctx, find->error, f->value);
}

static void release_setting(struct find *find)
{
    struct setting_find *f = (struct setting_find *)find;
    free(f->name);
    free(f->value);
}

static const struct find_kind setting_kind = {read_setting, answer_setting, release_setting};

void store_find_setting(struct store *s, const char *name, struct store_read *read,
                        store_found_setting_fn done, void *ctx)
{
    struct setting_find *f = find_new(&setting_kind, sizeof *f, ctx);
    f->name = mem_strdup(name);
    f->done = done;
    find_ask(s, &f->find, read);
}

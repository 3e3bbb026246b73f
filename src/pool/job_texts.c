/*
 * The texts of jobs (workflow and extra data). Clients may send megabytes each, and ten thousand
 * jobs may wait: so waiting jobs keep texts in memory up to QUEUED_TEXT_BYTES in all. Texts of the
 * others are on disk and are read back when needed (one row).
 */
#include "job_texts.h"

#include <stdlib.h>

#include "comfypool/base/log.h"
#include "comfypool/core/batch.h"
#include "comfypool/core/credentials.h"
#include "comfypool/core/submission.h"
#include "comfypool/store/finds.h"

#include "batches.h"
#include "jobs.h"
#include "state.h"

enum { QUEUED_TEXT_BYTES = 64 << 20 };

static size_t text_size(const struct job *j)
{
    return j->texts.workflow == NULL
               ? 0
               : j->texts.workflow_len +
                     (j->texts.extra_data == NULL ? 0 : strlen(j->texts.extra_data));
}

unsigned job_cut_credentials(char **extra_data, char **ret_keys)
{
    AUTO_BUF struct buf rest;
    AUTO_BUF struct buf keys;
    buf_init(&rest, BUF_NO_LIMIT);
    buf_init(&keys, BUF_NO_LIMIT);
    const unsigned found = credentials_cut(str_of(*extra_data), &rest, &keys);
    *ret_keys = NULL;
    if (found != 0) {
        free(*extra_data);
        *extra_data = buf_take(&rest);
        *ret_keys = buf_take(&keys);
    }
    return found;
}

void job_count_texts(struct job *j)
{
    const size_t size = text_size(j);
    j->pool->texts.bytes += size;
    j->texts.body_bytes = size > 0 ? size : j->texts.body_bytes;
}

static void stop_reading(struct job *j)
{
    if (j->texts.reading.find != NULL) {
        store_read_forget(&j->texts.reading);
        j->pool->texts.coming--;
    }
}

void job_drop_texts(struct job *j)
{
    stop_reading(j);
    j->pool->texts.bytes -= text_size(j);
    free(j->texts.workflow);
    free(j->texts.extra_data);
    j->texts.workflow = j->texts.extra_data = NULL;
    j->texts.workflow_len = 0;
    if (j->batch == NULL) { /* else the texts are made from the batch, which has the keys */
        free(j->texts.credentials);
        j->texts.credentials = NULL;
    }
}

void job_take_credentials(struct job *j, char **extra_data)
{
    char *keys = NULL;
    const unsigned given = job_cut_credentials(extra_data, &keys);
    if (given != 0) {
        free(j->texts.credentials);
        j->texts.credentials = keys;
    }
    j->r.credentials = given;
}

void job_take_texts(struct job *j, struct submission *take)
{
    j->texts.workflow = take->workflow;
    j->texts.workflow_len = take->workflow_len;
    j->texts.extra_data = take->extra_data;
    take->workflow = take->extra_data = NULL;
    job_take_credentials(j, &j->texts.extra_data);
}

void job_take_stored_texts(struct job *j, struct store_active *take)
{
    j->texts.workflow = take->workflow;
    j->texts.workflow_len = take->workflow_len;
    j->texts.extra_data = take->extra_data;
    j->texts.credentials = take->credentials;
    take->workflow = take->extra_data = take->credentials = NULL;
}

void job_become_variant(struct job *j)
{
    const struct job_variant *v = job_options_chosen(j->spec, j->r.placement, &j->route.variant);
    if (v == NULL || j->texts.workflow == NULL) {
        return;
    }
    j->pool->texts.bytes += v->workflow_len;
    j->pool->texts.bytes -= j->texts.workflow_len;
    free(j->texts.workflow);
    j->texts.workflow = mem_copy((struct str){v->workflow, v->workflow_len});
    j->texts.workflow_len = v->workflow_len;
    j->r.nodes_total = (unsigned)v->nodes_total;
    memcpy(j->r.workflow_hash, v->hash, sizeof j->r.workflow_hash);
    memcpy(j->r.cost_key, v->cost_key, sizeof j->r.cost_key);
}

void job_spare_texts(struct job *j)
{
    if (j->pool->texts.bytes > QUEUED_TEXT_BYTES && j->texts.workflow != NULL) {
        job_drop_texts(j);
    }
}

/* Makes the texts of a batch's job: the shared workflow with its own overrides. */
static void make_of_batch(struct job *j)
{
    const struct batch *b = j->batch;
    AUTO_BUF struct buf text;
    buf_init(&text, BUF_NO_LIMIT);
    override_apply((struct str){b->workflow, b->workflow_len}, str_of(j->r.overrides), &text);
    j->texts.workflow_len = text.len;
    j->texts.workflow = buf_take(&text);
    j->texts.extra_data = mem_strdup(b->extra_data);
}

/* Takes the texts that were read, and tells by the hook, also if they cannot be read. */
static void texts_came(void *ctx, const struct store_found *f)
{
    struct job *j = ctx;
    j->pool->texts.coming--;
    if (f->error == ERR_NONE && f->whole->workflow != NULL) {
        job_take_stored_texts(j, f->whole);
        job_count_texts(j);
    } else {
        j->texts.are_lost = true;
        LOG(LOG_ERROR, "the workflow of a job cannot be read", LOG_S("job", j->r.id),
            LOG_S("why", err_code(f->error)));
    }
    j->pool->ops->texts_came(j);
}

static void read_texts(struct job *j)
{
    struct store_wish wish = {.wants = STORE_WANT_TEXTS};
    memcpy(wish.id, j->r.id, sizeof wish.id);
    j->pool->texts.coming++;
    store_find_job(j->pool->store, &wish, &j->texts.reading, texts_came, j);
}

enum texts job_want_texts(struct job *j)
{
    if (j->texts.workflow != NULL) {
        return TEXTS_HERE;
    }
    if (j->batch != NULL) {
        make_of_batch(j);
        job_count_texts(j);
        return TEXTS_HERE;
    }
    if (j->texts.are_lost) {
        j->texts.are_lost = false; /* the next one asks again */
        return TEXTS_LOST;
    }
    if (j->texts.reading.find == NULL) {
        read_texts(j);
    }
    return TEXTS_COMING;
}

/*
 * Changes to backends and the queue while the daemon runs. Each is durable before it is answered,
 * survives a restart and overrides the configuration.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/log.h"
#include "comfypool/comfy/backend.h"
#include "comfypool/pool/backends.h"
#include "comfypool/store/settings.h"

#include "backends.h"
#include "changes.h"
#include "dispatch.h"
#include "eligible.h"
#include "knowledge.h"
#include "state.h"
#include "trust.h"
#include "unlisted.h"

/* A name is a backend's own, or its URL. */
enum { NAME_MOST = 100 };

/* ---- what was said of it --------------------------------------------------------------------- */

static struct backend *find(struct pool *p, const char *name, struct refusal *ret)
{
    struct backend *b = map_get(&p->backends_by_name, str_of(name));
    if (b == NULL || b->terms.removing) {
        (void)refusal_set(ret, ERR_BACKEND_NOT_FOUND);
        return NULL;
    }
    return b;
}

static struct backend *find_to_change(struct pool *p, const char *name, struct refusal *ret)
{
    struct backend *b = find(p, name, ret);
    return b != NULL && change_is_storable(p, ret) ? b : NULL;
}

/* Returns the backend's row of overrides, made if there is none. */
static struct backend_record *own_of(struct backend *b)
{
    if (b->terms.overrides.name == NULL) {
        b->terms.overrides =
            (struct backend_record){.name = mem_strdup(b->name), .weight = -1, .max_in_flight = -1};
    }
    return &b->terms.overrides;
}

static void take_change(struct backend_record *own, struct backend_change *take)
{
    own->weight = take->weight >= 0 ? take->weight : own->weight;
    own->max_in_flight = take->max_in_flight >= 0 ? take->max_in_flight : own->max_in_flight;
    if (take->labels != NULL) {
        free(own->labels);
        own->labels = take->labels;
        take->labels = NULL;
    }
}

static void apply_and_store(struct backend *b, pool_done_fn done, void *ctx)
{
    struct pool *p = b->pool;
    backend_apply_own(b);
    backend_settle(b);
    store_put_backend(p->store, &b->terms.overrides, change_stored, change_new(p, "", done, ctx));
}

bool pool_change_backend(struct pool *p, const char *name, struct backend_change *take,
                         pool_done_fn done, void *ctx, struct refusal *ret)
{
    struct backend *b = find_to_change(p, name, ret);
    if (b != NULL) {
        take_change(own_of(b), take);
        trust_forget_refusals(b);
        apply_and_store(b, done, ctx);
    }
    return b != NULL;
}

bool pool_steer_backend(struct pool *p, const char *name, enum backend_wish wish, pool_done_fn done,
                        void *ctx, struct refusal *ret)
{
    static const enum backend_admin admins[] = {[BACKEND_RESUME] = ADMIN_NONE,
                                                [BACKEND_DRAIN] = ADMIN_DRAINED,
                                                [BACKEND_QUARANTINE] = ADMIN_QUARANTINED};
    struct backend *b = find_to_change(p, name, ret);
    if (b == NULL) {
        return false;
    }
    own_of(b)->admin = admins[wish];
    if (wish == BACKEND_RESUME) { /* an operator has looked at it */
        trust_forget_refusals(b);
        if (b->trust.quarantine != QUARANTINE_HELD) {
            backend_lift_quarantine(b, true);
        }
    }
    apply_and_store(b, done, ctx);
    return true;
}

bool pool_refresh_backend(struct pool *p, const char *name, struct refusal *ret)
{
    struct backend *b = find(p, name, ret);
    if (b != NULL) {
        breaker_forget_refusals(&p->breaker, b->id); /* it may have got what it lacked */
        knowledge_changed(p);
        knowledge_read(b);
        backend_settle(b);
    }
    return b != NULL;
}

/* ---- more and fewer of them ------------------------------------------------------------------ */

/* Sets the change's name to "host:port" if none was given. */
static void name_change(struct backend_change *c)
{
    AUTO_BUF struct buf url;
    AUTO_BUF struct buf name;
    buf_init(&url, 65536);
    buf_init(&name, NAME_MOST);
    if (c->name == NULL) {
        comfy_url_clean(c->url, &url, &name);
        c->name = buf_take(&name);
    }
}

/* Handles POST for a name that exists: if that backend is being removed, takes the removal back. */
static bool add_again(struct backend *b, struct backend_change *take, pool_done_fn done, void *ctx,
                      struct refusal *ret)
{
    if (!b->terms.removing || !backend_has_url(b, take->url)) {
        return refusal_point(
            ret, ERR_BACKEND_EXISTS,
            b->terms.removing
                ? "one of this name, with another URL, goes when its prompts have ended"
                : "PATCH /backends/<name> changes it; DELETE removes it",
            "/name");
    }
    deadline_clear(&b->pool->deadlines, &b->terms.reap);
    b->terms.removing = false;
    own_of(b)->removed = false;
    take_change(&b->terms.overrides, take);
    apply_and_store(b, done, ctx);
    return true;
}

/* Finds a backend by URL, compared as --check-config does; NULL: none. */
static const struct backend *find_server(const struct pool *p, const char *url)
{
    AUTO_BUF struct buf clean;
    AUTO_BUF struct buf name;
    buf_init(&clean, BUF_NO_LIMIT);
    buf_init(&name, BUF_NO_LIMIT);
    comfy_url_clean(url, &clean, &name);
    for (size_t i = 0; i < p->backends_len; i++) {
        if (strcmp(p->backends[i]->url, buf_text(&clean)) == 0) {
            return p->backends[i];
        }
    }
    return NULL;
}

/* Refuses a second name for a server: it would get twice the prompts that it takes. */
static bool refuse_twin(const struct backend *b, struct refusal *ret)
{
    char why[NAME_MOST + 160];
    (void)snprintf(why, sizeof why, "this is the server of the backend \"%s\"%s", b->name,
                   b->terms.removing ? ", which goes when its prompts have ended"
                                     : "; PATCH /backends/<name> changes it; DELETE removes it");
    return refusal_point(ret, ERR_BACKEND_EXISTS, why, "/url");
}

static void add(struct pool *p, struct backend_change *take, pool_done_fn done, void *ctx)
{
    struct backend_record own = {
        .name = take->name, .url = take->url, .weight = -1, .max_in_flight = -1};
    take->name = take->url = NULL;
    take_change(&own, take);
    struct backend *b = backend_new(p, NULL, &own);
    LOG(LOG_INFO, "backend added", LOG_S("backend", b->name), LOG_S("url", b->url));
    apply_and_store(b, done, ctx);
}

bool pool_url_check(const char *url, char *why, size_t why_size)
{
    return comfy_url_check(url, why, why_size);
}

bool pool_add_backend(struct pool *p, struct backend_change *take, pool_done_fn done, void *ctx,
                      char **ret_name, struct refusal *ret)
{
    char why[160];
    if (!pool_url_check(take->url, why, sizeof why)) {
        return refusal_point(ret, ERR_MEMBER_INVALID, why, "/url");
    }
    name_change(take);
    if (!change_is_storable(p, ret)) {
        return false;
    }
    struct backend *there = map_get(&p->backends_by_name, str_of(take->name));
    const struct backend *twin = there == NULL ? find_server(p, take->url) : NULL;
    if (twin != NULL) {
        return refuse_twin(twin, ret);
    }
    *ret_name = mem_strdup(take->name);
    if (there == NULL) {
        add(p, take, done, ctx);
        return true;
    }
    const bool good = add_again(there, take, done, ctx, ret);
    if (!good) {
        free(*ret_name);
        *ret_name = NULL;
    }
    return good;
}

bool pool_remove_backend(struct pool *p, const char *name, pool_done_fn done, void *ctx,
                         struct refusal *ret)
{
    struct backend *b = find_to_change(p, name, ret);
    if (b == NULL) {
        return false;
    }
    b->terms.removing = true;
    unlisted_forget(b);
    backend_settle(b);
    own_of(b)->removed = true; /* the row of an added backend is deleted with it */
    store_put_backend(p->store, &b->terms.overrides, change_stored, change_new(p, "", done, ctx));
    backend_maybe_reap(b);
    return true;
}

/* ---- the queue ------------------------------------------------------------------------------- */

bool pool_pause(struct pool *p, bool paused, pool_done_fn done, void *ctx, struct refusal *ret)
{
    if (!change_is_storable(p, ret)) {
        return false;
    }
    p->paused = paused;
    LOG_PLAIN(LOG_INFO, paused ? "the queue is paused" : "the queue goes on");
    store_put_setting(p->store, "queue.paused", paused ? "true" : "false", change_stored,
                      change_new(p, "", done, ctx));
    pool_dispatch(p);
    return true;
}

bool pool_is_paused(const struct pool *p)
{
    return p->paused;
}

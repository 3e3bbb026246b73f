/* Views of active jobs for other rooms; see the header. */
#include "comfypool/pool/jobs.h"

#include <stdlib.h>
#include <string.h>

#include "comfypool/pool/walls.h"

#include "attempt.h"
#include "backends.h"
#include "clients.h"
#include "clock.h"
#include "dispatch.h"
#include "eta.h"
#include "jobs.h"
#include "position.h"
#include "state.h"

static struct job *find(struct pool *p, const char *id)
{
    return job_find(p, (struct str){id, UUID_TEXT});
}

bool pool_has_job(struct pool *p, const char *id)
{
    return find(p, id) != NULL;
}

static void view_attempt(const struct attempt *a, struct job_view *ret)
{
    struct render_job_more *more = &ret->more;
    more->has_progress = true;
    more->nodes_done = a->progress.nodes_done;
    more->node_id = a->progress.node_id;
    more->has_value = a->progress.has_value;
    more->value = a->progress.value;
    more->max = a->progress.max;
    if (a->timeline.started.set) {
        const struct timeline t = clock_timeline(a);
        ret->record.started_at = anchor_wall(&t.anchor, timeline_point(&t, &t.started));
    }
}

bool pool_view_job(struct pool *p, const char *id, struct job_view *ret)
{
    struct job *j = find(p, id);
    if (j == NULL) {
        return false;
    }
    *ret = (struct job_view){
        .record = j->r,
        .more = {.waiting_reason = dispatch_waiting_reason(j)},
        .changed_at = j->times.changed_at,
        .is_ending = j->end.ending && j->attempt == NULL,
        .has_open_attempt = j->attempt != NULL || j->end.ending,
    };
    if (j->attempt != NULL) {
        view_attempt(j->attempt, ret);
    }
    return true;
}

void pool_forecast_job(struct pool *p, const char *id, struct job_forecast *ret)
{
    struct job *j = find(p, id);
    *ret = (struct job_forecast){.position = -1};
    if (j != NULL) {
        ret->position = j->r.state == JOB_QUEUED ? position_of(j) : -1;
        ret->is_known = eta_of(j, &ret->starts_at, &ret->completes_at);
    }
}

enum live_profile pool_live_profile(struct pool *p, const char *id, uint64_t ticket,
                                    struct buf *out)
{
    struct job *j = find(p, id);
    bool is_lost = false;
    if (j == NULL) {
        return LIVE_PROFILE_NONE;
    }
    if (job_must_wait_for_texts(j, ticket, &is_lost)) {
        return LIVE_PROFILE_LATER;
    }
    if (!is_lost) {
        job_live_profile(j, out);
    }
    return is_lost ? LIVE_PROFILE_NONE : LIVE_PROFILE_HERE;
}

bool pool_workflow_of(struct pool *p, const char *id, struct buf *out)
{
    const struct job *j = find(p, id);
    if (j == NULL || j->texts.workflow == NULL) {
        return false;
    }
    buf_add(out, j->texts.workflow, j->texts.workflow_len);
    return true;
}

/* Updates the list by the open attempt: memory is newer than its row. */
void pool_refresh_attempts(struct pool *p, const char *id, struct attempt_record *list, size_t len)
{
    const struct job *j = find(p, id);
    const struct attempt *a = j == NULL ? NULL : j->attempt;
    if (a == NULL || len == 0 || list[len - 1].number != a->r.number) {
        return;
    }
    struct timeline t = clock_timeline(a);
    timeline_end(&t, time_mono(), 0);
    if (t.accepted.set) {
        list[len - 1].submitted_at = anchor_wall(&t.anchor, timeline_points(&t).accepted);
    }
    if (t.started.set) {
        list[len - 1].started_at = anchor_wall(&t.anchor, timeline_point(&t, &t.started));
    }
}

/* ---- previews -------------------------------------------------------------------------------- */

static void view_preview(const struct attempt *a, struct preview_view *ret)
{
    const struct preview *v = &a->preview;
    *ret = (struct preview_view){
        .n = v->n,
        .job_id = a->job->r.id,
        .attempt = a->r.number,
        .node_id = v->node_id,
        .media_type = v->media_type,
        .image = buf_str(&v->image),
    };
}

bool pool_preview_of(struct pool *p, const char *id, struct preview_view *ret)
{
    const struct job *j = find(p, id);
    const struct attempt *a = j == NULL ? NULL : j->attempt;
    if (a == NULL || a->preview.image.len == 0) {
        return false;
    }
    view_preview(a, ret);
    return true;
}

bool pool_next_preview(struct pool *p, const char *wall, const char *id, uint64_t seen,
                       struct preview_view *ret)
{
    const struct attempt *best = NULL;
    for (size_t i = 0; i < p->backends_len; i++) {
        for (const struct attempt *a = p->backends[i]->load.attempts; a != NULL;
             a = a->backend_next) {
            if (a->preview.n > seen && wall_lets(wall, a->job->r.client) &&
                (best == NULL || a->preview.n < best->preview.n) &&
                (id[0] == '\0' || strcmp(id, a->job->r.id) == 0)) {
                best = a;
            }
        }
    }
    if (best != NULL) {
        view_preview(best, ret);
    }
    return best != NULL;
}

/* ---- lists ----------------------------------------------------------------------------------- */

static int by_seq(const void *x, const void *y)
{
    const struct job *a = *(const struct job *const *)x;
    const struct job *b = *(const struct job *const *)y;
    return (a->r.seq > b->r.seq) - (a->r.seq < b->r.seq);
}

/* Lists the active jobs of a client, or of all (NULL). */
static size_t list_active(struct pool *p, const struct client *c, struct job **list)
{
    size_t n = 0;
    size_t at = 0;
    struct job *j = c != NULL ? c->jobs : map_next(&p->jobs, &at);
    while (j != NULL) {
        if (j->insert.stored) {
            list[n++] = j;
        }
        j = c != NULL ? j->of_client.next : map_next(&p->jobs, &at);
    }
    return n;
}

size_t pool_list_active(struct pool *p, const char *wall, char (**ret)[UUID_SIZE])
{
    const struct client *c = wall == NULL ? NULL : map_get(&p->clients, str_of(wall));
    const size_t most = wall == NULL ? p->jobs.len : c == NULL ? 0 : c->active;
    struct job **list = mem_alloc((most + 1) * sizeof(struct job *));
    const size_t n = most == 0 ? 0 : list_active(p, c, list);
    qsort(list, n, sizeof(struct job *), by_seq);
    *ret = mem_alloc((n + 1) * sizeof **ret);
    for (size_t i = 0; i < n; i++) {
        memcpy((*ret)[i], list[i]->r.id, UUID_SIZE);
    }
    free(list);
    return n;
}

/* ---- waiting --------------------------------------------------------------------------------- */

void pool_wait_for_end(struct pool *p, const char *id, uint64_t ticket)
{
    job_add_waiter(find(p, id), ticket);
}

void pool_wait_for_change(struct pool *p, const char *id, uint64_t ticket)
{
    job_add_watcher(find(p, id), ticket);
}

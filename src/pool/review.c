/*
 * Judges all waiting jobs again after a change in where they may run: a backend's labels or
 * catalog, a backend that left, a job that no backend could run. Each job fails if no backend can
 * run it any more; else it moves to its current lane. That is too much for one turn of the loop, so
 * each turn takes some jobs. Meanwhile a job may stand in an outdated lane; routing checks the
 * first ones.
 */
#include "review.h"

#include <stdlib.h>

#include "dispatch.h"
#include "jobs.h"
#include "state.h"

/* Time of a turn; the clock is read once every JOBS_A_READING jobs, which may be slow to judge. */
enum { TURN_US = 5000, JOBS_A_READING = 4 };

static void list_jobs(struct pool *p)
{
    struct review *r = &p->review;
    r->list = mem_alloc((p->jobs.len + 1) * sizeof(struct job *));
    size_t at = 0;
    for (struct job *j = map_next(&p->jobs, &at); j != NULL; j = map_next(&p->jobs, &at)) {
        if (job_waits(j)) {
            r->list[r->len++] = j;
            j->reviewed_as = r->len;
        }
    }
}

static void look_at(struct job *j)
{
    if (!job_waits(j)) {
        return; /* dispatched meanwhile */
    }
    if (dispatch_is_known(j) && !j->pool->ops->may_wait(j)) {
        return;
    }
    if (j->entry.flow != NULL) {
        (void)dispatch_change_lane(j);
    }
}

static void turn(void *ctx)
{
    struct pool *p = ctx;
    struct review *r = &p->review;
    if (r->list == NULL) {
        r->wanted = false;
        list_jobs(p);
    }
    const struct mono_us end = mono_add(time_mono(), (struct dur_us){TURN_US});
    for (size_t n = 1; r->at < r->len; n++) {
        struct job *j = r->list[r->at++];
        if (j != NULL) {
            j->reviewed_as = 0;
            look_at(j);
        }
        if (n % JOBS_A_READING == 0 && mono_before(end, time_mono())) {
            break;
        }
    }
    if (r->at == r->len) {
        free(r->list);
        r->list = NULL;
        r->len = r->at = 0;
    }
    if (r->list != NULL || r->wanted) {
        deadline_set(&p->deadlines, &r->turn, time_mono(), turn, p);
    }
    p->ops->give_jobs(p);
}

void review_begin(struct pool *p)
{
    p->review.wanted = true;
    if (!p->stopping) {
        deadline_set(&p->deadlines, &p->review.turn, time_mono(), turn, p);
    }
}

void review_leave(struct job *j)
{
    if (j->reviewed_as != 0) {
        j->pool->review.list[j->reviewed_as - 1] = NULL;
    }
}

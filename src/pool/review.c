/*
 * All jobs that wait are looked at anew after something changed that decides where they may run: a
 * backend's labels or what it knows, a backend that went, a job that nobody could run. Each fails
 * when no backend can run it any more, else it goes to the lane that is right now. So many jobs of
 * so many backends are too much for one turn of the loop: each turn takes some of them. Until its
 * turn comes a job may stand in a lane that was right before; routing looks at those that are
 * first.
 */
#include "review.h"

#include <stdlib.h>

#include "dispatch.h"
#include "jobs.h"
#include "state.h"

/* A turn ends after so long; the clock is read once in so many jobs, which may be slow to judge. */
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
        return; /* meanwhile somebody has it */
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

/*
 * Counts the jobs before a waiting one: in queue order (priority, turns of clients, age), as if
 * every job could run anywhere and nothing else came; then those that wait for a time, by that
 * time. Counted on demand; if that takes long, seldom enough to cost the loop little: a job that
 * came since the last count then has no position.
 */
#include "position.h"

#include <stdlib.h>

#include "jobs.h"
#include "state.h"

enum {
    POSITION_MOST = 20000, /* waiting jobs; with more there are no positions */
    CHEAP_US = 1000,       /* a count this cheap is made on every request */
    PAUSE_TIMES = 20,      /* pause after a count, in multiples of its time */
};

struct place {
    struct job *job;
    const void *turn; /* identifies client and priority */
    struct queue_rank rank;
};

/* Orders jobs by client and priority, then by age. */
static int by_turn(const void *x, const void *y)
{
    const struct place *a = x;
    const struct place *b = y;
    if (a->turn != b->turn) {
        return (uintptr_t)a->turn < (uintptr_t)b->turn ? -1 : 1;
    }
    return a->rank.seq < b->rank.seq ? -1 : 1;
}

static int by_rank(const void *x, const void *y)
{
    const struct place *a = x;
    const struct place *b = y;
    return queue_rank_before(&a->rank, &b->rank) ? -1 : 1;
}

static int by_delay(const void *x, const void *y)
{
    const struct job *a = *(struct job *const *)x;
    const struct job *b = *(struct job *const *)y;
    if (a->timers.delay.at.us != b->timers.delay.at.us) {
        return a->timers.delay.at.us < b->timers.delay.at.us ? -1 : 1;
    }
    return a->r.seq < b->r.seq ? -1 : 1;
}

/* Deals turns: one job per client and priority each. */
static void give_turns(struct place *list, size_t len)
{
    qsort(list, len, sizeof *list, by_turn);
    for (size_t i = 1; i < len; i++) {
        if (list[i].turn == list[i - 1].turn) {
            list[i].rank.turn = list[i - 1].rank.turn + 1;
        }
    }
}

static void count(struct pool *p)
{
    struct place *queued = mem_alloc((p->jobs.len + 1) * sizeof *queued);
    struct job **delayed = mem_alloc((p->jobs.len + 1) * sizeof(struct job *));
    size_t queued_len = 0;
    size_t delayed_len = 0;
    size_t at = 0;
    for (struct job *j = map_next(&p->jobs, &at); j != NULL; j = map_next(&p->jobs, &at)) {
        j->counted_place = 0;
        if (j->entry.flow != NULL) {
            struct place *to = &queued[queued_len++];
            to->job = j;
            to->turn = queue_turn_of(&j->entry, &to->rank);
        } else if (heap_holds(&j->timers.delay.node)) {
            delayed[delayed_len++] = j;
        }
    }
    if (queued_len + delayed_len <= POSITION_MOST) {
        give_turns(queued, queued_len);
        qsort(queued, queued_len, sizeof *queued, by_rank);
        qsort(delayed, delayed_len, sizeof(struct job *), by_delay);
        for (size_t i = 0; i < queued_len; i++) {
            queued[i].job->counted_place = i + 1;
        }
        for (size_t i = 0; i < delayed_len; i++) {
            delayed[i]->counted_place = queued_len + i + 1;
        }
    }
    free(queued);
    free(delayed);
}

static void refresh(struct pool *p)
{
    struct positions *s = &p->positions;
    const struct mono_us now = time_mono();
    if (s->took_us > CHEAP_US && mono_diff(now, s->counted).us < s->took_us * PAUSE_TIMES) {
        return;
    }
    count(p);
    s->counted = now;
    s->took_us = mono_diff(time_mono(), now).us;
}

int64_t position_of(struct job *j)
{
    if (j->entry.flow == NULL && !heap_holds(&j->timers.delay.node)) {
        return -1;
    }
    refresh(j->pool);
    return (int64_t)j->counted_place - 1;
}

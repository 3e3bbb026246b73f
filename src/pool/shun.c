/*
 * A job that found a backend sick or refusing leaves the next try there to other jobs: one job must
 * not take every try, and a job that causes the fault itself must not keep healthy jobs away. If no
 * other job can go there, the one that tried it longest ago does, unless another backend is able
 * and merely busy. Shunning ends when something completes or is accepted there, or an operator
 * intervenes.
 */
#include "shun.h"

#include "backends.h"
#include "clients.h"
#include "dispatch.h"
#include "jobs.h"
#include "state.h"
#include "strays.h"

void shun_begin(struct job *j, const struct backend *b)
{
    struct pool *p = j->pool;
    shun_leave(j);
    j->shun.backend = b->id;
    j->shun.epoch = b->trust.epoch;
    j->shun.link = p->shunning.end;
    *p->shunning.end = j;
    p->shunning.end = &j->shun.next;
}

void shun_leave(struct job *j)
{
    if (j->shun.backend == 0) {
        return;
    }
    *j->shun.link = j->shun.next;
    if (j->shun.next != NULL) {
        j->shun.next->shun.link = j->shun.link;
    } else {
        j->pool->shunning.end = j->shun.link;
    }
    j->shun.next = NULL;
    j->shun.backend = 0;
}

bool shun_bars(const struct job *j, const struct backend *b)
{
    return j->shun.backend == b->id && j->shun.epoch == b->trust.epoch;
}

static bool may_go(struct job *j, const struct backend *b)
{
    return shun_bars(j, b) && j->entry.flow != NULL && !j->of_client.client->held &&
           !strays_doubt(j) && dispatch_allows_reluctant(j, b) && !dispatch_is_able(j, b);
}

struct job *shun_first(const struct backend *b)
{
    struct job *j = b->pool->shunning.first;
    while (j != NULL && !may_go(j, b)) {
        j = j->shun.next;
    }
    return j;
}

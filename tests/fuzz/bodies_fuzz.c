/*
 * A client's body: the first byte says for which route. What is refused has a problem with a text;
 * what is taken keeps its bounds.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "../../src/http/internal.h"

static void hold(bool good)
{
    if (!good) {
        abort();
    }
}

static void check_policy(const struct job_policy *p)
{
#define X(symbol, name, member, least, most, value)                                                \
    hold(p->member == POLICY_UNSET || (p->member >= (least) && p->member <= (most)));
    JOB_POLICY_TABLE(X)
#undef X
    hold(p->retry_on == RETRY_ON_UNSET || p->retry_on < 1u << RETRY_CLASS_COUNT);
}

static void check_backend(const struct backend_change *c, enum http_route route)
{
    hold(c->weight >= -1 && c->weight <= 1000 && c->weight != 0);
    hold(c->max_in_flight >= -1 && c->max_in_flight <= 100 && c->max_in_flight != 0);
    hold(c->name == NULL || text_is_name(str_of(c->name)));
    hold((c->url != NULL) == (route == ROUTE_BACKEND_ADD));
}

static void check(const struct http_request *rq)
{
    if (rq->route == ROUTE_SUBMIT) {
        hold(rq->submission.workflow_len == strlen(rq->submission.workflow));
        hold(rq->submission.nodes_total > 0);
        check_policy(&rq->submission.policy);
    } else if (rq->route == ROUTE_BACKEND_ADD || rq->route == ROUTE_BACKEND_CHANGE) {
        check_backend(&rq->backend_change, rq->route);
    }
    hold(rq->priority >= -1000 && rq->priority <= 1000);
}

int fuzz_bodies(const uint8_t *data, size_t size)
{
    const struct http_options o = {.max_body_bytes = size};
    if (size == 0) {
        return 0;
    }
    struct http_request rq = {.route = (enum http_route)(data[0] % HTTP_ROUTE_COUNT)};
    struct problem p;
    problem_init(&p);
    if (body_read((struct str){(const char *)data + 1, size - 1}, &o, &rq, &p)) {
        hold(p.code == ERR_NONE);
        check(&rq);
    } else {
        hold(p.code != ERR_NONE && p.detail.len > 0 && err_http_status(p.code) < 500);
    }
    submission_done(&rq.submission);
    backend_change_done(&rq.backend_change);
    problem_done(&p);
    return 0;
}

/*
 * A client's body: the first byte says for which route. What is refused has a problem with a text;
 * what is taken keeps its bounds.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "../../src/http/body.h"
#include "../unit/routes.h"

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

static void check_backend(const struct backend_change *c, enum route_name route)
{
    hold(c->weight >= -1 && c->weight <= 1000 && c->weight != 0);
    hold(c->max_in_flight >= -1 && c->max_in_flight <= 100 && c->max_in_flight != 0);
    hold(c->name == NULL || text_is_name(str_of(c->name)));
    hold((c->url != NULL) == (route == ROUTE_BACKEND_ADD));
}

static void check(const struct http_request *rq, enum route_name route)
{
    const struct api_args *g = args_of(rq);
    if (route == ROUTE_SUBMIT) {
        hold(g->submission.workflow_len == strlen(g->submission.workflow));
        hold(g->submission.nodes_total > 0);
        check_policy(&g->submission.policy);
    } else if (route == ROUTE_BACKEND_ADD || route == ROUTE_BACKEND_CHANGE) {
        check_backend(&g->backend_change, route);
    }
    hold(g->priority >= -1000 && g->priority <= 1000);
}

int fuzz_bodies(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const enum route_name route = (enum route_name)(1 + data[0] % (ROUTE_NAME_COUNT - 1));
    struct http_request rq = request_of(route);
    struct problem p;
    problem_init(&p);
    if (body_read((struct str){(const char *)data + 1, size - 1}, &rq, &p)) {
        hold(p.code == ERR_NONE);
        check(&rq, route);
    } else {
        hold(p.code != ERR_NONE && p.detail.len > 0 && err_http_status(p.code) < 500);
    }
    request_done(&rq);
    problem_done(&p);
    return 0;
}

/* Lookup of ended jobs for requests; see the header. */
#include "found.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/http/answer.h"
#include "comfypool/pool/jobs.h"

#include "inner.h"

struct finding {
    struct api *api;
    struct http_request *rq; /* while x is open */
    struct http_ref request;
    struct store_wish wish;
    bool active_too;
    api_found_fn found;
};

static void came(void *ctx, const struct store_found *f)
{
    struct finding *q = ctx;
    struct api *a = q->api;
    if (a->http != NULL && http_is_open(a->http, q->request)) {
        if (!q->active_too && pool_has_job(a->pool, q->wish.id)) {
            q->rq->route->serve(a, q->rq, q->request); /* the job was queued again meanwhile */
        } else {
            q->found(a, q->rq, q->request, f);
        }
    }
    free(q);
}

void api_find_job(struct api *a, struct http_request *rq, struct http_ref x, const char *id,
                  const struct api_find *find)
{
    struct finding *q = mem_alloc(sizeof *q);
    *q = (struct finding){
        a, rq, x, {.wants = find->wants, .attempt = find->attempt}, find->active_too, find->found};
    (void)snprintf(q->wish.id, sizeof q->wish.id, "%.36s", id);
    store_find_job(a->store, &q->wish, NULL, came, q);
}

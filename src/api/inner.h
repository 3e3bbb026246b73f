/* What the resources of the API share. */
#ifndef COMFYPOOL_SRC_API_INNER_H
#define COMFYPOOL_SRC_API_INNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "comfypool/api/api.h"
#include "comfypool/base/refusal.h"
#include "comfypool/base/uuid.h"
#include "comfypool/http/answer.h"
#include "comfypool/http/http.h"
#include "comfypool/loop/deadlines.h"
#include "comfypool/notify/events.h"
#include "comfypool/pool/pool.h"

struct aparts;
struct backend_view;
struct js_out;
struct listener;
struct roster;
struct telling;

struct api {
    uv_loop_t *loop;
    struct pool *pool;
    struct store *store;
    struct http_server *http; /* NULL: nobody is answered any more */
    struct api_options options;
    struct http_family family;
    struct deadlines deadlines;
    struct aparts *aparts; /* large profiles that are rendered */
    struct event_streams { /* of events.c */
        struct events *events;
        struct listener *first;
        size_t len;
        size_t with_previews;
        struct roster *roster; /* of the last snapshot of all jobs; may be NULL */
        struct telling *tellings;
    } streams;
};

/* What the path of a route names: it is looked for behind the caller's wall before the handler is
   called. */
enum api_door { DOOR_OPEN, DOOR_JOB, DOOR_BATCH, DOOR_UPLOAD, DOOR_DELIVERY };

/* The routes of one resource; each table stands in the file of its name. */
#define API_TABLE(list)                                                                            \
    {                                                                                              \
        list, sizeof(list) / sizeof *(list)                                                        \
    }
extern const struct http_table api_jobs, api_submissions, api_batches, api_profiles,
    api_comparisons, api_summaries, api_exports, api_outputs, api_uploads, api_events,
    api_deliveries, api_backends, api_health;

/* The family of an API; ctx NULL: for tests that serve nothing. */
void api_make_family(void *ctx, struct http_family *ret);
/* Files of bodies, see uploads.c. */
extern const struct http_file_ops api_file_ops;

/* ---- api.c: who asks, and refusals ----------------------------------------------------------- */

/* The wall of the caller (pool/walls.h). It lives as long as the request. */
const char *api_wall(const struct api *a, const struct http_request *rq);
/* An exchange as whoever waits for the pool. */
uint64_t api_ticket(struct http_ref x);
/* Answers with a problem of this code, in words of its own where it has some. */
void api_refuse(struct api *a, struct http_ref x, enum err e);
/* Answers with a refusal, and frees it. */
void api_refuse_as(struct api *a, struct http_ref x, struct refusal *take);

/* A request whose answer comes when the pool calls back. */
struct api_asking {
    struct api *api;
    struct http_ref request;
    unsigned status; /* of its answer */
    char *name;      /* of what it is about, or NULL */
};
struct api_asking *api_asking_new(struct api *a, struct http_ref x, unsigned status,
                                  const char *name);
void api_asking_free(struct api_asking *q);
/* True when it may be answered; else it was refused, or nobody is there any more. */
bool api_asking_goes_on(const struct api_asking *q, struct refusal *why);
/* pool_done_fn: answers 204. ctx: an api_asking, which it frees. */
void api_answer_no_content(void *asking, struct refusal *why);

/* ---- jobs.c ---------------------------------------------------------------------------------- */

/* What an answer with a Job says beside it. */
struct job_answer {
    unsigned active_status; /* of one that goes on; 200, or 202 after a submission */
    bool traceback;
    bool waited;   /* Prefer: wait was asked for */
    bool has_etag; /* and a forecast, which is no part of it */
    bool has_location;
    unsigned replayed; /* the status of the first answer to its Idempotency-Key; 0: none */
};
void api_answer_job(struct api *a, struct http_ref x, const char *id, const struct job_answer *how);
/* Appends the JSON of an active job, without its profile; false: it is none. */
bool api_render_active(struct api *a, const char *id, bool traceback, struct buf *out);

/* ---- backends.c, file_answer.c, profiles.c --------------------------------------------------- */

/* Answers with a file of ours (its descriptor is taken), or the part that is asked for; status,
   ETag and ranges of `answer` are set here. */
void api_answer_file(struct api *a, const struct http_request *rq, struct http_ref x, int fd,
                     uint64_t size, const char *sha256, struct http_answer *answer);

#endif

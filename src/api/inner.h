/* Shared by the resources of the API. */
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
    struct http_server *http; /* NULL: requests are no longer answered */
    struct api_options options;
    struct http_family family;
    struct deadlines deadlines;
    struct aparts *aparts; /* large profiles being rendered */
    struct event_streams { /* state of events.c */
        struct events *events;
        struct listener *first;
        size_t len;
        size_t with_previews;
        struct roster *roster; /* jobs of the last snapshot of all jobs; may be NULL */
        struct telling *tellings;
    } streams;
};

/* The kind of object that a route's path names: it is looked up behind the caller's wall before the
   handler is called. */
enum api_door { DOOR_OPEN, DOOR_JOB, DOOR_BATCH, DOOR_UPLOAD, DOOR_DELIVERY };

/* The routes of one resource; each table is in the file of its resource. */
#define API_TABLE(list)                                                                            \
    {                                                                                              \
        list, sizeof(list) / sizeof *(list)                                                        \
    }
extern const struct http_table api_jobs, api_submissions, api_batches, api_profiles,
    api_comparisons, api_summaries, api_exports, api_outputs, api_uploads, api_events,
    api_deliveries, api_backends, api_health;

/* Sets *ret to the family of an API; ctx NULL: for tests that serve nothing. */
void api_make_family(void *ctx, struct http_family *ret);
/* Receivers of files in bodies, see uploads.c. */
extern const struct http_file_ops api_file_ops;

/* ---- api.c: callers and refusals ------------------------------------------------------------- */

/* Returns the caller's wall (pool/walls.h), which lives as long as the request. */
const char *api_wall(const struct api *a, const struct http_request *rq);
/* Returns the ticket by which the pool wakes an exchange (pool/pool.h). */
uint64_t api_ticket(struct http_ref x);
/* Answers with a problem of this code, with a detail of its own if it has one. */
void api_refuse(struct api *a, struct http_ref x, enum err e);
/* Answers with a refusal, and frees it. */
void api_refuse_as(struct api *a, struct http_ref x, struct refusal *take);

/* A request that is answered when the pool calls back. */
struct api_asking {
    struct api *api;
    struct http_ref request;
    unsigned status; /* HTTP status of its answer */
    char *name;      /* the job's id or the backend's name; or NULL */
};
struct api_asking *api_asking_new(struct api *a, struct http_ref x, unsigned status,
                                  const char *name);
void api_asking_free(struct api_asking *q);
/* True if an answer may be sent; else the request was refused with why, or requests are no longer
   answered. */
bool api_asking_goes_on(const struct api_asking *q, struct refusal *why);
/* Answers 204, as a pool_done_fn. asking: an api_asking, which it frees. */
void api_answer_no_content(void *asking, struct refusal *why);

/* ---- jobs.c ---------------------------------------------------------------------------------- */

/* Parameters of an answer with a Job. */
struct job_answer {
    unsigned active_status; /* for an active job: 200, or 202 after a submission */
    bool traceback;
    bool waited;   /* a wait was requested */
    bool has_etag; /* with a forecast, which is left out of the ETag */
    bool has_location;
    unsigned replayed; /* status of the first answer to its Idempotency-Key; 0: none */
};
void api_answer_job(struct api *a, struct http_ref x, const char *id, const struct job_answer *how);
/* Appends the JSON of an active job, without its profile; false: not active. */
bool api_render_active(struct api *a, const char *id, bool traceback, struct buf *out);

/* ---- file_answer.c --------------------------------------------------------------------------- */

/* Answers with a file of ours, or the requested part of it; takes fd, and sets status, ETag and
   ranges of `answer`. */
void api_answer_file(struct api *a, const struct http_request *rq, struct http_ref x, int fd,
                     uint64_t size, const char *sha256, struct http_answer *answer);

#endif

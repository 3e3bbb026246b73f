/* The routes of our API for tests that name them, and requests of one without a server. */
#ifndef COMFYPOOL_TESTS_UNIT_ROUTES_H
#define COMFYPOOL_TESTS_UNIT_ROUTES_H

#include "../../src/api/args.h"
#include "comfypool/http/http.h"
#include "comfypool/http/routes.h"

/* "METHOD PATH"; their order is that of the first byte of the corpus of the fuzz target bodies. */
#define ROUTE_NAMES(X)                                                                             \
    X(ROUTE_SUBMIT, "POST /jobs")                                                                  \
    X(ROUTE_LIST, "GET /jobs")                                                                     \
    X(ROUTE_JOB, "GET /jobs/{id}")                                                                 \
    X(ROUTE_CHANGE, "PATCH /jobs/{id}")                                                            \
    X(ROUTE_DELETE, "DELETE /jobs/{id}")                                                           \
    X(ROUTE_PROFILE, "GET /jobs/{id}/profile")                                                     \
    X(ROUTE_ATTEMPTS, "GET /jobs/{id}/attempts")                                                   \
    X(ROUTE_ATTEMPT_PROFILE, "GET /jobs/{id}/attempts/{n}/profile")                                \
    X(ROUTE_WORKFLOW, "GET /jobs/{id}/workflow")                                                   \
    X(ROUTE_CANCEL, "POST /jobs/{id}/cancel")                                                      \
    X(ROUTE_RETRY, "POST /jobs/{id}/retry")                                                        \
    X(ROUTE_BATCH_SUBMIT, "POST /batches")                                                         \
    X(ROUTE_BATCH, "GET /batches/{id}")                                                            \
    X(ROUTE_BATCH_CANCEL, "POST /batches/{id}/cancel")                                             \
    X(ROUTE_OUTPUTS, "GET /jobs/{id}/outputs")                                                     \
    X(ROUTE_OUTPUT, "GET /jobs/{id}/outputs/{n}")                                                  \
    X(ROUTE_PREVIEW, "GET /jobs/{id}/preview")                                                     \
    X(ROUTE_JOB_EVENTS, "GET /jobs/{id}/events")                                                   \
    X(ROUTE_EVENTS, "GET /events")                                                                 \
    X(ROUTE_EXPORT, "GET /profiles")                                                               \
    X(ROUTE_COMPARE, "GET /profiles/compare")                                                      \
    X(ROUTE_SUMMARY, "GET /profiles/summary")                                                      \
    X(ROUTE_DELIVERIES, "GET /webhooks/deliveries")                                                \
    X(ROUTE_REDELIVER, "POST /webhooks/deliveries/{delivery}/redeliver")                           \
    X(ROUTE_UPLOAD, "POST /uploads")                                                               \
    X(ROUTE_UPLOAD_PUT, "PUT /uploads/{sha256}")                                                   \
    X(ROUTE_UPLOAD_GET, "GET /uploads/{sha256}")                                                   \
    X(ROUTE_UPLOAD_DELETE, "DELETE /uploads/{sha256}")                                             \
    X(ROUTE_BACKENDS, "GET /backends")                                                             \
    X(ROUTE_BACKEND_ADD, "POST /backends")                                                         \
    X(ROUTE_BACKEND, "GET /backends/{name}")                                                       \
    X(ROUTE_BACKEND_CHANGE, "PATCH /backends/{name}")                                              \
    X(ROUTE_BACKEND_REMOVE, "DELETE /backends/{name}")                                             \
    X(ROUTE_BACKEND_DRAIN, "POST /backends/{name}/drain")                                          \
    X(ROUTE_BACKEND_RESUME, "POST /backends/{name}/resume")                                        \
    X(ROUTE_BACKEND_QUARANTINE, "POST /backends/{name}/quarantine")                                \
    X(ROUTE_BACKEND_REFRESH, "POST /backends/{name}/refresh")                                      \
    X(ROUTE_QUEUE_PAUSE, "POST /queue/pause")                                                      \
    X(ROUTE_QUEUE_RESUME, "POST /queue/resume")                                                    \
    X(ROUTE_STATS, "GET /stats")                                                                   \
    X(ROUTE_HEALTHZ, "GET /healthz")                                                               \
    X(ROUTE_READYZ, "GET /readyz")                                                                 \
    X(ROUTE_OPENAPI, "GET /openapi.yaml")

enum route_name {
    NO_ROUTE,
#define X(symbol, name) symbol,
    ROUTE_NAMES(X)
#undef X
        ROUTE_NAME_COUNT
};

/* Our API, which serves nothing here. */
const struct http_family *family_of_tests(void);
/* In http_options. */
const struct http_family *const *families_of_tests(void);
/* NO_ROUTE: NULL. */
const struct http_route *route_named(enum route_name name);
enum route_name name_of_route(const struct http_route *route);
/* A request of that route with its arguments; ended by request_done. */
struct http_request request_of(enum route_name name);
void request_done(struct http_request *rq);

#endif

/* The servers of the pool: a struct each, with its link and its state. */
#ifndef COMFYPOOL_SRC_POOL_BACKENDS_H
#define COMFYPOOL_SRC_POOL_BACKENDS_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/digest.h"
#include "comfypool/base/err.h"
#include "comfypool/base/heap.h"
#include "comfypool/base/time.h"
#include "comfypool/core/accepted.h"
#include "comfypool/core/label.h"
#include "comfypool/core/scheduler.h"
#include "comfypool/core/server_clock.h"
#include "comfypool/files/file_servers.h"
#include "comfypool/loop/deadlines.h"
#include "comfypool/sampling/sampler.h"
#include "comfypool/store/finds.h"
#include "comfypool/store/settings.h"

#include "eligible.h"
#include "knowledge.h"
#include "trust.h"

struct attempt;
struct comfy_backend;
struct pool;
struct pool_backend_options;
struct stray;

/* An operator's decision about a backend; stored as these numbers. */
enum backend_admin { ADMIN_NONE = 0, ADMIN_DRAINED = 1, ADMIN_QUARANTINED = 2 };

enum { BYSTANDERS = 16 };

/*
 * The parts of a backend. Each names the file that changes it; what several files change stands in
 * struct backend itself.
 */

/* backends.c: what the server says about itself. */
struct backend_said {
    bool no_creation; /* its /history has no create_time */
    char *version;    /* "" until known */
    char *devices;    /* JSON array */
    int64_t vram;     /* of all devices, in bytes; 0: unknown */
    int64_t queue;    /* from its last status; -1: unknown */
    char *last_error; /* or NULL */
};

/* backend_link.c: the link, and whether anything is there. */
struct backend_conn {
    bool up;                      /* the socket is open and not known to be deaf */
    struct mono_us up_since;      /* while up */
    struct mono_us down_since;    /* while not up */
    struct deadline gone;         /* down for so long that jobs no longer wait for it */
    struct mono_us refused_at;    /* when its port last refused a connection, so the earlier process
                                     was gone; 0: never */
    struct mono_us refuses_since; /* since when it has refused all connections; 0: not refusing */
    struct dur_us refused_lost;   /* refusing for this long means gone; 0: never */
    struct deadline refused_long;
    struct mono_us last_status;
    struct deadline deaf_check; /* deadline for the `status` that follows the answer to a POST */
    struct mono_us deaf_since;  /* when that POST was answered */
    uint64_t bystanders[BYSTANDERS]; /* hashes of the last message types that came while nothing
                                        ran: not signs of life */
    unsigned bystanders_len;
};

/* attempt.c: our prompts on it. */
struct backend_load {
    struct attempt *attempts; /* in flight */
    unsigned refs;            /* attempts that refer to it, ended ones included */
    unsigned settling;        /* attempts that ended since its last status */
    int64_t leaving;          /* our ended prompts that its queue count may still include */
    int64_t busy_us;          /* time with a prompt in flight */
    struct mono_us busy_since;
    struct mono_us ended_at; /* when the last attempt there ended */
    uint64_t ends[ATTEMPT_OUTCOME_COUNT];
};

/* run_measurement.c: what its memory holds. */
struct backend_warm {
    char hash[DIGEST_HEX_SIZE];   /* of the workflow that started last; "": unknown */
    char models[DIGEST_HEX_SIZE]; /* of that workflow's set of models; "": none */
    bool foreign;                 /* a foreign prompt has run since */
};

/* backends.c: configuration, and what the operator changed. */
struct backend_terms {
    const struct pool_backend_options *configured; /* NULL: added by POST /backends */
    struct backend_record overrides;               /* as stored; name NULL: none */
    enum backend_admin admin;
    bool removing; /* removed once no prompt of ours is there */
    struct deadline reap;
    unsigned places;          /* prompts at once */
    char *labels;             /* JSON array */
    struct names label_names; /* parsed */
};

/* eta.c */
struct backend_eta {
    struct heap_node node;
    struct mono_us free_at;
};

struct backend {
    struct slot slot;
    struct pool *pool;
    uint32_t id; /* never used again */
    char *name;
    char *url; /* without credentials */
    struct comfy_backend *comfy;
    const char *told_state; /* last state published by backend:state; NULL: none. Static */
    struct stray *strays;   /* prompts that no job waits for */
    struct backend_said said;
    struct backend_conn conn;
    struct backend_load load;
    struct backend_warm warm;
    struct backend_terms terms;
    struct backend_eta eta;
    struct server_clock clock; /* over all connections */
    struct knowledge knows;
    struct accepted accepted;           /* values outside its lists that it took */
    struct store_read reading_accepted; /* reads `accepted` of an earlier run */
    struct input_server *input_server;  /* files that it was sent */
    struct file_server *file_server;    /* where outputs of jobs are fetched */
    struct sampler *sampler;
    struct trust trust;
};

/* Makes a backend and connects it. configured and own (taken) as in struct backend_terms; one of
   them may be NULL. */
struct backend *backend_new(struct pool *p, const struct pool_backend_options *configured,
                            struct backend_record *take_own);
void backend_free(struct backend *b);
/* Takes the headers of its configuration again, after a reload. */
void backend_take_headers(struct backend *b);
/* Makes all configured and added backends. False: the store failed. */
bool backends_load(struct pool *p) MUST_CHECK;
/* Returns the configuration of this name; NULL: none. */
const struct pool_backend_options *backend_configured(const struct pool *p, const char *name);
/* Recomputes whether the backend gets jobs. */
void backend_settle(struct backend *b);
/* Returns down, connecting, up, draining or quarantined. */
const char *backend_state_name(const struct backend *b);
/* Starts the deadline after which a backend that is down is given up. */
void backend_plan_gone(struct backend *b);
/* Opens a fresh connection; under the same client id while a prompt is in flight. */
void backend_renew(struct backend *b, struct mono_us now);
/* True if its port has refused for so long that its process must be gone. */
bool backend_is_gone(const struct backend *b, struct mono_us now);
/* Removes a backend that is being removed, if no prompt of ours is there. */
void backend_maybe_reap(struct backend *b);
/* backend_maybe_reap for all backends, after jobs and strays are loaded. */
void backends_reap(struct pool *p);
/* True if this is the backend's URL, credentials included. */
bool backend_has_url(const struct backend *b, const char *url);
/* Applies the overrides (weight, slots, labels, admin) to the running backend. */
void backend_apply_own(struct backend *b);

#endif

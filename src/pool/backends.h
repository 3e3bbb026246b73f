/* The servers of the pool: one struct each, its link and its state. */
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

/* What people said of a backend; on disk as these numbers. */
enum backend_admin { ADMIN_NONE = 0, ADMIN_DRAINED = 1, ADMIN_QUARANTINED = 2 };

enum { BYSTANDERS = 16 };

/*
 * The parts of a backend. Each names the file that changes it; what several files change stands in
 * struct backend itself.
 */

/* backends.c: what the server says about itself. */
struct backend_said {
    bool no_creation; /* its history has no create_time */
    char *version;    /* "" until known */
    char *devices;    /* JSON array */
    int64_t vram;     /* bytes of its devices together; 0: unknown */
    int64_t queue;    /* as its last status said; -1: unknown */
    char *last_error; /* or NULL */
};

/* backend_link.c: the link, and whether anything is there. */
struct backend_conn {
    bool up;                      /* the socket is open, and has not been found deaf */
    struct mono_us up_since;      /* while up */
    struct mono_us down_since;    /* while not up */
    struct deadline gone;         /* down for so long that jobs no longer wait for it */
    struct mono_us refused_at;    /* when its port last refused a connection: the process of before
                                     is gone; 0: never */
    struct mono_us refuses_since; /* since when it has refused every one; 0: it has not */
    struct dur_us refused_lost;   /* after so long it counts as gone; 0: never */
    struct deadline refused_long;
    struct mono_us last_status;
    struct deadline deaf_check;      /* a POST was answered: its `status` must have come by then */
    struct mono_us deaf_since;       /* ... since here */
    uint64_t bystanders[BYSTANDERS]; /* the last types of messages, as hashes, that came while
                                        nothing ran: they tell nothing of what runs */
    unsigned bystanders_len;
};

/* attempt.c: our prompts on it. */
struct backend_load {
    struct attempt *attempts; /* in flight */
    unsigned refs;            /* attempts that need it, ended ones included */
    unsigned settling;        /* attempts that ended since its last status */
    int64_t leaving;          /* our prompts that have ended but may still be in its count */
    int64_t busy_us;          /* time with a prompt in flight */
    struct mono_us busy_since;
    struct mono_us ended_at; /* when the last attempt ended there */
    uint64_t ends[ATTEMPT_OUTCOME_COUNT];
};

/* run_measurement.c: what its memory holds. */
struct backend_warm {
    char hash[DIGEST_HEX_SIZE];   /* of the workflow that began last; "": unknown */
    char models[DIGEST_HEX_SIZE]; /* of the set of models that it names; "": none */
    bool foreign;                 /* a prompt that is not ours has run since */
};

/* backends.c: configuration, and what the operator changed. */
struct backend_terms {
    const struct pool_backend_options *configured; /* NULL: it came by POST /backends */
    struct backend_record overrides;               /* as stored; name NULL: nothing was changed */
    enum backend_admin admin;
    bool removing; /* it is removed once no prompt of ours is there */
    struct deadline reap;
    unsigned places;          /* prompts at once */
    char *labels;             /* JSON array */
    struct names label_names; /* the same */
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
    const char *told_state; /* by backend:state; NULL: nothing yet. Static */
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
    struct store_read reading_accepted; /* what it took before, from the store */
    struct input_server *input_server;  /* what it has been sent */
    struct file_server *file_server;    /* where outputs of jobs are fetched */
    struct sampler *sampler;
    struct trust trust;
};

/* Makes a backend and connects it. configured and own (taken) as in struct backend; one of them may
   be NULL. */
struct backend *backend_new(struct pool *p, const struct pool_backend_options *configured,
                            struct backend_record *take_own);
void backend_free(struct backend *b);
/* The headers of its configuration, which may be others now. */
void backend_take_headers(struct backend *b);
/* Makes all that are configured or were added. False: the store failed. */
bool backends_load(struct pool *p) MUST_CHECK;
/* The one of this name that is configured; NULL: none is. */
const struct pool_backend_options *backend_configured(const struct pool *p, const char *name);
/* Whether it gets jobs has perhaps changed. */
void backend_settle(struct backend *b);
/* down, connecting, up, draining or quarantined. */
const char *backend_state_name(const struct backend *b);
/* It is down: when that has lasted too long nothing is waited for there. */
void backend_plan_gone(struct backend *b);
/* A fresh connection; under the same client id while a prompt is in flight. */
void backend_renew(struct backend *b, struct mono_us now);
/* Its port has refused everything for so long that its process is gone. */
bool backend_is_gone(const struct backend *b, struct mono_us now);
/* Removed as soon as nothing of ours is there any more. */
void backend_maybe_reap(struct backend *b);
/* The same for all, when jobs and strays are loaded. */
void backends_reap(struct pool *p);
/* With credentials, as it was given. */
bool backend_has_url(const struct backend *b, const char *url);
/* Applies what people changed (weight, slots, labels, admin) to the running backend. */
void backend_apply_own(struct backend *b);

#endif

/*
 * Profiles and jobs as bytes. Pure: from what is known to JSON or text.
 */
#ifndef COMFYPOOL_RENDER_RENDER_H
#define COMFYPOOL_RENDER_RENDER_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/json_write.h"
#include "comfypool/base/str.h"
#include "comfypool/core/job.h"
#include "comfypool/core/profiler.h"

/* JobProfileStats (api/openapi.yaml). Appends. */
void render_profile_json(const struct profile *p, struct buf *out);

/* The table that people read in a terminal, from the JSON that render_profile_json made (or the
   store kept). False when it is no such thing. */
bool render_profile_text(struct str profile_json, struct buf *out);

/* The same profile without progressEvents, for events. Appends. */
void render_profile_brief(struct str profile_json, struct buf *out);

/* A Job in an event or a webhook: with jobId first, without outputs; BRIEF: also without metadata
   and the errors of single nodes, which may be of any size. */
enum render_event { EVENT_NONE, EVENT_JOB_WHOLE, EVENT_JOB_BRIEF };

/* What a Job tells beside its record. */
struct render_job_more {
    enum render_event event;
    const char *waiting_reason; /* NULL: none */
    bool has_progress;
    size_t nodes_done;
    const char *node_id; /* NULL: none */
    bool has_value;
    double value;
    double max;
    struct str profile; /* JSON; n == 0: none */
    bool traceback;
};

/* A Job. Appends. more may be NULL. */
void render_job_json(const struct job_record *r, const struct render_job_more *more,
                     struct buf *out);

/* {"attempts": [Attempt]}. Appends. */
void render_attempts_json(const struct attempt_record *list, size_t len, struct buf *out);

/* ---- outputs --------------------------------------------------------------------------------- */

/* One file among a job's outputs. */
struct render_output {
    char *node_id;
    char *filename;
    char *subfolder;
    char *type; /* output, temp or input */
};

/* "files": [{name, subfolder, type, kind, mediaType}] of one node's ui output, as a member. */
void render_output_files(struct str ui_json, struct js_out *o);

/* The files in Job.outputs, in its order; *ret_len how many. Owner: the caller. */
struct render_output *render_outputs_read(struct str outputs_json, size_t *ret_len);
void render_outputs_free(struct render_output *o, size_t len);

/* {"outputs": [{n, nodeId, name, subfolder, type, kind, mediaType, url}]}. Appends. */
void render_outputs_json(const char *job_id, const struct render_output *o, size_t len,
                         struct buf *out);

#endif

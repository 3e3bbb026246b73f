/* Renders profiles and jobs as JSON or text. Pure. */
#ifndef COMFYPOOL_RENDER_RENDER_H
#define COMFYPOOL_RENDER_RENDER_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/json_write.h"
#include "comfypool/base/str.h"
#include "comfypool/base/time.h"
#include "comfypool/core/format.h"
#include "comfypool/core/job.h"
#include "comfypool/core/profiler.h"

/* JobProfileStats (api/openapi.yaml). Appends. */
void render_profile_json(const struct profile *p, struct buf *out);

/* The profile without progressEvents, for events. Appends. */
void render_profile_brief(struct str profile_json, struct buf *out);

/* ---- a stored profile in other formats ------------------------------------------------------- */

/*
 * Renders JSON that render_profile_json made (stored, or of a running attempt) in another format.
 * Appends. FORMAT_JSON copies it unread. Returns: false, and nothing appended, when it is no
 * profile; and for formats that do not hold one profile (NDJSON; OTLP, which is of a whole job).
 * Cost: O(nodes log nodes + slices + bytes).
 */
bool render_profile(enum format f, struct str profile_json, struct buf *out);
/* True for formats of render_profile. */
bool render_has(enum format f);

/*
 * FORMAT_CSV in pieces, for many jobs: one head, then the rows of each profile. exported: the job's
 * id is the first column. Append; false: no profile.
 */
void render_csv_head(bool exported, struct buf *out);
bool render_csv_rows(struct str profile_json, bool exported, struct buf *out);

/* One job as a trace. Everything is borrowed. */
struct render_trace {
    const char *job_id;
    const char *trace_parent; /* "TRACE ID-SPAN ID" of the caller, 32 and 16 hex digits; "": none */
    const char *state;
    const char *workflow_hash;
    const char *backend; /* NULL: none */
    struct wall_us queued_at;
    struct wall_us completed_at; /* 0: running; its end is then the last known time of its last
                                    attempt */
    const char *error_message;   /* NULL: none */
    const struct str *profiles;  /* JSON, by attempt, in order */
    size_t profiles_len;
    const char *version; /* of the daemon */
};
/* Prepares a trace of a job and its profiles; everything is borrowed. */
void render_trace_of(const struct job_record *r, const char *version, const struct str *profiles,
                     size_t len, struct render_trace *ret);

/* A whole request body of OTLP/HTTP in JSON with one trace. The span ids of a job are reproducible.
   Appends. */
void render_otlp(const struct render_trace *t, struct buf *out);

/* render_otlp in pieces, for the traces of many jobs in one body: begin, the spans of each, end. */
void render_otlp_begin(struct js_out *o, const char *version);
void render_otlp_spans(struct js_out *o, const struct render_trace *t);
void render_otlp_end(struct js_out *o);

/* ---- profiles beside each other -------------------------------------------------------------- */

/* What to compare (core/compare.h says how). Everything is borrowed. */
struct render_comparison {
    const struct str *bases; /* JSON of stored profiles, the newest first */
    size_t bases_len;
    struct str target;
    const char *baseline; /* NULL: the base is one job, bases[0]; else how bases were chosen:
                             "costKeyAndBackend", "costKey" or "workflowHash" */
};

/*
 * Renders FORMAT_JSON (api/openapi.yaml) or FORMAT_TEXT. Appends. Returns: false, and nothing
 * appended, for other formats, when the target is no profile, or when no base is one; invalid ones
 * of a baseline are skipped. Cost: O(bytes + (nodes + edges) log nodes) of all runs; for 20 runs of
 * 3,000 nodes a quarter of a second, most of it reading. Memory: two runs as read, and four numbers
 * for each node and run.
 */
bool render_comparison(enum format f, const struct render_comparison *c, struct buf *out);

/* ---- jobs ------------------------------------------------------------------------------------ */

/* Form of a Job in an event or a webhook: with jobId first, without outputs; BRIEF: also without
   metadata and the errors of single nodes, which may be of any size. */
enum render_event { EVENT_NONE, EVENT_JOB_WHOLE, EVENT_JOB_BRIEF };

/* Parts of a Job beside its record. */
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

/* Appends a Job. more may be NULL. */
void render_job_json(const struct job_record *r, const struct render_job_more *more,
                     struct buf *out);

/* Appends {"attempts": [Attempt]}. */
void render_attempts_json(const struct attempt_record *list, size_t len, struct buf *out);

/* ---- outputs --------------------------------------------------------------------------------- */

/* One file, or text, among a job's outputs. */
struct render_output {
    char *node_id;
    char *filename;
    char *subfolder;
    char *type;   /* output, temp or input; streamed: received over the WebSocket */
    char *text;   /* of a text; NULL: it is a file at the backend */
    char *sha256; /* from the ui output, or NULL */
    /* Not read; set by the caller. */
    const char *kept; /* no, pending, yes, failed; static */
    int64_t size;     /* bytes; below 0: unknown */
};
/* True if the server has its bytes: neither a text, nor a streamed image. */
bool render_output_is_at_server(const struct render_output *o);
/* Returns the type by the name's ending; NULL: unknown. Static. */
const char *render_output_media_type(const char *filename);

/* Limit of listed outputs of a job. Each is some allocations and a line of the list, and a server
   may name a million in what a job keeps of its answers. */
enum { RENDER_OUTPUTS_MOST = 25000 };

/* Writes "files": [{name, subfolder, type, kind, mediaType}] of one node's ui output, as a member.
   Returns the number of its outputs, with texts; RENDER_OUTPUTS_MOST + 1: more than are listed. */
size_t render_output_files(struct str ui_json, struct js_out *o);

/* Reads the files in Job.outputs, in order; *ret_len: RENDER_OUTPUTS_MOST at most. Owner: the
   caller. */
struct render_output *render_outputs_read(struct str outputs_json, size_t *ret_len);
void render_outputs_free(struct render_output *o, size_t len);

/* {"outputs": [{n, nodeId, name, subfolder, type, kind, mediaType, size, kept, url}]}. Appends. */
void render_outputs_json(const char *job_id, const struct render_output *o, size_t len,
                         struct buf *out);

#endif

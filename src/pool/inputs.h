/*
 * The files that a job's nodes are given: held among the uploads while the job is active, sent to
 * its backend before its prompt, once for each connection and content.
 */
#ifndef COMFYPOOL_SRC_POOL_INPUTS_H
#define COMFYPOOL_SRC_POOL_INPUTS_H

#include "comfypool/base/map.h"
#include "comfypool/core/verdict.h"
#include "comfypool/pool/intake.h"

struct pool;
struct job;
struct backend;
struct attempt;
struct source;
struct upload;

struct input {
    char *node_id;
    char *name;
    char *extension;
    char sha256[DIGEST_HEX_SIZE]; /* "": it is an output that is not here yet; see sources.h */
    char job_id[UUID_SIZE];       /* whose; "": it is none */
    int64_t output;
    struct job *job; /* that is given it */
    struct source *source;
    struct input *source_next, **source_link;
};

/* What a backend has been sent on this connection. */
struct sent {
    struct map names; /* by hash and extension: struct sent_file */
    struct sent_file *oldest, *newest;
    struct transfer *transfers; /* under way */
    uint64_t most;              /* bytes that it takes; 0: not known */
};

/* Files came as data in the body: they are being written, and the ticket is woken when that is
   done. */
bool inputs_must_wait(struct pool *p, struct intake *in);
/* Each file of the submission is kept, or can be had; else it is refused. */
bool inputs_are_there(struct pool *p, struct intake *in);
/* The largest file of a submission, in bytes. */
uint64_t inputs_largest_of(struct pool *p, const struct submission *s);
/* JSON for the job's row; NULL: there are none. Owner: the caller. */
char *inputs_write(const struct submission *s);
/* The same of a job, as its inputs are by now. */
char *inputs_write_again(const struct job *j);
/* The file of an input, held from now on. */
void inputs_hold(struct input *in, struct upload *u);

/* Whether each file of a job's row is kept and seen there (walls.h), or can be had again. */
bool inputs_are_kept(struct pool *p, const char *wall, const char *attachments);
/* From the job's row; its files are held until inputs_leave. */
void inputs_join(struct job *j);
void inputs_leave(struct job *j);

/* Sends what the attempt's backend does not have yet; then posts the prompt (attempt_post). */
void inputs_send(struct attempt *a);
/* The backend refuses a node that was given a file, and had been sent it before: somebody may have
   emptied its input folder. True, once a job: whatever it has been sent is sent anew. */
bool inputs_are_lost(struct attempt *a, const struct verdict_error *errors, size_t len);
/* A connection is a new one, or lost: whatever was sent may be gone. */
void inputs_forget(struct backend *b);
void inputs_done(struct backend *b);

#endif

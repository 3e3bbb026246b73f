/*
 * The files that a job's nodes are given. They are held among the uploads while the job is active,
 * and sent to its backend before its prompt (input_sending.h).
 */
#ifndef COMFYPOOL_SRC_POOL_INPUTS_H
#define COMFYPOOL_SRC_POOL_INPUTS_H

#include "comfypool/base/map.h"
#include "comfypool/pool/intake.h"

struct pool;
struct job;
struct source;
struct upload;

struct input {
    struct attachment file; /* sha256 "": an output that is not here yet; see output_inputs.h */
    struct job *job;        /* the job that needs it */
    struct source *source;
    struct input *source_next, **source_link;
};

/* True if files came as data in the body: they are being written, and the ticket is woken when that
   is done. */
bool inputs_must_wait(struct pool *p, struct intake *in);
/* True if each file of the submission is kept or can be fetched; else sets the refusal. */
bool inputs_are_there(struct pool *p, struct intake *in);
/* Returns JSON for the job's row; NULL: no files. Owner: the caller. */
char *inputs_write(const struct submission *s);
/* As inputs_write, for a job's inputs as they are now. */
char *inputs_write_again(const struct job *j);
/* Sets the file of an input and holds it. */
void inputs_hold(struct input *in, struct upload *u);

/* True if each file of a job's row is kept and visible behind the wall (walls.h), or can be fetched
   again. */
bool inputs_are_kept(struct pool *p, const char *wall, const char *attachments);
/* Makes the inputs from the job's row and holds their files until inputs_leave. */
void inputs_join(struct job *j);
void inputs_leave(struct job *j);

#endif

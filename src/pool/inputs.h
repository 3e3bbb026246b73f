/*
 * The files that a job's nodes are given: held among the uploads while the job is active, and sent
 * to its backend before its prompt (input_sending.h).
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
    struct job *job;        /* that is given it */
    struct source *source;
    struct input *source_next, **source_link;
};

/* Files came as data in the body: they are being written, and the ticket is woken when that is
   done. */
bool inputs_must_wait(struct pool *p, struct intake *in);
/* Each file of the submission is kept, or can be had; else it is refused. */
bool inputs_are_there(struct pool *p, struct intake *in);
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

#endif

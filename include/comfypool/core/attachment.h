/* A file for an input of a node, as a submission names it and as a job's row stores it. Pure. */
#ifndef COMFYPOOL_CORE_ATTACHMENT_H
#define COMFYPOOL_CORE_ATTACHMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/digest.h"
#include "comfypool/base/json_read.h"
#include "comfypool/base/json_write.h"
#include "comfypool/base/uuid.h"

/* Has exactly one source. */
struct attachment {
    char *node_id;
    char *input;
    char *extension; /* of the file name, with its dot; or "" */
    char *part;      /* of a submission: the part of its body that has the bytes; or NULL */
    char *data;      /* of a submission: bytes that came as base64; or NULL */
    size_t data_len;
    char sha256[DIGEST_HEX_SIZE]; /* "": not known yet */
    char job_id[UUID_SIZE];       /* source job, which is in `after` too; "": none */
    int64_t output;               /* number of that job's output */
};
void attachment_done(struct attachment *a);

/* Writes one element of the JSON array in a job's row: {nodeId, inputName, sha256, extension, job,
   output}; the last two for an output. */
void attachment_write(struct js_out *o, const struct attachment *a);
/* Begins to read a row (NULL: no files) written by attachment_write. */
void attachments_read(struct js_reader *r, const char *row);
/* Reads the next one; false at the end. Owner of *ret: the caller. */
bool attachments_next(struct js_reader *r, struct attachment *ret);

#endif

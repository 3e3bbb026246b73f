/*
 * A file that a node is to be given: as a submission names it, and as a job's row has it. Pure.
 */
#ifndef COMFYPOOL_CORE_ATTACHMENT_H
#define COMFYPOOL_CORE_ATTACHMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/digest.h"
#include "comfypool/base/json_read.h"
#include "comfypool/base/json_write.h"
#include "comfypool/base/uuid.h"

/* One source is there. */
struct attachment {
    char *node_id;
    char *input;
    char *extension; /* of the file's name, with its dot; or "" */
    char *part;      /* of a submission: the part of its body that has the bytes; or NULL */
    char *data;      /* of a submission: bytes that came as base64; or NULL */
    size_t data_len;
    char sha256[DIGEST_HEX_SIZE]; /* "": not known yet */
    char job_id[UUID_SIZE];       /* an output of this job, which is in `after`, too; "": none */
    int64_t output;               /* ... n */
};
void attachment_done(struct attachment *a);

/* A job's row is a JSON array of {nodeId, inputName, sha256, extension, job, output}; the last two
   of an output. Each call writes one element. */
void attachment_write(struct js_out *o, const struct attachment *a);
/* Reads a row (NULL: no files) that attachment_write wrote. */
void attachments_read(struct js_reader *r, const char *row);
/* False: there is no more. Owner of *ret: the caller. */
bool attachments_next(struct js_reader *r, struct attachment *ret);

#endif

/*
 * What a backend said of a job's files right after the job's end: size, and ETag or Last-Modified.
 * A file with other values later is another one: servers reuse names when their folder was emptied.
 * Asked in the background, four files at a time, and stored with the job. Unknown values refuse
 * nothing: a backend that does not answer HEAD, a job that ended while a thousand others waited, a
 * restart in between.
 */
#ifndef COMFYPOOL_FILES_OUTPUT_STAMPS_H
#define COMFYPOOL_FILES_OUTPUT_STAMPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/str.h"
#include "comfypool/core/job.h"

struct file_servers;
struct http_call;
struct stamps;
struct store;

/* Stamp of one file. */
struct output_stamp {
    int64_t size;       /* bytes; below 0: unknown */
    int64_t modified_s; /* since the Unix epoch, by the server's clock; below 0: unknown */
    char etag[96];      /* "": unknown */
};

/* is_on false: nothing is asked or known. All arguments are borrowed until stamps_free. */
struct stamps *stamps_new(struct store *store, struct file_servers *servers, bool is_on);
/* Stops asking. */
void stamps_stop(struct stamps *all);
void stamps_free(struct stamps *all);

/* Asks for the files of a job whose end is durable. */
void stamps_begin(struct stamps *all, const struct job_record *ended);
/* Finds the stamp of output n; files: the job's, as found in the store (STORE_WANT_STAMPS). */
struct output_stamp stamps_find(const struct stamps *all, struct str files, size_t n);
/* True if the answer to GET /view (status 200 or 206; length of its body, below 0: unknown) is the
   file of that stamp, as far as both tell. */
bool stamp_matches(const struct output_stamp *s, struct http_call *call, unsigned status,
                   int64_t length);

#endif

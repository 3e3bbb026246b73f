/*
 * What a backend told of a job's files right after the job's end: size, and ETag or Last-Modified.
 * A file that has others later is another one: servers use names again when their folder was
 * emptied. It is asked in the background, four files at a time, and kept with the job. What is not
 * known refuses nothing: a backend that does not answer HEAD, a job that ended while a thousand
 * others waited to be asked for, a restart in between.
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

/* Of one file. */
struct output_stamp {
    int64_t size;       /* bytes; below 0: not known */
    int64_t modified_s; /* since the Unix epoch, by the server's clock; below 0: not known */
    char etag[96];      /* "": not known */
};

/* is_on: else nothing is asked, and nothing known. All is borrowed until stamps_free. */
struct stamps *stamps_new(struct store *store, struct file_servers *servers, bool is_on);
/* Nothing more is asked. */
void stamps_stop(struct stamps *all);
void stamps_free(struct stamps *all);

/* The end of the job is durable: its files are asked for. */
void stamps_begin(struct stamps *all, const struct job_record *ended);
/* Of output n; files: of its job, as the store found them (STORE_WANT_STAMPS). */
struct output_stamp stamps_find(const struct stamps *all, struct str files, size_t n);
/* Whether the answer to GET /view (status 200 or 206; length of its body, below 0: not known) is
   the file of that stamp, as far as both tell. */
bool stamp_matches(const struct output_stamp *s, struct http_call *call, unsigned status,
                   int64_t length);

#endif

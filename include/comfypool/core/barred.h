/*
 * Refusals of a server, or of a gateway before it, by HTTP status, and what they bar there:
 * everything, bodies or files from a size on, or all files. Sizes stay barred until
 * barred_forget_limits; the rest is tried again after a while, by one prompt.
 */
#ifndef COMFYPOOL_CORE_BARRED_H
#define COMFYPOOL_CORE_BARRED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"

struct barred {
    bool all;            /* every prompt */
    bool tries_again;    /* the next prompt shows whether it still does */
    size_t body_limit;   /* least size of a body refused; 0: none */
    uint64_t file_limit; /* least size of a file refused; 0: none */
    bool files;          /* all files */
    bool tries_a_file;   /* one prompt with files may try */
    char *why;           /* latest reason, for people; NULL: nothing barred */
};

/* POST /prompt or a file upload. */
struct barred_request {
    unsigned status; /* of the answer */
    bool page;       /* no JSON */
    size_t body;     /* bytes of the prompt */
    uint64_t file;   /* bytes of the file; 0: POST /prompt */
};

/* Forgets everything. */
void barred_done(struct barred *r);
/* Notes a refusal and puts its cause and remedy into r->why. True: try again after a while, by
   barred_try. */
bool barred_note(struct barred *r, const struct barred_request *q);
/* Lets prompts through again, one at a time until barred_accepted. True: all were barred. */
bool barred_try(struct barred *r);
/* Notes an accepted prompt. True if it was the try. */
bool barred_accepted(struct barred *r);
/* Notes an accepted file. True if files were barred. */
bool barred_file_accepted(struct barred *r);
/* Lifts the limits of sizes and files. */
void barred_forget_limits(struct barred *r);
/* True if sizes or files are barred: the job decides. */
bool barred_limits(const struct barred *r);
/* True if a job of this body and files (largest: bytes of one) is barred. busy: another is sending
   files. */
bool barred_for(const struct barred *r, size_t body, size_t files, uint64_t largest, bool busy);

#endif

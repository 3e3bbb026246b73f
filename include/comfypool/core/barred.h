/*
 * What a server, or a gateway before it, refused with a status of HTTP, and what that bars there:
 * everything, bodies or files from a size on, or files at all. Sizes stay barred until somebody
 * changes something; the rest is tried again after a while, by one prompt.
 */
#ifndef COMFYPOOL_CORE_BARRED_H
#define COMFYPOOL_CORE_BARRED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"

struct barred {
    bool all;            /* every prompt */
    bool tries_again;    /* ... and one is about to show whether it still does */
    size_t body_limit;   /* bodies of so many bytes and more were refused; 0: none was */
    uint64_t file_limit; /* the same of files */
    bool files;          /* any */
    bool tries_a_file;   /* ... one prompt with files may try it */
    char *why;           /* the last time, for people; NULL: it is over */
};

/* POST /prompt, or the upload of a file. */
struct barred_request {
    unsigned status; /* of the answer */
    bool page;       /* it was no JSON */
    size_t body;     /* bytes of the prompt */
    uint64_t file;   /* bytes of the file; 0: it was the prompt */
};

/* Everything is forgotten. */
void barred_done(struct barred *r);
/* Notes it, and puts the cause and what to do into r->why. True: what it bars is to be tried again
   after a while, by barred_try. */
bool barred_note(struct barred *r, const struct barred_request *q);
/* True: prompts are let through again, one at a time until barred_accepted. */
bool barred_try(struct barred *r);
/* It took a prompt; true: that was the try. */
bool barred_accepted(struct barred *r);
/* It took a file; true: it had refused them. */
bool barred_file_accepted(struct barred *r);
/* Sizes and files are not barred any more. */
void barred_forget_limits(struct barred *r);
/* Sizes or files are barred, so it depends on the job. */
bool barred_limits(const struct barred *r);
/* A job of this body and these files (largest: the size of one). busy: others send files there. */
bool barred_for(const struct barred *r, size_t body, size_t files, uint64_t largest, bool busy);

#endif

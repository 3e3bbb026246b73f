/*
 * The bearer tokens: a file of lines "name:role:sha256", where sha256 is the lowercase hex digest
 * of the token (blank lines and # comments are skipped). Only their users have the tokens
 * themselves: the file grants no access.
 */
#ifndef COMFYPOOL_CONFIG_TOKENS_H
#define COMFYPOOL_CONFIG_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/core/token.h"

struct tokens {
    struct token *list;
    size_t len;
};

void tokens_done(struct tokens *t);

/* Parses the text of a file. False with lines in errors, which begin with "PATH:LINE: ". A file
   without a token is refused, since it would let anyone in. Owner of *ret: the caller. */
bool tokens_parse(struct str text, const char *path, struct tokens *ret,
                  struct buf *errors) MUST_CHECK;
bool tokens_read(const char *path, struct tokens *ret, struct buf *errors) MUST_CHECK;

/* Finds the file: the configured one, else the service manager's credential "tokens". False:
   none. */
bool tokens_find(const char *configured, struct buf *ret_path);

/* Makes a token for "NAME:ROLE" and prints it and its line. False with a message for people. */
bool tokens_make(const char *spec, FILE *out, char *why, size_t why_size) MUST_CHECK;

#endif

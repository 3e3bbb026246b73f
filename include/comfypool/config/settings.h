/*
 * All that the daemon is told: the configuration, and what is in the files that it names. The
 * options of the pool are filled from here, and point into it. Everything but what SIGHUP reloads
 * stays as it was read.
 */
#ifndef COMFYPOOL_CONFIG_SETTINGS_H
#define COMFYPOOL_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/buf.h"
#include "comfypool/config/config.h"
#include "comfypool/config/receivers.h"
#include "comfypool/config/tokens.h"
#include "comfypool/pool/options.h"

struct settings {
    struct config config;
    struct tokens tokens;
    struct buf tokens_path; /* empty: there is no such file */
    struct receivers receivers;
    struct pool_backend_options *backends; /* those that are enabled */
    struct pool_rule *rules;
};

/* With the defaults of the configuration, and nothing else. */
void settings_init(struct settings *s);
void settings_done(struct settings *s);

/* Reads the files that the configuration names, once it is read itself: tokens, and what webhooks,
   hooks and traces need. False with lines in errors. */
bool settings_read_files(struct settings *s, struct buf *errors) MUST_CHECK;

/* For SIGHUP: both read files again. What is wrong with a file is logged, and what it said before
   stays, so that a mistake neither lets anyone in nor locks anyone out. */
/* True when there are new tokens. */
bool settings_reload_tokens(struct settings *s);
/* The headers of backends, in the options that were filled, too. */
void settings_reload_headers(struct settings *s);

/* --state, else what the service manager gave, else the user's own. False after a complaint on
   stderr: there is no place for it. */
bool settings_state_directory(const struct settings *s, struct buf *ret) MUST_CHECK;

/* Fills all members but the two that main makes: uploads.blobs and copies.blobs. version: of the
   daemon. Once. */
void settings_fill_pool(struct settings *s, const char *version, struct pool_options *ret);

#endif

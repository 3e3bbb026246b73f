/*
 * All settings of the daemon: the configuration, and the content of the files that it names. The
 * pool's options are filled from here, and point into it. Everything but what SIGHUP reloads stays
 * as read.
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
    struct buf tokens_path; /* empty: no such file */
    struct receivers receivers;
    struct pool_backend_options *backends; /* the enabled ones */
    struct pool_rule *rules;
};

/* Sets the defaults of the configuration. */
void settings_init(struct settings *s);
void settings_done(struct settings *s);

/* Reads the files named by a complete configuration: tokens, and those for webhooks, hooks and
   traces. False with lines in errors. */
bool settings_read_files(struct settings *s, struct buf *errors) MUST_CHECK;

/* For SIGHUP: both reread files. Errors in a file are logged, and its old content stays, so that a
   mistake neither lets anyone in nor locks anyone out. */
/* True if the tokens were replaced. */
bool settings_reload_tokens(struct settings *s);
/* Reloads the headers of backends, also in filled options. */
void settings_reload_headers(struct settings *s);

/* Returns --state, else the service manager's, else the user's own. False after an error on stderr:
   none. */
bool settings_state_directory(const struct settings *s, struct buf *ret) MUST_CHECK;

/* Fills all members but the two that main makes: uploads.blobs and copies.blobs. version: of the
   daemon. Call once. */
void settings_fill_pool(struct settings *s, const char *version, struct pool_options *ret);

#endif

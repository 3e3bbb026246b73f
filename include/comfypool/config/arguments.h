/* The command line: what to do, and the flags that are values of the configuration. */
#ifndef COMFYPOOL_CONFIG_ARGUMENTS_H
#define COMFYPOOL_CONFIG_ARGUMENTS_H

#include <stdbool.h>

#include "comfypool/config/config.h"

/* What it says beside the configuration. */
struct arguments {
    const char *config_file; /* or NULL */
    const char *new_token;   /* "NAME:ROLE", or NULL */
    bool insecure;           /* --insecure-no-auth */
    bool new_store;
    bool check_only;
    bool done; /* what was asked for is printed, and nothing is left to do */
};

/*
 * Reads the arguments, and into c, which has the defaults, all sources of the configuration: the
 * file that they or COMFYPOOLD_CONFIG name, the environment, the flags. False after a complaint on
 * stderr. *ret points into argv and the environment.
 */
bool arguments_read(int argc, char **argv, const char *version, struct config *c,
                    struct arguments *ret) MUST_CHECK;

#endif

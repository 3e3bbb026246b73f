/* The command line: what to do, and flags that set values of the configuration. */
#ifndef COMFYPOOL_CONFIG_ARGUMENTS_H
#define COMFYPOOL_CONFIG_ARGUMENTS_H

#include <stdbool.h>

#include "comfypool/config/config.h"

/* Arguments other than configuration. */
struct arguments {
    const char *config_file; /* or NULL */
    const char *new_token;   /* "NAME:ROLE", or NULL */
    bool insecure;           /* --insecure-no-auth */
    bool new_store;
    bool check_only;
    bool done; /* nothing left to do: the output is printed */
};

/*
 * Reads the arguments, and all sources of the configuration into c, which has the defaults: the
 * file that they or COMFYPOOLD_CONFIG name, the environment, the flags. False after an error on
 * stderr. *ret points into argv and the environment.
 */
bool arguments_read(int argc, char **argv, const char *version, struct config *c,
                    struct arguments *ret) MUST_CHECK;

#endif

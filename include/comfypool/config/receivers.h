/*
 * Those who are told of jobs, as far as the configuration names them: what lies in files of their
 * own (a secret, headers), which addresses may be called, where traces go, a program to run.
 */
#ifndef COMFYPOOL_CONFIG_RECEIVERS_H
#define COMFYPOOL_CONFIG_RECEIVERS_H

#include "comfypool/base/net_rules.h"
#include "comfypool/config/config.h"

struct receivers {
    char *secret;            /* of webhooks.secretFile, or NULL */
    struct net_rules *rules; /* of webhooks.allow */
    char *otlp_url;          /* with its path, or NULL */
    char **otlp_headers;     /* NULL behind the last; or NULL */
};

/* Reads the files and checks what only shows together. Lines in errors, all of them. Owner of *ret:
   the caller, by receivers_done, also after false. */
bool receivers_read(const struct config *c, struct receivers *ret, struct buf *errors) MUST_CHECK;
void receivers_done(struct receivers *r);

#endif

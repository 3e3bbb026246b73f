/* A requested change: a new backend, or members of an existing one. */
#ifndef COMFYPOOL_CORE_BACKEND_CHANGE_H
#define COMFYPOOL_CORE_BACKEND_CHANGE_H

#include <stdint.h>

/* Checked values. Labels are "text" or "key=value". */
struct backend_change {
    char *name;            /* of POST; or NULL */
    char *url;             /* of POST: passes comfy_url_check, as far as text can tell */
    int64_t weight;        /* -1: not given; 1 to 1000 */
    int64_t max_in_flight; /* -1: not given; 1 to 100 */
    char *labels;          /* JSON array of strings as sent, or NULL: not given */
};
void backend_change_done(struct backend_change *c);

#endif

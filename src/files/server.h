/* A server that holds files, for the files of this room. */
#ifndef COMFYPOOL_SRC_FILES_SERVER_H
#define COMFYPOOL_SRC_FILES_SERVER_H

#include <stdbool.h>

#include "comfypool/files/file_servers.h"
#include "comfypool/loop/deadlines.h"
#include "comfypool/store/finds.h"

struct copies;
struct fetch;
struct kept_job;

struct file_server {
    struct file_servers *all;
    const char *name;
    struct comfy_backend *comfy;
    bool up;
    struct copying { /* of output_copies.c: pending fetches */
        struct copies *copies;
        struct kept_job *first, *last; /* in order of the jobs' ends */
        struct store_read read;        /* for the first */
        struct fetch *fetch;           /* of a file of the first */
        struct deadline again;
    } copying;
};

#endif

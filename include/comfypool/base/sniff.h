/* What somebody sent in place of JSON, to tell them what to send. Pure. */
#ifndef COMFYPOOL_BASE_SNIFF_H
#define COMFYPOOL_BASE_SNIFF_H

#include <stdbool.h>

#include "comfypool/base/str.h"

/* What a body is that is no JSON, and what to send instead; static. NULL: nobody knows. */
const char *sniff(struct str body);
/* A short text without braces and line ends that ends as the name of a file does: what curl sends
   of -d workflow.json. FILE_NAME_MOST and more bytes are none. */
enum { FILE_NAME_MOST = 1024 };
bool sniff_is_file_name(struct str body);

#endif

/* Recognises what was sent in place of JSON, to say what to send. Pure. */
#ifndef COMFYPOOL_BASE_SNIFF_H
#define COMFYPOOL_BASE_SNIFF_H

#include <stdbool.h>

#include "comfypool/base/str.h"

/* Says what a non-JSON body is and what to send instead; static. NULL: unknown. */
const char *sniff(struct str body);
/* True for a short text without braces and line ends that ends like a file name: what curl sends
   for -d workflow.json. False from FILE_NAME_MOST bytes on. */
enum { FILE_NAME_MOST = 1024 };
bool sniff_is_file_name(struct str body);

#endif

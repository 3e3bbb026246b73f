/* Files embedded in the program by scripts/embed at build time. */
#ifndef COMFYPOOL_SRC_API_EMBEDDED_H
#define COMFYPOOL_SRC_API_EMBEDDED_H

#include <stddef.h>

extern const char openapi_yaml[];
extern const size_t openapi_yaml_size;

#endif

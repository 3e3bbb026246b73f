/*
 * Formats of profiles: their names in ?format=, and their media types. render/ produces them, http/
 * chooses among them.
 */
#ifndef COMFYPOOL_CORE_FORMAT_H
#define COMFYPOOL_CORE_FORMAT_H

#include "comfypool/base/str.h"

/* symbol, name, media type, by_accept: Accept may choose it */
#define FORMAT_TABLE(X)                                                                            \
    X(FORMAT_JSON, "json", "application/json", true)                                               \
    X(FORMAT_NDJSON, "ndjson", "application/x-ndjson", true) /* several profiles */                \
    X(FORMAT_TEXT, "text", "text/plain; charset=utf-8", true)                                      \
    X(FORMAT_CSV, "csv", "text/csv; charset=utf-8", true)                                          \
    X(FORMAT_CHROME, "chrome", "application/json", false)          /* Trace Event Format */        \
    X(FORMAT_SPEEDSCOPE, "speedscope", "application/json", false)  /* speedscope's file format */  \
    X(FORMAT_FOLDED, "folded", "text/plain; charset=utf-8", false) /* for flame graphs */          \
    X(FORMAT_OTLP, "otlp", "application/json", false)              /* OTLP/HTTP JSON */            \
    X(FORMAT_EVENTS, "", "text/event-stream", true)                /* no profile: live events */

enum format {
#define X(symbol, name, media_type, by_accept) symbol,
    FORMAT_TABLE(X)
#undef X
        FORMAT_COUNT
};

const char *format_name(enum format f);
const char *format_media_type(enum format f);
bool format_is_by_accept(enum format f);
/* FORMAT_COUNT: none of this name. */
enum format format_from_name(struct str name);

#endif

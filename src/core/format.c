/* The formats of profiles; see the header. */
#include "comfypool/core/format.h"

#include "comfypool/base/names.h"

static const struct {
    const char *name;
    const char *media_type;
    bool by_accept;
} formats[FORMAT_COUNT] = {
#define X(symbol, n, m, a) [symbol] = {n, m, a},
    FORMAT_TABLE(X)
#undef X
};

const char *format_name(enum format f)
{
    return formats[f].name;
}

const char *format_media_type(enum format f)
{
    return formats[f].media_type;
}

bool format_is_by_accept(enum format f)
{
    return formats[f].by_accept;
}

enum format format_from_name(struct str name)
{
    return (enum format)names_index(formats, name);
}

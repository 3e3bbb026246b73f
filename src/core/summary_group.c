/* The names of groups; see the header. */
#include "comfypool/core/summary_group.h"

#include "comfypool/base/names.h"

static const char *const names[GROUP_COUNT] = {
#define X(symbol, name) [symbol] = (name),
    GROUP_TABLE(X)
#undef X
};

enum group_by group_from_name(struct str name)
{
    return (enum group_by)names_index(names, name);
}

/* The names of groups; see the header. */
#include "comfypool/core/summary_group.h"

static const char *const names[GROUP_COUNT] = {
#define X(symbol, name) [symbol] = (name),
    GROUP_TABLE(X)
#undef X
};

enum group_by group_from_name(struct str name)
{
    int g = 0;
    while (g < GROUP_COUNT && (name.n == 0 || !str_is(name, names[g]))) {
        g++;
    }
    return (enum group_by)g;
}

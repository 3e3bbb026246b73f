/* Finds the nearest name; see the header. */
#include "comfypool/base/near.h"

#include <ctype.h>

enum { SHORT_NAME = 40 };

/* Lowercase, without - and _: max_body_bytes is as near to maxBodyBytes as can be. */
static size_t squeeze(struct str name, char ret[SHORT_NAME])
{
    size_t n = 0;
    for (size_t i = 0; i < name.n && n < SHORT_NAME; i++) {
        if (name.p[i] != '_' && name.p[i] != '-') {
            ret[n++] = (char)tolower((unsigned char)name.p[i]);
        }
    }
    return n;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein distance of squeezed names. */
size_t near_distance(struct str left, struct str right)
{
    char a[SHORT_NAME];
    char b[SHORT_NAME];
    const size_t an = squeeze(left, a);
    const size_t bn = squeeze(right, b);
    size_t row[SHORT_NAME + 1];
    for (size_t j = 0; j <= bn; j++) {
        row[j] = j;
    }
    for (size_t i = 0; i < an; i++) {
        size_t corner = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < bn; j++) {
            const size_t swap = corner + (a[i] == b[j] ? 0 : 1);
            corner = row[j + 1];
            row[j + 1] = least(swap, least(row[j], corner) + 1);
        }
    }
    return row[bn];
}

struct near near_to(struct str given)
{
    return (struct near){.given = given, .best = least(given.n / 3 + 1, 3) + 1};
}

void near_try(struct near *n, const char *candidate)
{
    const size_t d = near_distance(n->given, str_of(candidate));
    if (d < n->best) {
        n->best = d;
        n->name = candidate;
    }
}

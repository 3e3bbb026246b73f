/*
 * A body of parts: the first byte says in how large pieces it comes. What is told is the same as
 * when it comes at once; and where that is refused, so is this.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "../../src/http/multipart.h"

static bool part_begins(void *ctx, struct str name, bool is_file, struct str filename,
                        const char **ret_why)
{
    (void)ret_why;
    buf_add_str(ctx, name);
    buf_add_char(ctx, is_file ? 'f' : ' ');
    buf_add_str(ctx, filename);
    buf_add_char(ctx, ':');
    return true;
}

static void part_data(void *ctx, const char *bytes, size_t n)
{
    buf_add(ctx, bytes, n);
}

static void part_ends(void *ctx)
{
    buf_add_char(ctx, ';');
}

static const struct multipart_ops ops = {part_begins, part_data, part_ends};

/* True when it is whole. */
static bool feed(const char *bytes, size_t size, size_t piece, struct buf *told)
{
    struct multipart *m = multipart_new(STR("multipart/form-data; boundary=b"), &ops, told);
    const char *why = NULL;
    bool good = true;
    for (size_t at = 0; at < size && good; at += piece) {
        good = multipart_feed(m, bytes + at, at + piece < size ? piece : size - at, &why);
        if (!good && why == NULL) {
            abort();
        }
    }
    const bool whole = good && multipart_is_whole(m);
    multipart_free(m);
    return whole;
}

int fuzz_multipart(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    AUTO_BUF struct buf at_once;
    AUTO_BUF struct buf in_pieces;
    buf_init(&at_once, BUF_NO_LIMIT);
    buf_init(&in_pieces, BUF_NO_LIMIT);
    const char *body = (const char *)data + 1;
    const bool whole = feed(body, size - 1, size, &at_once);
    if (feed(body, size - 1, 1 + data[0] % 64, &in_pieces) != whole) {
        abort();
    }
    if (whole && !str_eq(buf_str(&at_once), buf_str(&in_pieces))) {
        abort();
    }
    return 0;
}

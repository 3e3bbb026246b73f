/* Keys of roll-ups and their bounds; see the header. */
#include "comfypool/core/rollup_keys.h"

#include <string.h>

#include "comfypool/base/digest.h"
#include "comfypool/core/job.h"

enum {
    MOST_KEYS = 2000,
    MOST_RUNS = 4000,       /* cost keys and backends */
    MOST_OF_CLIENTS = 8000, /* of each kind, over all clients */
};

/* ---- kinds ----------------------------------------------------------------------------------- */

int rollup_kind(enum group_by group, bool of_clients)
{
    return (int)group + (of_clients ? GROUP_OF_CLIENT : 0);
}

int rollup_kind_beside(int kind, enum group_by group)
{
    return rollup_kind(group, kind >= GROUP_OF_CLIENT);
}

enum group_by rollup_group(int kind)
{
    return (enum group_by)(kind % GROUP_OF_CLIENT);
}

bool rollup_has_other(int kind)
{
    return kind < GROUP_OF_CLIENT && kind != GROUP_RUN;
}

int64_t rollup_most_keys(int kind)
{
    return kind >= GROUP_OF_CLIENT ? MOST_OF_CLIENTS : kind == GROUP_RUN ? MOST_RUNS : MOST_KEYS;
}

/* ---- keys ------------------------------------------------------------------------------------ */

void rollup_add_key(struct str client, struct str key, struct buf *out)
{
    if (client.n > 0) {
        buf_add_str(out, client);
        buf_add_char(out, GROUP_CLIENT_END);
    }
    buf_add_str(out, key);
}

struct str rollup_workflow_of_node(struct str key)
{
    const char *end = memchr(key.p, GROUP_CLIENT_END, key.n); /* a client may have a slash */
    const char *from = end == NULL ? key.p : end + 1;
    const char *slash = memchr(from, '/', key.n - (size_t)(from - key.p));
    return (struct str){key.p, slash == NULL ? key.n : (size_t)(slash - key.p)};
}

void rollup_add_other_node(struct str workflow, struct buf *out)
{
    buf_add_str(out, workflow);
    buf_add_char(out, '/');
    buf_add_text(out, ROLLUP_OTHER);
}

struct key_range rollup_range_of_kind(int kind)
{
    return (struct key_range){kind, STR(""), STR("\xff")};
}

/* Builds a range with both texts in b. from_end '\0': none. */
static struct key_range range_of(int kind, struct str text, char from_end, char to_end,
                                 struct buf *b)
{
    buf_add_str(b, text);
    if (from_end != '\0') {
        buf_add_char(b, from_end);
    }
    const size_t n = b->len;
    buf_add_str(b, text);
    buf_add_char(b, to_end);
    return (struct key_range){kind, {b->data, n}, {b->data + n, b->len - n}};
}

/* Ends at the first text after the key. */
struct key_range rollup_range_of_key(int kind, struct str key, struct buf *b)
{
    return range_of(kind, key, '\0', '\1', b);
}

/* '0' follows '/'. */
struct key_range rollup_range_of_nodes(int kind, struct str workflow, struct buf *b)
{
    return range_of(kind, workflow, '/', '0', b);
}

/* ---- questions ------------------------------------------------------------------------------- */

static enum group_by group_asked(const struct rollup_question *q)
{
    if (q->workflow_hash[0] == '\0') {
        return q->group;
    }
    return q->group == GROUP_CLASS ? GROUP_NODE : q->group == GROUP_BACKEND ? GROUP_RUN : q->group;
}

int rollup_kind_asked(const struct rollup_question *q)
{
    return rollup_kind(group_asked(q), q->client != NULL);
}

bool rollup_range_asked(const struct rollup_question *q, struct buf *from, struct buf *to)
{
    static const char ends[GROUP_COUNT][2] = {
        /* '0' follows '/', '.' follows '-'; a single key ends at the first text after it */
        [GROUP_NODE] = {'/', '0'},
        [GROUP_WORKFLOW] = {'\0', '\1'},
        [GROUP_RUN] = {'-', '.'},
    };
    const enum group_by group = group_asked(q);
    const bool hash = q->workflow_hash[0] != '\0';
    if (q->client != NULL) {
        buf_printf(from, "%s%c", q->client, GROUP_CLIENT_END);
        buf_printf(to, "%s%c", q->client, hash ? GROUP_CLIENT_END : GROUP_CLIENT_END + 1);
    }
    if (hash) {
        const int n = group == GROUP_RUN ? WORKFLOW_KEY_PREFIX : DIGEST_HEX_SIZE - 1;
        buf_printf(from, "%.*s", n, q->workflow_hash);
        buf_printf(to, "%.*s%c", n, q->workflow_hash, ends[group][1]);
        if (ends[group][0] != '\0') {
            buf_add_char(from, ends[group][0]);
        }
    }
    return q->client != NULL || hash;
}

struct str rollup_key_told(const struct rollup_question *q, struct str key, struct str label)
{
    const struct str none = {NULL, 0};
    const size_t client = q->client == NULL ? 0 : strlen(q->client) + 1;
    if (key.p == NULL || key.n < client) {
        return none;
    }
    key = (struct str){key.p + client, key.n - client};
    if (group_asked(q) == q->group) {
        return key;
    }
    if (q->group == GROUP_CLASS) {
        return label;
    }
    const char *slash = memchr(key.p, '/', key.n);
    return slash == NULL ? none : (struct str){slash + 1, key.n - (size_t)(slash + 1 - key.p)};
}

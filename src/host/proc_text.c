/*
 * Parses texts of /proc; see proc(5). Pure. Never trusts a text to be whole: a short, cut or
 * strange one is refused, never guessed at.
 */
#include "internal.h"

#include <netinet/tcp.h>
#include <stdio.h>

/* ---- words, lines, numbers ------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

/* Cuts off the next word; an empty one at the end. */
static struct str next_word(struct str *rest)
{
    while (rest->n > 0 && is_blank(*rest->p)) {
        rest->p++;
        rest->n--;
    }
    struct str word = {rest->p, 0};
    while (word.n < rest->n && !is_blank(word.p[word.n])) {
        word.n++;
    }
    rest->p += word.n;
    rest->n -= word.n;
    return word;
}

/* Returns the n-th word from here (0 is the next one). */
static struct str skip_to_word(struct str *rest, unsigned n)
{
    for (; n > 0; n--) {
        (void)next_word(rest);
    }
    return next_word(rest);
}

static struct str next_line(struct str *rest)
{
    const char *end = rest->n == 0 ? NULL : memchr(rest->p, '\n', rest->n);
    const struct str line = {rest->p, end == NULL ? rest->n : (size_t)(end - rest->p)};
    const size_t used = end == NULL ? line.n : line.n + 1;
    rest->p += used;
    rest->n -= used;
    return line;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

static bool to_number(struct str word, unsigned base, uint64_t *ret)
{
    uint64_t v = 0;
    for (size_t i = 0; i < word.n; i++) {
        const unsigned digit = (unsigned)digit_value(word.p[i]);
        if (digit >= base || __builtin_mul_overflow(v, base, &v) ||
            __builtin_add_overflow(v, digit, &v)) {
            return false;
        }
    }
    *ret = v;
    return word.n > 0;
}

/* Adds a count of bytes to *sum. */
static bool add_bytes(struct str word, int64_t *sum)
{
    uint64_t v = 0;
    return to_number(word, 10, &v) && !__builtin_add_overflow(*sum, v, sum);
}

/* ---- sockets --------------------------------------------------------------------------------- */

bool proc_parse_socket(struct str line, struct proc_socket *ret)
{
    /* sl local remote st tx:rx tr:when retransmits uid timeout inode ... */
    const struct str local = skip_to_word(&line, 1);
    const struct str state = skip_to_word(&line, 1);
    const struct str uid = skip_to_word(&line, 3);
    const struct str inode = skip_to_word(&line, 1);
    const char *colon = local.n == 0 ? NULL : memchr(local.p, ':', local.n);
    uint64_t port = 0;
    uint64_t st = 0;
    if (colon == NULL ||
        !to_number((struct str){colon + 1, local.n - 1 - (size_t)(colon - local.p)}, 16, &port) ||
        port > 65535 || !to_number(state, 16, &st) || !to_number(uid, 10, &ret->uid) ||
        !to_number(inode, 10, &ret->inode)) {
        return false;
    }
    ret->port = (unsigned)port;
    ret->listens = st == TCP_LISTEN;
    return true;
}

bool proc_parse_link(struct str text, const char *kind, uint64_t *ret_inode)
{
    const size_t n = strlen(kind);
    if (text.n < n + 4 || memcmp(text.p, kind, n) != 0 || memcmp(text.p + n, ":[", 2) != 0 ||
        text.p[text.n - 1] != ']') {
        return false;
    }
    return to_number((struct str){text.p + n + 2, text.n - n - 3}, 10, ret_inode);
}

/* ---- one process ----------------------------------------------------------------------------- */

bool proc_parse_stat(struct str text, struct proc_stat *ret)
{
    enum { FROM_STATE_TO_START = 19 }; /* fields 3 and 22 */
    const char *open = text.n == 0 ? NULL : memchr(text.p, '(', text.n);
    const char *shut = text.n == 0 ? NULL : memrchr(text.p, ')', text.n);
    if (open == NULL || shut == NULL || shut < open) {
        return false;
    }
    struct str rest = {shut + 1, text.n - (size_t)(shut + 1 - text.p)};
    const struct str state = next_word(&rest);
    const struct str start = skip_to_word(&rest, FROM_STATE_TO_START - 1);
    if (state.n != 1 || !to_number(start, 10, &ret->start_time)) {
        return false;
    }
    ret->dead = strchr("ZXx", *state.p) != NULL;
    (void)snprintf(ret->name, sizeof ret->name, "%.*s", (int)(shut - open - 1), open + 1);
    return true;
}

bool proc_parse_statm(struct str text, int64_t page_size, int64_t *ret)
{
    int64_t pages = 0;
    return add_bytes(skip_to_word(&text, 1), &pages) &&
           !__builtin_mul_overflow(pages, page_size, ret);
}

bool proc_parse_io(struct str text, int64_t *ret_read, int64_t *ret_written)
{
    bool has_read = false;
    bool has_written = false;
    int64_t got = 0;
    int64_t put = 0;
    while (text.n > 0) {
        struct str line = next_line(&text);
        const struct str key = next_word(&line);
        if (str_is(key, "read_bytes:")) {
            has_read = add_bytes(next_word(&line), &got);
        } else if (str_is(key, "write_bytes:")) {
            has_written = add_bytes(next_word(&line), &put);
        }
    }
    if (has_read && has_written) {
        *ret_read = got;
        *ret_written = put;
    }
    return has_read && has_written;
}

bool proc_parse_net_dev(struct str text, int64_t *ret_received, int64_t *ret_sent)
{
    enum { FROM_RECEIVED_TO_SENT = 8 };
    int64_t received = 0;
    int64_t sent = 0;
    unsigned interfaces = 0;
    while (text.n > 0) {
        struct str line = next_line(&text);
        const char *colon = line.n == 0 ? NULL : memchr(line.p, ':', line.n);
        if (colon == NULL) {
            continue; /* the two lines above the table */
        }
        struct str before = {line.p, (size_t)(colon - line.p)};
        struct str rest = {colon + 1, line.n - before.n - 1};
        const bool is_loopback = str_is(next_word(&before), "lo");
        interfaces++;
        if (!is_loopback && (!add_bytes(next_word(&rest), &received) ||
                             !add_bytes(skip_to_word(&rest, FROM_RECEIVED_TO_SENT - 1), &sent))) {
            return false;
        }
    }
    if (interfaces > 0) {
        *ret_received = received;
        *ret_sent = sent;
    }
    return interfaces > 0;
}

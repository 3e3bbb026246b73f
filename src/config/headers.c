/*
 * A backend's headersFile: lines "Name: value", blank lines and # comments. It holds credentials,
 * so no message shows a value, and a world-readable file causes a warning. Anything that would
 * split a request (control characters) or belongs to the daemon itself (Host...) is refused.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "comfypool/base/text.h"

#include "inner.h"

enum { MAX_FILE = 64 * 1024, MAX_HEADERS = 64 };

static bool is_token(struct str s)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < s.n; i++) {
        const char c = s.p[i];
        const bool alnum = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
        if (!alnum && memchr(others, c, sizeof others - 1) == NULL) {
            return false;
        }
    }
    return s.n > 0;
}

static bool is_ours(struct str name)
{
    static const char *const ours[] = {
        "Host",    "Content-Length", "Content-Type", "Connection", "Transfer-Encoding",
        "Upgrade", "Expect",         "Accept"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (strlen(ours[i]) == name.n && strncasecmp(ours[i], name.p, name.n) == 0) {
            return true;
        }
    }
    return name.n > 13 && strncasecmp("Sec-WebSocket", name.p, 13) == 0;
}

static const char *control_character(struct str line)
{
    for (size_t i = 0; i < line.n; i++) {
        const unsigned char c = (unsigned char)line.p[i];
        if (c == '\r') {
            return "a carriage return; save the file with Unix line ends";
        }
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return "a control character";
        }
    }
    return NULL;
}

/* Returns the error of a line, or NULL. *ret is "Name: value", or NULL for a comment. */
static const char *read_line(struct str line, char **ret)
{
    *ret = NULL;
    const char *why = control_character(line);
    if (why != NULL) {
        return why;
    }
    line = text_trim(line);
    if (line.n == 0 || line.p[0] == '#') {
        return NULL;
    }
    const char *colon = memchr(line.p, ':', line.n);
    if (colon == NULL) {
        return "a header is Name: value";
    }
    const struct str name = {line.p, (size_t)(colon - line.p)};
    const struct str value = text_trim((struct str){colon + 1, line.n - name.n - 1});
    if (!is_token(name)) {
        return "this cannot be the name of a header";
    }
    if (is_ours(name)) {
        return "the daemon sets this header itself";
    }
    if (value.n == 0) {
        return "this header has no value";
    }
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    buf_add_str(&b, name);
    buf_add_text(&b, ": ");
    buf_add_str(&b, value);
    *ret = buf_take(&b);
    return NULL;
}

void config_headers_free(char **headers)
{
    for (char **h = headers; h != NULL && *h != NULL; h++) {
        free(*h);
    }
    free(headers);
}

static bool parse(struct str text, const char *path, char **headers, struct buf *errors)
{
    bool good = true;
    size_t len = 0;
    unsigned number = 0;
    while (text.n > 0) {
        const char *end = memchr(text.p, '\n', text.n);
        const size_t n = end == NULL ? text.n : (size_t)(end - text.p);
        char *header = NULL;
        const char *why = read_line((struct str){text.p, n}, &header);
        number++;
        if (why == NULL && header != NULL && len == MAX_HEADERS) {
            why = "too many headers";
            mem_free_ptr(&header);
        }
        if (why != NULL) {
            buf_printf(errors, "%s:%u: %s\n", path, number, why);
            good = false;
        } else if (header != NULL) {
            headers[len++] = header;
        }
        text.p += end == NULL ? n : n + 1;
        text.n -= end == NULL ? n : n + 1;
    }
    return good;
}

bool config_headers_read(const char *path, const char *where, char ***ret, struct buf *errors)
{
    char why[CONFIG_WHY_SIZE];
    AUTO_BUF struct buf text;
    buf_init(&text, BUF_NO_LIMIT);
    if (!config_file_look(path, why) || !config_file_read(path, MAX_FILE, &text, why)) {
        buf_printf(errors, "%s: %s: %s\n", where, path, why);
        return false;
    }
    char **headers = mem_zero(MAX_HEADERS + 1, sizeof *headers);
    if (!parse(buf_str(&text), path, headers, errors)) {
        config_headers_free(headers);
        return false;
    }
    *ret = headers;
    return true;
}

bool config_reload_headers(struct config_backend *b, struct buf *errors)
{
    char **fresh = NULL;
    if (b->headers_file == NULL) {
        return true;
    }
    if (!config_headers_read(b->headers_file, "headersFile", &fresh, errors)) {
        return false;
    }
    config_headers_free(b->headers);
    b->headers = fresh;
    return true;
}

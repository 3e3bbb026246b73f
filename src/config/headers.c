/*
 * A backend's headersFile: lines "Name: value", blank lines and # comments. It holds credentials,
 * so no message shows a value, and a file that everybody may read is warned of. What would break a
 * request apart (control characters) or belongs to the daemon itself (Host...) is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inner.h"

enum { MAX_FILE = 64 * 1024, MAX_HEADERS = 64, READ_SIZE = 16 * 1024 };

static bool read_all(int fd, size_t max, struct buf *ret, char why[CONFIG_WHY_SIZE])
{
    for (;;) {
        char *to = buf_reserve(ret, READ_SIZE);
        const ssize_t n = to == NULL ? 0 : read(fd, to, READ_SIZE);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            (void)snprintf(why, CONFIG_WHY_SIZE, "%s", strerror(errno));
            return false;
        }
        ret->len += (size_t)n;
        if (ret->overflow || ret->len > max) {
            (void)snprintf(why, CONFIG_WHY_SIZE, "the file is larger than %zu bytes", max);
            return false;
        }
        if (n == 0) {
            return true;
        }
    }
}

bool config_file_read(const char *path, size_t max, struct buf *ret, char why[CONFIG_WHY_SIZE])
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        (void)snprintf(why, CONFIG_WHY_SIZE, "%s", strerror(errno));
        return false;
    }
    const bool good = read_all(fd, max, ret, why);
    (void)close(fd);
    return good;
}

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

static struct str trim(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) {
        s.n--;
    }
    return s;
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

/* What is wrong with a line; NULL: nothing. ret is "Name: value", or NULL for a comment. */
static const char *read_line(struct str line, char **ret)
{
    *ret = NULL;
    const char *why = control_character(line);
    if (why != NULL) {
        return why;
    }
    line = trim(line);
    if (line.n == 0 || line.p[0] == '#') {
        return NULL;
    }
    const char *colon = memchr(line.p, ':', line.n);
    if (colon == NULL) {
        return "a header is Name: value";
    }
    const struct str name = {line.p, (size_t)(colon - line.p)};
    const struct str value = trim((struct str){colon + 1, line.n - name.n - 1});
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

/* A FIFO would block the start, and everybody's file is a mistake with credentials in it. */
bool config_file_look(const char *path, char why[CONFIG_WHY_SIZE])
{
    struct stat st;
    if (stat(path, &st) != 0) {
        (void)snprintf(why, CONFIG_WHY_SIZE, "%s", strerror(errno));
        return false;
    }
    if (!S_ISREG(st.st_mode)) {
        (void)snprintf(why, CONFIG_WHY_SIZE, "this is no regular file");
        return false;
    }
    if ((st.st_mode & S_IROTH) != 0) {
        LOG(LOG_WARN, "everybody may read this file of credentials; chmod o-r it",
            LOG_S("file", path));
    }
    return true;
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

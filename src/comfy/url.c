/* Restrictions on a backend's URL; see url.h. */
#include "url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "comfypool/base/digest.h"
#include "comfypool/comfy/backend.h"

static void strip_slashes(char *path)
{
    size_t n = strlen(path);
    while (n > 0 && path[n - 1] == '/') {
        path[--n] = '\0';
    }
}

/* Returns the length of "http:/", "https//" or the like at the start; 0: none. */
static size_t broken_scheme(const char *url)
{
    if (strncasecmp(url, "http", 4) != 0) {
        return 0;
    }
    const size_t word = (url[4] | 0x20) == 's' ? 5 : 4;
    const size_t marks = strspn(url + word, ":/\\;");
    const bool is_port = url[word] == ':' && marks == 1; /* a host named http */
    return marks == 0 || is_port ? 0 : word + marks;
}

/* Explains common mistakes in a URL. False: it may be one. */
static bool explain(const char *url, char *why, size_t why_size)
{
    const char *comma = strchr(url, ',');
    const bool has_scheme = strstr(url, "://") != NULL;
    const char *blank = strpbrk(url, " \t\n");
    if (blank != NULL && has_scheme && strstr(blank, "://") != NULL) {
        (void)snprintf(why, why_size,
                       "these are several, with blanks between them: a comma separates two in "
                       "COMFYPOOLD_BACKENDS; --backend takes one, and may be repeated");
        return true;
    }
    if (comma != NULL && (!has_scheme || strstr(comma, "://") != NULL)) {
        (void)snprintf(why, why_size,
                       "these are several, separated by commas: repeat --backend for each, or list "
                       "them under backends: in the configuration file");
        return true;
    }
    if (!has_scheme && *url != '\0') {
        const char *at = strrchr(url, '@'); /* without a possible secret */
        const char *shown = at == NULL ? url : at + 1;
        const size_t scheme = broken_scheme(url);
        const bool secure = scheme > 0 && (url[4] | 0x20) == 's';
        shown = at == NULL ? url + scheme : shown;
        const size_t n = strcspn(shown, "?#");
        (void)snprintf(why, why_size, "the scheme is %s; write http%s://%.*s",
                       scheme == 0 ? "missing" : "not whole", secure ? "s" : "",
                       (int)(n > 100 ? 100 : n), shown);
        return true;
    }
    return false;
}

bool comfy_address_read(const char *url, struct url_parts *ret, char *why, size_t why_size)
{
    *ret = (struct url_parts){0};
    if (explain(url, why, why_size) || !url_read(url, ret, why, why_size)) {
        return false;
    }
    if (ret->has_more) {
        (void)snprintf(why, why_size,
                       "a query or fragment makes no sense here; a token goes into a header of "
                       "requests: name its file in headersFile of the backend");
        return false;
    }
    strip_slashes(ret->path);
    return true;
}

void comfy_address_base(const struct url_parts *a, struct buf *out)
{
    buf_printf(out, "%s://%s:%d%s", a->tls ? "https" : "http", a->host, a->port, a->path);
}

bool comfy_url_check(const char *url, char *why, size_t why_size)
{
    struct url_parts a;
    const bool good = comfy_address_read(url, &a, why, why_size);
    url_parts_done(&a);
    return good;
}

/* Appends "HOST:PORT/PATH", or its beginning and a hash: names have a limit. */
static void add_name(const struct url_parts *a, struct buf *ret)
{
    enum { MAX_NAME = 100, HASH = 8 };
    AUTO_BUF struct buf name;
    buf_init(&name, BUF_NO_LIMIT);
    buf_printf(&name, "%s:%d%s", a->host, a->port, a->path);
    if (name.len <= MAX_NAME) {
        buf_add_str(ret, buf_str(&name));
        return;
    }
    char hash[DIGEST_HEX_SIZE];
    digest_sha256_hex(buf_str(&name), hash);
    buf_add(ret, name.data, MAX_NAME - HASH - 1);
    buf_printf(ret, "~%.*s", HASH, hash);
}

void comfy_url_clean(const char *url, struct buf *ret_clean, struct buf *ret_name)
{
    struct url_parts a;
    char why[128];
    if (comfy_address_read(url, &a, why, sizeof why)) {
        comfy_address_base(&a, ret_clean);
        add_name(&a, ret_name);
    }
    url_parts_done(&a);
}

/* A backend's URL, taken apart by libcurl; see url.h. */
#include "url.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/buf.h"
#include "comfypool/comfy/backend.h"

/* A part of the URL as a copy, or NULL. */
static char *part(CURLU *u, CURLUPart which, unsigned flags)
{
    char *text = NULL;
    if (curl_url_get(u, which, &text, flags) != CURLUE_OK) {
        return NULL;
    }
    char *copy = mem_strdup(text);
    curl_free(text);
    return copy;
}

static bool set_why(char *why, size_t why_size, const char *text)
{
    (void)snprintf(why, why_size, "%s", text);
    return false;
}

static void strip_slashes(char *path)
{
    size_t n = path == NULL ? 0 : strlen(path);
    while (n > 0 && path[n - 1] == '/') {
        path[--n] = '\0';
    }
}

bool comfy_address_read(const char *url, struct comfy_address *ret, char *why, size_t why_size)
{
    *ret = (struct comfy_address){0};
    CURLU *u = curl_url();
    if (u == NULL) {
        abort(); /* out of memory */
    }
    const CURLUcode code = curl_url_set(u, CURLUPART_URL, url, 0);
    if (code != CURLUE_OK) {
        curl_url_cleanup(u);
        return set_why(why, why_size, "this is no URL; write http://HOST:PORT");
    }
    AUTO_FREE char *scheme = part(u, CURLUPART_SCHEME, 0);
    AUTO_FREE char *port = part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    AUTO_FREE char *query = part(u, CURLUPART_QUERY, 0);
    AUTO_FREE char *fragment = part(u, CURLUPART_FRAGMENT, 0);
    AUTO_FREE char *user = part(u, CURLUPART_USER, CURLU_URLDECODE);
    AUTO_FREE char *password = part(u, CURLUPART_PASSWORD, CURLU_URLDECODE);
    ret->host = part(u, CURLUPART_HOST, 0);
    ret->prefix = part(u, CURLUPART_PATH, 0);
    curl_url_cleanup(u);
    strip_slashes(ret->prefix);
    const bool http = scheme != NULL && strcmp(scheme, "http") == 0;
    ret->tls = scheme != NULL && strcmp(scheme, "https") == 0;
    if (!http && !ret->tls) {
        return set_why(why, why_size, "the scheme must be http or https");
    }
    if (ret->host == NULL || *ret->host == '\0' || ret->prefix == NULL) {
        return set_why(why, why_size, "the host is missing; write http://HOST:PORT");
    }
    if (query != NULL || fragment != NULL) {
        return set_why(why, why_size, "a query or fragment makes no sense here");
    }
    ret->port = port == NULL ? 0 : atoi(port);
    if (user != NULL) {
        AUTO_BUF struct buf b;
        buf_init(&b, 4096);
        buf_printf(&b, "%s:%s", user, password == NULL ? "" : password);
        ret->credentials = buf_take(&b);
    }
    return true;
}

void comfy_address_done(struct comfy_address *a)
{
    free(a->host);
    free(a->prefix);
    free(a->credentials);
    *a = (struct comfy_address){0};
}

void comfy_address_base(const struct comfy_address *a, struct buf *out)
{
    buf_printf(out, "%s://%s:%d%s", a->tls ? "https" : "http", a->host, a->port, a->prefix);
}

bool comfy_url_check(const char *url, char *why, size_t why_size)
{
    struct comfy_address a;
    const bool good = comfy_address_read(url, &a, why, why_size);
    comfy_address_done(&a);
    return good;
}

void comfy_url_clean(const char *url, struct buf *ret_clean, struct buf *ret_name)
{
    struct comfy_address a;
    char why[128];
    if (comfy_address_read(url, &a, why, sizeof why)) {
        comfy_address_base(&a, ret_clean);
        buf_printf(ret_name, "%s:%d%s", a.host, a.port, a.prefix);
    }
    comfy_address_done(&a);
}

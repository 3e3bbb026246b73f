/* URLs in parts, by libcurl; see the header. */
#include "comfypool/loop/url.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/buf.h"

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

static char *read_credentials(CURLU *u)
{
    AUTO_FREE char *user = part(u, CURLUPART_USER, CURLU_URLDECODE);
    AUTO_FREE char *password = part(u, CURLUPART_PASSWORD, CURLU_URLDECODE);
    if (user == NULL && password == NULL) {
        return NULL;
    }
    AUTO_BUF struct buf b;
    buf_init(&b, 4096);
    buf_printf(&b, "%s:%s", user == NULL ? "" : user, password == NULL ? "" : password);
    return buf_take(&b);
}

static void read_parts(CURLU *u, struct url_parts *ret)
{
    AUTO_FREE char *port = part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    AUTO_FREE char *query = part(u, CURLUPART_QUERY, 0);
    AUTO_FREE char *fragment = part(u, CURLUPART_FRAGMENT, 0);
    ret->host = part(u, CURLUPART_HOST, 0);
    ret->path = part(u, CURLUPART_PATH, 0);
    ret->port = port == NULL ? 0 : atoi(port);
    ret->credentials = read_credentials(u);
    ret->has_more = query != NULL || fragment != NULL;
}

static bool set_why(char *why, size_t why_size, const char *text)
{
    (void)snprintf(why, why_size, "%s", text);
    return false;
}

bool url_read(const char *url, struct url_parts *ret, char *why, size_t why_size)
{
    *ret = (struct url_parts){0};
    CURLU *u = curl_url();
    if (u == NULL) {
        abort(); /* out of memory */
    }
    if (curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK) {
        curl_url_cleanup(u);
        return set_why(why, why_size, "this is no URL; write http://HOST:PORT");
    }
    AUTO_FREE char *scheme = part(u, CURLUPART_SCHEME, 0);
    read_parts(u, ret);
    curl_url_cleanup(u);
    ret->tls = scheme != NULL && strcmp(scheme, "https") == 0;
    if (!ret->tls && (scheme == NULL || strcmp(scheme, "http") != 0)) {
        return set_why(why, why_size, "the scheme must be http or https");
    }
    if (ret->host == NULL || *ret->host == '\0' || ret->path == NULL) {
        return set_why(why, why_size, "the host is missing; write http://HOST:PORT");
    }
    return true;
}

void url_parts_done(struct url_parts *u)
{
    free(u->host);
    free(u->path);
    free(u->credentials);
    *u = (struct url_parts){0};
}

/* Receivers; see the header. No message shows a secret. */
#include "comfypool/config/receivers.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "comfypool/core/webhook.h"
#include "comfypool/loop/url.h"

#include "inner.h"

enum { MAX_SECRET = 4096 };

static bool complain(struct buf *errors, const char *key, const char *what, const char *why)
{
    buf_printf(errors, "%s: %s: %s\n", key, what, why);
    return false;
}

/* ---- the secret ------------------------------------------------------------------------------ */

static bool read_secret(const char *path, char **ret, struct buf *errors)
{
    static const char key[] = "webhooks.secretFile";
    char why[CONFIG_WHY_SIZE];
    AUTO_BUF struct buf text;
    buf_init(&text, BUF_NO_LIMIT);
    if (path == NULL) {
        return true;
    }
    if (!config_file_look(path, why) || !config_file_read(path, MAX_SECRET, &text, why)) {
        return complain(errors, key, path, why);
    }
    while (text.len > 0 && strchr(" \t\r\n", text.data[text.len - 1]) != NULL) {
        text.len--;
    }
    if (!webhook_secret_is_good(buf_str(&text))) {
        return complain(
            errors, key, path,
            "must hold one line, whsec_ and base64: printf 'whsec_%s\\n' \"$(head -c 24 "
            "/dev/urandom | base64)\"");
    }
    *ret = mem_copy(buf_str(&text));
    return true;
}

/* ---- addresses ------------------------------------------------------------------------------- */

static bool may_call(const struct net_rules *rules, const char *url)
{
    struct url_parts u;
    struct sockaddr_storage a;
    char why[CONFIG_WHY_SIZE];
    const bool good = url_read(url, &u, why, sizeof why) &&
                      (!net_literal(str_of(u.host), &a) ||
                       net_rules_allow(rules, str_of(u.host), (struct sockaddr *)&a));
    url_parts_done(&u);
    return good;
}

static bool check_urls(const struct config *c, const struct net_rules *rules, struct buf *errors)
{
    bool good = true;
    for (unsigned i = 0; i < c->webhooks_urls.len; i++) {
        if (!may_call(rules, c->webhooks_urls.items[i])) {
            good = complain(errors, "webhooks.urls", c->webhooks_urls.items[i],
                            "its address is not public; name it in webhooks.allow");
        }
    }
    return good;
}

/* ---- the program ----------------------------------------------------------------------------- */

static bool check_program(const char *path, struct buf *errors)
{
    struct stat st;
    if (path == NULL) {
        return true;
    }
    if (strchr(path, '/') == NULL) {
        return complain(errors, "hooks.exec", path,
                        "give its path, such as /usr/local/bin/notify or ./notify");
    }
    if (stat(path, &st) != 0 || access(path, X_OK) != 0) {
        return complain(errors, "hooks.exec", path, strerror(errno));
    }
    return S_ISREG(st.st_mode) || complain(errors, "hooks.exec", path, "this is no program");
}

/* ---- traces ---------------------------------------------------------------------------------- */

/* Joins the base URL and the path of OTLP/HTTP. Owner: the caller; NULL: none. */
static char *traces_url(const char *endpoint)
{
    AUTO_BUF struct buf url;
    buf_init(&url, BUF_NO_LIMIT);
    if (endpoint == NULL) {
        return NULL;
    }
    buf_add_text(&url, endpoint);
    while (url.len > 0 && url.data[url.len - 1] == '/') {
        url.len--;
    }
    buf_add_text(&url, "/v1/traces");
    return buf_take(&url);
}

/* Refuses a common mistake: .../v1/traces/v1/traces would be called. */
static bool check_endpoint(const char *endpoint, struct buf *errors)
{
    static const char path[] = "/v1/traces";
    const size_t n = endpoint == NULL ? 0 : strlen(endpoint);
    const bool has_path = n >= sizeof path - 1 && strstr(endpoint, path) != NULL;
    return !has_path || complain(errors, "otlp.endpoint", endpoint,
                                 "give the base URL; /v1/traces is appended to it");
}

bool receivers_read(const struct config *c, struct receivers *ret, struct buf *errors)
{
    char why[CONFIG_WHY_SIZE];
    *ret = (struct receivers){.otlp_url = traces_url(c->otlp_endpoint)};
    ret->rules = net_rules_new(c->webhooks_allow.items, c->webhooks_allow.len, why, sizeof why);
    bool good = ret->rules != NULL || complain(errors, "webhooks", "allow", why);
    good = check_urls(c, ret->rules, errors) && good;
    good = read_secret(c->webhooks_secret_file, &ret->secret, errors) && good;
    good = check_program(c->hooks_exec, errors) && good;
    good = check_endpoint(c->otlp_endpoint, errors) && good;
    if (c->otlp_headers_file != NULL) {
        good = config_headers_read(c->otlp_headers_file, "otlp.headersFile", &ret->otlp_headers,
                                   errors) &&
               good;
    }
    return good;
}

void receivers_done(struct receivers *r)
{
    free(r->secret);
    net_rules_free(r->rules);
    free(r->otlp_url);
    config_headers_free(r->otlp_headers);
    *r = (struct receivers){.secret = NULL};
}

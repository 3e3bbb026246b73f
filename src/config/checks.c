/*
 * Syntax checks of configuration texts, kind by kind. Nothing is stored here, and no message shows
 * a credential. Each check costs the bytes of its text.
 */
#include "checks.h"

#include <ctype.h>
#include <stdio.h>

#include "comfypool/base/net_rules.h"
#include "comfypool/base/text.h"
#include "comfypool/comfy/backend.h"
#include "comfypool/core/label.h"
#include "comfypool/loop/url.h"

enum { MAX_NAME = 100, MAX_LABEL = 100, MAX_TEXT = 4000, MAX_SOCKET_PATH = 107 };

bool config_say(char why[CONFIG_WHY_SIZE], const char *text)
{
    (void)snprintf(why, CONFIG_WHY_SIZE, "%s", text);
    return false;
}

bool config_check_text(struct str text, char why[CONFIG_WHY_SIZE])
{
    if (text.n == 0) {
        return config_say(why, "must not be empty");
    }
    if (text.n > MAX_TEXT) {
        return config_say(why, "is too long");
    }
    return text_is_plain(text) ||
           config_say(why, "must not contain line ends or other control characters");
}

bool config_check_name(struct str text, char why[CONFIG_WHY_SIZE])
{
    bool good = text.n > 0 && text.n <= MAX_NAME;
    for (size_t i = 0; i < text.n && good; i++) {
        good = isalnum((unsigned char)text.p[i]) || memchr("._-:", text.p[i], 4) != NULL;
    }
    if (str_is(text, ".") || str_is(text, "..")) {
        return config_say(why, "must not be . or .., which are folders");
    }
    return good || config_say(why, "must be 1 to 100 letters, digits, dots, colons, - and _");
}

/* ---- URLs ------------------------------------------------------------------------------------ */

bool config_check_url(struct str text, char why[CONFIG_WHY_SIZE])
{
    if (!config_check_text(text, why)) {
        return false;
    }
    AUTO_FREE char *url = mem_copy(text);
    return comfy_url_check(url, why, CONFIG_WHY_SIZE);
}

bool config_check_endpoint(struct str text, char why[CONFIG_WHY_SIZE])
{
    struct url_parts u = {0};
    AUTO_FREE char *url = mem_copy(text);
    const bool good = config_check_text(text, why) && url_read(url, &u, why, CONFIG_WHY_SIZE);
    const bool base = !u.has_more;
    const bool open = u.credentials == NULL;
    url_parts_done(&u);
    return good && (base || config_say(why, "must be a base URL: /v1/traces is appended")) &&
           (open || config_say(why, "credentials belong into otlp.headersFile"));
}

bool config_check_receiver(struct str text, char why[CONFIG_WHY_SIZE])
{
    struct url_parts u = {0};
    AUTO_FREE char *url = mem_copy(text);
    const bool good = config_check_text(text, why) && url_read(url, &u, why, CONFIG_WHY_SIZE);
    const bool open = u.credentials == NULL;
    url_parts_done(&u);
    return good &&
           (open ||
            config_say(why, "credentials in the URL are not taken; use webhooks.secretFile"));
}

/* ---- hosts and addresses --------------------------------------------------------------------- */

/* True for a name, an IPv4 address, or an IPv6 address in brackets; empty: every address. */
static bool is_host(struct str host)
{
    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
        for (size_t i = 1; i + 1 < host.n; i++) {
            if (!isxdigit((unsigned char)host.p[i]) && host.p[i] != ':' && host.p[i] != '.') {
                return false;
            }
        }
        return host.n > 2;
    }
    for (size_t i = 0; i < host.n; i++) {
        if (!isalnum((unsigned char)host.p[i]) && memchr("._-", host.p[i], 3) == NULL) {
            return false;
        }
    }
    return host.n < 254;
}

/* Checks a socket's path; the kernel takes 107 bytes. */
static bool unix_check(struct str path, char why[CONFIG_WHY_SIZE])
{
    if (path.n == 0 || path.p[0] != '/' || path.n > MAX_SOCKET_PATH) {
        return config_say(
            why, "unix: needs an absolute path of at most 107 bytes, as in unix:/run/x.sock");
    }
    return config_check_text(path, why);
}

static bool tcp_check(struct str text, char why[CONFIG_WHY_SIZE])
{
    static const char shape[] = "an address is HOST:PORT or [IPv6]:PORT";
    const char *colon = text.n == 0 ? NULL : memrchr(text.p, ':', text.n);
    if (colon == NULL) {
        return config_say(why, shape);
    }
    const struct str host = {text.p, (size_t)(colon - text.p)};
    const struct str port = {colon + 1, text.n - host.n - 1};
    int64_t n = -1;
    if (!str_to_int64(port, &n) || n < 0 || n > 65535 || port.n > 5) {
        return config_say(why, "the port must be from 0 to 65535 (0: any free one)");
    }
    return is_host(host) || config_say(why, shape);
}

bool config_check_address(struct str text, char why[CONFIG_WHY_SIZE])
{
    if (text.n >= 5 && memcmp(text.p, "unix:", 5) == 0) {
        return unix_check((struct str){text.p + 5, text.n - 5}, why);
    }
    return tcp_check(text, why);
}

bool config_check_host(struct str text, char why[CONFIG_WHY_SIZE])
{
    return (text.n > 0 && is_host(text)) ||
           config_say(why, "must be a host name or address without a port, such as pool.example");
}

static const char origin_shape[] =
    "must be an origin, SCHEME://HOST or SCHEME://HOST:PORT, and no path";

bool config_check_origin(struct str text, char why[CONFIG_WHY_SIZE])
{
    static const struct str schemes[] = {STR_INIT("http://"), STR_INIT("https://")};
    char unused[CONFIG_WHY_SIZE];
    for (size_t i = 0; i < 2; i++) {
        const size_t n = schemes[i].n;
        if (text.n > n && memcmp(text.p, schemes[i].p, n) == 0) {
            const struct str host = {text.p + n, text.n - n};
            return is_host(host) || (host.p[0] != ':' && tcp_check(host, unused)) ||
                   config_say(why, origin_shape);
        }
    }
    return config_say(why, origin_shape);
}

bool config_check_network(struct str text, char why[CONFIG_WHY_SIZE])
{
    return net_rules_check_entry(text, why, CONFIG_WHY_SIZE);
}

/* ---- backends and rules ---------------------------------------------------------------------- */

/* Accepts what nvidia-smi -L prints: an index, or the UUID of a GPU ("GPU-...") or of a slice of
   one ("MIG-..."). */
bool config_check_gpu(struct str text, char why[CONFIG_WHY_SIZE])
{
    int64_t index = 0;
    if (text.n <= 3 && text.n > 0 && text.p[0] != '-' && str_to_int64(text, &index)) {
        return true;
    }
    bool good = text.n > 4 && text.n <= MAX_NAME &&
                (memcmp(text.p, "GPU-", 4) == 0 || memcmp(text.p, "MIG-", 4) == 0);
    for (size_t i = 4; good && i < text.n; i++) {
        good = isalnum((unsigned char)text.p[i]) || text.p[i] == '-' || text.p[i] == '/';
    }
    return good || config_say(why, "must be an index such as 0, or a UUID such as GPU-6c4b...");
}

bool config_check_label(struct str text, char why[CONFIG_WHY_SIZE])
{
    if (text.n == 0 || text.n > MAX_LABEL || text.p[0] == '=') {
        return config_say(why, "a label is 1 to 100 bytes, such as gpu=4090 or fast");
    }
    return config_check_text(text, why);
}

bool config_check_hash(struct str text, char why[CONFIG_WHY_SIZE])
{
    return (text.n == 64 && text_is_hex(text)) ||
           config_say(why, "must be the workflowHash of a Job: 64 lowercase hex digits");
}

bool config_check_pair(struct str text, char why[CONFIG_WHY_SIZE])
{
    const char *equals = text.n == 0 ? NULL : memchr(text.p, '=', text.n);
    return (equals != NULL && equals != text.p) ||
           config_say(why, "must be KEY=VALUE, of a member of a job's metadata");
}

bool config_check_selector(struct str text, char why[CONFIG_WHY_SIZE])
{
    return label_is_selector(text) ||
           config_say(
               why, "must be a selector of labels, as in a job's labels: fast, gpu=4090, vram>=24");
}

bool config_check_input(struct str text, char why[CONFIG_WHY_SIZE])
{
    const char *dot = text.n == 0 ? NULL : memrchr(text.p, '.', text.n);
    return config_check_text(text, why) &&
           ((dot != NULL && dot != text.p && dot != text.p + text.n - 1) ||
            config_say(why, "must be CLASS.INPUT, or CLASS.* for all inputs of a class of nodes"));
}

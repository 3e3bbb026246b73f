/*
 * The request headers we use, and their meaning: framing, content type, Prefer, Accept,
 * If-None-Match, Idempotency-Key, Last-Event-ID, traceparent. Pure; values are borrowed. Other
 * headers are ignored.
 */
#include "headers.h"

#include <string.h>
#include <strings.h>

#include "comfypool/base/text.h"
#include "comfypool/http/http.h"
#include "comfypool/http/problem.h"

#include "query.h"

static const char *const names[HEADER_COUNT] = {
    [HEADER_CONTENT_LENGTH] = "Content-Length",
    [HEADER_TRANSFER_ENCODING] = "Transfer-Encoding",
    [HEADER_HOST] = "Host",
    [HEADER_CONTENT_TYPE] = "Content-Type",
    [HEADER_CONTENT_ENCODING] = "Content-Encoding",
    [HEADER_EXPECT] = "Expect",
    [HEADER_ACCEPT] = "Accept",
    [HEADER_PREFER] = "Prefer",
    [HEADER_IF_NONE_MATCH] = "If-None-Match",
    [HEADER_ORIGIN] = "Origin",
    [HEADER_SEC_FETCH_SITE] = "Sec-Fetch-Site",
    [HEADER_AUTHORIZATION] = "Authorization",
    [HEADER_IDEMPOTENCY_KEY] = "Idempotency-Key",
    [HEADER_LAST_EVENT_ID] = "Last-Event-ID",
    [HEADER_TRACEPARENT] = "traceparent",
    [HEADER_RANGE] = "Range",
    [HEADER_IF_RANGE] = "If-Range",
};

static bool ends_with_blank(struct str s)
{
    return s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t');
}

void headers_add(struct headers *h, struct str name, struct str value)
{
    h->padded_name = h->padded_name || ends_with_blank(name);
    for (int i = 0; i < HEADER_COUNT; i++) {
        if (text_same_word(name, names[i])) {
            struct header_values *v = &h->of[i];
            h->padded_encoding =
                h->padded_encoding || (i == HEADER_TRANSFER_ENCODING && ends_with_blank(value));
            if (v->count < HEADER_VALUES) {
                v->value[v->count] = text_trim(value);
            }
            v->count++;
            return;
        }
    }
}

struct str headers_first(const struct headers *h, enum header which)
{
    return h->of[which].count == 0 ? (struct str){NULL, 0} : h->of[which].value[0];
}

void headers_pass(const struct headers *h, enum header which, char ret[HTTP_PASSED_SIZE])
{
    const struct str value = headers_first(h, which);
    ret[0] = '\0';
    if (h->of[which].count == 1 && value.n < HTTP_PASSED_SIZE && text_is_plain(value)) {
        memcpy(ret, value.p, value.n);
        ret[value.n] = '\0';
    }
}

/* Calls for each element of a comma-separated list over all values; false ends it. */
static bool each_element(const struct headers *h, enum header which,
                         bool (*each)(void *ctx, struct str element), void *ctx)
{
    const struct header_values *v = &h->of[which];
    for (unsigned i = 0; i < v->count && i < HEADER_VALUES; i++) {
        struct str rest = v->value[i];
        struct str element;
        while (text_cut(&rest, ',', &element)) {
            element = text_trim(element);
            if (element.n > 0 && !each(ctx, element)) {
                return false;
            }
        }
    }
    return true;
}

/* ---- framing --------------------------------------------------------------------------------- */

/* libmicrohttpd 0.9.75 passes all of these to its handler. */
bool headers_check_framing(const struct headers *h, bool http_1_1, struct problem *p)
{
    const unsigned lengths = h->of[HEADER_CONTENT_LENGTH].count;
    const unsigned encodings = h->of[HEADER_TRANSFER_ENCODING].count;
    p->close = true;      /* for any problem found here */
    if (h->padded_name) { /* a proxy may take it for the header: RFC 9112, 5.1 */
        return problem_set(p, ERR_QUERY_INVALID,
                           "there are blanks between the name of a header and its colon");
    }
    if (lengths > 1 || (lengths > 0 && encodings > 0)) {
        return problem_set(p, ERR_QUERY_INVALID,
                           "one Content-Length, or Transfer-Encoding: chunked, and not both");
    }
    if (encodings > 1 || (encodings == 1 &&
                          !text_same_word(headers_first(h, HEADER_TRANSFER_ENCODING), "chunked"))) {
        p->status = 501;
        return problem_set(p, ERR_QUERY_INVALID, "no Transfer-Encoding but chunked is implemented");
    }
    if (h->padded_encoding) { /* libmicrohttpd does not recognise it, and reads until the end */
        return problem_set(p, ERR_QUERY_INVALID,
                           "there are blanks behind the value of Transfer-Encoding");
    }
    if (http_1_1 && h->of[HEADER_HOST].count != 1) {
        return problem_set(p, ERR_QUERY_INVALID, "an HTTP/1.1 request has one Host header");
    }
    p->close = false;
    return true;
}

uint64_t headers_body_length(const struct headers *h)
{
    if (h->of[HEADER_TRANSFER_ENCODING].count > 0) {
        return UINT64_MAX;
    }
    const struct str s = headers_first(h, HEADER_CONTENT_LENGTH);
    int64_t n = 0;
    if (s.n == 0) {
        return 0;
    }
    return str_to_int64(s, &n) && n >= 0 ? (uint64_t)n : UINT64_MAX - 1;
}

bool headers_expect_continue(const struct headers *h)
{
    return text_same_word(headers_first(h, HEADER_EXPECT), "100-continue");
}

static bool add_coding(void *ctx, struct str element)
{
    enum coding *c = ctx;
    if (text_same_word(element, "identity")) {
        return true; /* misplaced, but harmless */
    }
    const bool gzip = text_same_word(element, "gzip") || text_same_word(element, "x-gzip");
    *c = gzip && *c == CODING_NONE ? CODING_GZIP : CODING_OTHER;
    return *c != CODING_OTHER;
}

enum coding headers_coding(const struct headers *h)
{
    enum coding c = CODING_NONE;
    (void)each_element(h, HEADER_CONTENT_ENCODING, add_coding, &c);
    return h->of[HEADER_CONTENT_ENCODING].count > HEADER_VALUES ? CODING_OTHER : c;
}

static const char form_type[] = "application/x-www-form-urlencoded";

/* Returns the content type without its parameters. */
static struct str media_type(const struct headers *h)
{
    struct str rest = headers_first(h, HEADER_CONTENT_TYPE);
    struct str type = {"", 0};
    if (rest.n > 0) {
        (void)!text_cut(&rest, ';', &type);
    }
    return text_trim(type);
}

bool headers_say_form(const struct headers *h)
{
    return text_same_word(media_type(h), form_type);
}

bool headers_check_body_type(const struct headers *h, struct problem *p)
{
    /* Browsers may send text/plain without a preflight; curl -d sends the last one. */
    static const char *const taken[] = {"", "application/json", "text/plain", form_type};
    const struct str type = media_type(h);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        if (text_same_word(type, taken[i])) {
            return true;
        }
    }
    return problem_set(p, ERR_MEDIA_TYPE_UNSUPPORTED, "the body must be application/json");
}

/* ---- Prefer ---------------------------------------------------------------------------------- */

struct prefer {
    bool found;
    int64_t seconds;
};

static bool read_preference(void *ctx, struct str element)
{
    struct prefer *f = ctx;
    struct str rest = element;
    struct str preference = {"", 0};
    struct str name = {"", 0};
    (void)!text_cut(&rest, ';', &preference);
    (void)!text_cut(&preference, '=', &name);
    if (!text_same_word(text_trim(name), "wait")) {
        return true;
    }
    f->found = preference.p != NULL && query_read_wait(text_trim(preference), &f->seconds);
    return false; /* the first one counts (RFC 7240) */
}

bool headers_prefer_wait(const struct headers *h, int64_t *ret_seconds)
{
    struct prefer f = {0};
    (void)each_element(h, HEADER_PREFER, read_preference, &f);
    if (f.found) {
        *ret_seconds = f.seconds;
    }
    return f.found;
}

/* ---- Accept ---------------------------------------------------------------------------------- */

/* Preference for a type: by the most specific range that names it. */
struct wanted {
    struct str type;  /* "text/csv" */
    struct str group; /* "text" */
    int specific;
    int q; /* thousandths; 0: unnamed, or unwanted */
};

static struct wanted wanted_type(const char *media_type)
{
    const struct str type = {media_type, strcspn(media_type, ";")};
    return (struct wanted){.type = type, .group = {media_type, strcspn(media_type, "/")}};
}

static bool same_word(struct str a, struct str b)
{
    return a.n == b.n && strncasecmp(a.p, b.p, a.n) == 0;
}

/* True for the range "text/" and "*" of the group "text". */
static bool is_group(struct str range, struct str group)
{
    return range.n == group.n + 2 && strncasecmp(range.p, group.p, group.n) == 0 &&
           memcmp(range.p + group.n, "/*", 2) == 0;
}

/* Reads 0 to 1 with up to three decimals; a malformed one counts as 1. */
static int read_q(struct str s)
{
    if (s.n == 0 || s.n > 5 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.')) {
        return 1000;
    }
    int q = (s.p[0] - '0') * 1000;
    int unit = 100;
    for (size_t i = 2; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return 1000;
        }
        q += (s.p[i] - '0') * unit;
        unit /= 10;
    }
    return q > 1000 ? 1000 : q;
}

static int read_quality(struct str parameters)
{
    struct str one;
    while (text_cut(&parameters, ';', &one)) {
        one = text_trim(one);
        if (one.n >= 2 && (one.p[0] | 0x20) == 'q' && one.p[1] == '=') {
            return read_q((struct str){one.p + 2, one.n - 2});
        }
    }
    return 1000;
}

static void weigh(struct wanted *w, struct str range, int q)
{
    const int specific = same_word(range, w->type)      ? 3
                         : is_group(range, w->group)    ? 2
                         : text_same_word(range, "*/*") ? 1
                                                        : 0;
    if (specific > w->specific) {
        w->specific = specific;
        w->q = q;
    } else if (specific > 0 && specific == w->specific && q > w->q) {
        w->q = q;
    }
}

struct choice {
    struct wanted of[FORMAT_COUNT];
};

static bool read_range(void *ctx, struct str element)
{
    struct choice *c = ctx;
    struct str rest = element;
    struct str range = {"", 0};
    (void)!text_cut(&rest, ';', &range);
    range = text_trim(range);
    const int q = read_quality(rest);
    for (int f = 0; f < FORMAT_COUNT; f++) {
        weigh(&c->of[f], range, q);
    }
    return true;
}

static bool refuse_formats(unsigned formats, struct problem *p)
{
    AUTO_BUF struct buf list;
    buf_init(&list, 256);
    for (int f = 0; f < FORMAT_COUNT; f++) {
        if ((formats >> f & 1u) != 0 && format_is_by_accept((enum format)f)) {
            const struct wanted w = wanted_type(format_media_type((enum format)f));
            buf_printf(&list, "%s%.*s", list.len == 0 ? "" : ", ", (int)w.type.n, w.type.p);
        }
    }
    return problem_set(p, ERR_NOT_ACCEPTABLE, "there is %s", buf_text(&list));
}

bool headers_choose_format(const struct headers *h, unsigned formats, enum format *ret,
                           struct problem *p)
{
    const bool any = headers_first(h, HEADER_ACCEPT).n == 0;
    struct choice c;
    for (int f = 0; f < FORMAT_COUNT; f++) {
        c.of[f] = wanted_type(format_media_type((enum format)f));
        c.of[f].q = any ? 1000 : 0;
    }
    (void)each_element(h, HEADER_ACCEPT, read_range, &c);
    int best = 0;
    for (int f = 0; f < FORMAT_COUNT; f++) {
        const bool may = (formats >> f & 1u) != 0 && format_is_by_accept((enum format)f);
        if (may && c.of[f].q > best) {
            best = c.of[f].q;
            *ret = (enum format)f;
        }
    }
    return best > 0 || refuse_formats(formats, p);
}

/* ---- Last-Event-ID, traceparent -------------------------------------------------------------- */

bool headers_last_event_id(const struct headers *h, char ret[HTTP_EVENT_ID_SIZE])
{
    const struct str id = headers_first(h, HEADER_LAST_EVENT_ID);
    ret[0] = '\0';
    if (id.n > 0 && id.n < HTTP_EVENT_ID_SIZE) {
        memcpy(ret, id.p, id.n);
        ret[id.n] = '\0';
    }
    return id.n > 0;
}

static bool is_all_zeros(struct str s)
{
    size_t n = 0;
    while (n < s.n && s.p[n] == '0') {
        n++;
    }
    return n == s.n;
}

/* Reads VERSION-TRACE-SPAN-FLAGS at fixed places; version 00 ends there, a later one may go on. */
void headers_trace(const struct headers *h, char ret[JOB_TRACE_SIZE])
{
    enum { TRACE = 3, TRACE_LEN = 32, SPAN = 36, SPAN_LEN = 16, FLAGS = 53, LEN = 55 };
    const struct str s = headers_first(h, HEADER_TRACEPARENT);
    ret[0] = '\0';
    if (h->of[HEADER_TRACEPARENT].count != 1 || s.n < LEN || s.p[TRACE - 1] != '-' ||
        s.p[SPAN - 1] != '-' || s.p[FLAGS - 1] != '-') {
        return;
    }
    const struct str version = {s.p, 2};
    const struct str trace = {s.p + TRACE, TRACE_LEN};
    const struct str span = {s.p + SPAN, SPAN_LEN};
    const bool ends_well = s.n == LEN || (!str_is(version, "00") && s.p[LEN] == '-');
    if (!ends_well || str_is(version, "ff") || !text_is_hex(version) || !text_is_hex(trace) ||
        !text_is_hex(span) || !text_is_hex((struct str){s.p + FLAGS, 2}) || is_all_zeros(trace) ||
        is_all_zeros(span)) {
        return;
    }
    memcpy(ret, s.p + TRACE, TRACE_LEN + 1 + SPAN_LEN);
    ret[JOB_TRACE_SIZE - 1] = '\0';
}

/* ---- If-None-Match --------------------------------------------------------------------------- */

struct etag_search {
    struct str etag;
    bool found;
};

static bool compare_etag(void *ctx, struct str element)
{
    struct etag_search *s = ctx;
    if (element.n > 2 && element.p[0] == 'W' && element.p[1] == '/') {
        element = (struct str){element.p + 2, element.n - 2}; /* weak comparison */
    }
    s->found = str_eq(element, s->etag) || str_is(element, "*");
    return !s->found;
}

bool headers_match_etag(const struct headers *h, struct str etag)
{
    struct etag_search s = {.etag = etag};
    (void)each_element(h, HEADER_IF_NONE_MATCH, compare_etag, &s);
    return s.found;
}

/* ---- Idempotency-Key ------------------------------------------------------------------------- */

/* Reads a quoted string, unescaped; other texts as they are. False: broken. */
static bool unquote(struct str s, struct buf *out)
{
    if (s.n == 0 || s.p[0] != '"') {
        buf_add_str(out, s);
        return true;
    }
    if (s.n < 2 || s.p[s.n - 1] != '"') {
        return false;
    }
    for (size_t i = 1; i + 1 < s.n; i++) {
        if (s.p[i] == '"') {
            return false;
        }
        i += s.p[i] == '\\';
        if (i + 1 == s.n) {
            return false; /* the final quote is escaped */
        }
        buf_add_char(out, s.p[i]);
    }
    return true;
}

static bool is_visible(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~') {
            return false;
        }
    }
    return s.n > 0;
}

bool headers_idempotency_key(const struct headers *h, char ret[HTTP_KEY_SIZE], struct problem *p)
{
    AUTO_BUF struct buf key;
    buf_init(&key, HTTP_KEY_SIZE - 1);
    ret[0] = '\0';
    if (h->of[HEADER_IDEMPOTENCY_KEY].count == 0) {
        return true;
    }
    if (h->of[HEADER_IDEMPOTENCY_KEY].count > 1 ||
        !unquote(headers_first(h, HEADER_IDEMPOTENCY_KEY), &key) || key.overflow ||
        !is_visible(buf_str(&key))) {
        return problem_set(p, ERR_QUERY_INVALID,
                           "Idempotency-Key: must be one key of 1 to %d visible ASCII characters",
                           HTTP_KEY_SIZE - 1);
    }
    memcpy(ret, buf_text(&key), key.len + 1);
    return true;
}

/* Stamps of files of ended jobs; see the header. */
#include "comfypool/files/output_stamps.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/json_write.h"
#include "comfypool/base/list.h"
#include "comfypool/comfy/backend.h"
#include "comfypool/render/render.h"
#include "comfypool/store/outputs.h"

#include "server.h"

enum {
    AT_A_TIME = 4,
    MAX_WAITING = 1000, /* jobs */
    MAX_FILES = 1000,   /* of a job; the first ones */
};

struct stamps {
    struct store *store;
    struct file_servers *servers;
    bool is_on;
    bool stopping;
    struct stamping *first, *last; /* jobs with files still to be asked for */
    size_t waiting;
    struct stamp_look *looks; /* under way */
    unsigned open;
};

/* A job whose files are being asked for. */
struct stamping {
    struct stamps *all;
    struct stamping *next;
    struct kept_record row; /* files: NULL until all are known */
    char *backend;
    struct render_output *list;
    size_t len;
    struct output_stamp *stamps;
    size_t most; /* files of the list to ask for and keep */
    size_t asked;
    size_t open;
    bool away;   /* its backend does not answer */
    bool queued; /* in stamps.first: files are still to be asked for */
};

struct stamp_look {
    struct stamping *of;
    size_t n;
    struct http_call *call;
    struct stamp_look *next;
    struct stamp_look **link;
};

static const struct output_stamp not_known = {.size = -1, .modified_s = -1};

/* ---- answers of servers ---------------------------------------------------------------------- */

/* Reads a number that is a header's whole value; -1: none. */
static int64_t number_of(const char *value)
{
    int64_t n = -1;
    return value != NULL && str_to_int64(str_of(value), &n) && n >= 0 ? n : -1;
}

/* Returns the size of the whole file: in an answer with a part, after the slash of
   Content-Range. */
static int64_t size_of(struct http_call *call, unsigned status, int64_t length)
{
    if (status != 206) {
        return length;
    }
    const char *range = http_call_header(call, "Content-Range");
    const char *slash = range == NULL ? NULL : strchr(range, '/');
    return slash == NULL ? -1 : number_of(slash + 1);
}

static struct output_stamp read_headers(struct http_call *call, unsigned status, int64_t length)
{
    struct output_stamp s = not_known;
    s.size = size_of(call, status, length);
    s.modified_s = http_call_header_time(call, "Last-Modified");
    const char *etag = http_call_header(call, "ETag");
    if (etag != NULL && strlen(etag) < sizeof s.etag) {
        (void)snprintf(s.etag, sizeof s.etag, "%s", etag);
    }
    return s;
}

/* Skips the W/ of a weak ETag: a compressing gateway makes a strong one weak, for the same file. */
static const char *opaque(const char *etag)
{
    return strncmp(etag, "W/", 2) == 0 ? etag + 2 : etag;
}

bool stamp_matches(const struct output_stamp *s, struct http_call *call, unsigned status,
                   int64_t length)
{
    const struct output_stamp now = read_headers(call, status, length);
    if (s->size >= 0 && now.size >= 0 && s->size != now.size) {
        return false;
    }
    if (s->etag[0] != '\0' && now.etag[0] != '\0') {
        return strcmp(opaque(s->etag), opaque(now.etag)) == 0;
    }
    return s->modified_s < 0 || now.modified_s < 0 || s->modified_s == now.modified_s;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Writes an array by n: [{"size": 5, "etag": "...", "modified": 1700000000}, {}, ...]. */
static void write_files(const struct output_stamp *list, size_t len, struct buf *out)
{
    struct js_out o = js_out_to(out);
    js_open(&o, '[');
    for (size_t i = 0; i < len; i++) {
        js_open(&o, '{');
        if (list[i].size >= 0) {
            js_member_int(&o, "size", list[i].size);
        }
        if (list[i].etag[0] != '\0') {
            js_member_string(&o, "etag", list[i].etag);
        }
        if (list[i].modified_s >= 0) {
            js_member_int(&o, "modified", list[i].modified_s);
        }
        js_close(&o, '}');
    }
    js_close(&o, ']');
}

static struct output_stamp read_stamp(struct js_reader *r, struct buf *scratch)
{
    struct output_stamp s = not_known;
    for (struct js_token key = js_next(r); key.kind == JS_KEY; key = js_next(r)) {
        const struct js_token v = js_next(r);
        if (js_is(key, "size")) {
            (void)js_int(v, &s.size);
        } else if (js_is(key, "modified")) {
            (void)js_int(v, &s.modified_s);
        } else if (js_is(key, "etag")) {
            buf_clear(scratch);
            const struct str etag = js_text(v, scratch);
            (void)snprintf(s.etag, sizeof s.etag, "%.*s", (int)etag.n, etag.p);
        }
    }
    return s;
}

struct output_stamp stamps_find(const struct stamps *all, struct str files, size_t n)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    if (!all->is_on) {
        return not_known;
    }
    struct js_reader reader;
    js_read_strict(&reader, files, JS_MAX_DEPTH);
    (void)js_next(&reader);
    for (size_t i = 0; js_next(&reader).kind == JS_OBJECT; i++) {
        const struct output_stamp s = read_stamp(&reader, &scratch);
        if (i == n) {
            return s;
        }
    }
    return not_known;
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void stamping_free(struct stamping *s)
{
    render_outputs_free(s->list, s->len);
    kept_record_done(&s->row);
    free(s->stamps);
    free(s->backend);
    free(s);
}

static bool knows_any(const struct stamping *s)
{
    size_t i = 0;
    while (i < s->most && s->stamps[i].size < 0 && s->stamps[i].etag[0] == '\0' &&
           s->stamps[i].modified_s < 0) {
        i++;
    }
    return i < s->most;
}

static void finish(struct stamping *s)
{
    if (knows_any(s)) {
        AUTO_BUF struct buf files;
        buf_init(&files, BUF_NO_LIMIT);
        write_files(s->stamps, s->most, &files);
        s->row.files = buf_take(&files);
        store_put_stamps(s->all->store, &s->row);
    }
    stamping_free(s);
}

static void look_free(struct stamp_look *l)
{
    list_remove(l, next, link);
    l->of->open--;
    l->of->all->open--;
    free(l);
}

static void ask_more(struct stamps *all);

static void looked(void *ctx, const struct http_result *result)
{
    struct stamp_look *l = ctx;
    struct stamping *s = l->of;
    struct stamps *all = s->all;
    if (result->outcome == HTTP_ANSWERED && result->status == 200) {
        const int64_t length = number_of(http_call_header(l->call, "Content-Length"));
        s->stamps[l->n] = read_headers(l->call, 200, length);
    }
    s->away = s->away || result->outcome != HTTP_ANSWERED;
    look_free(l);
    if (s->open == 0 && !s->queued) {
        finish(s);
    }
    ask_more(all);
}

static void ask(struct stamping *s, struct file_server *from, size_t n)
{
    struct stamps *all = s->all;
    const struct render_output *o = &s->list[n];
    struct stamp_look *l = mem_zero(1, sizeof *l);
    l->of = s;
    l->n = n;
    list_push(&all->looks, l, next, link);
    all->open++;
    s->open++;
    l->call = comfy_view_head(from->comfy, str_of(o->filename), str_of(o->subfolder),
                              str_of(o->type), looked, l);
}

/* Asks for the first job's next file, or ends the first job. */
static void ask_next(struct stamps *all)
{
    struct stamping *s = all->first;
    struct file_server *from = file_server_find(all->servers, s->backend);
    while (s->asked < s->most && !render_output_is_at_server(&s->list[s->asked])) {
        s->asked++;
    }
    if (s->asked < s->most && !s->away && from != NULL && from->up) {
        ask(s, from, s->asked++);
        return;
    }
    all->first = s->next;
    s->queued = false;
    all->waiting--;
    if (s->open == 0) {
        finish(s);
    }
}

static void ask_more(struct stamps *all)
{
    while (!all->stopping && all->open < AT_A_TIME && all->first != NULL) {
        ask_next(all);
    }
}

void stamps_begin(struct stamps *all, const struct job_record *ended)
{
    if (!all->is_on || ended->outputs == NULL || ended->backend == NULL ||
        all->waiting >= MAX_WAITING) {
        return;
    }
    struct stamping *s = mem_zero(1, sizeof *s);
    s->all = all;
    s->list = render_outputs_read(str_of(ended->outputs), &s->len);
    s->most = s->len < MAX_FILES ? s->len : MAX_FILES;
    s->stamps = mem_alloc((s->most + 1) * sizeof *s->stamps);
    for (size_t i = 0; i < s->most; i++) {
        s->stamps[i] = not_known;
    }
    s->row.seq = ended->seq;
    s->row.ended_at = ended->completed_at;
    memcpy(s->row.job_id, ended->id, sizeof s->row.job_id);
    s->backend = mem_strdup(ended->backend);
    *(all->first == NULL ? &all->first : &all->last->next) = s;
    all->last = s;
    s->queued = true;
    all->waiting++;
    ask_more(all);
}

struct stamps *stamps_new(struct store *store, struct file_servers *servers, bool is_on)
{
    struct stamps *all = mem_zero(1, sizeof *all);
    all->store = store;
    all->servers = servers;
    all->is_on = is_on;
    return all;
}

void stamps_stop(struct stamps *all)
{
    all->stopping = true;
}

void stamps_free(struct stamps *all)
{
    for (struct stamp_look *l = all->looks, *next = NULL; l != NULL; l = next) {
        struct stamping *s = l->of;
        next = l->next;
        http_call_cancel(l->call);
        look_free(l);
        if (s->open == 0 && !s->queued) {
            stamping_free(s);
        }
    }
    while (all->first != NULL) {
        struct stamping *s = all->first;
        all->first = s->next;
        stamping_free(s);
    }
    free(all);
}

/*
 * The attachments of a submission: files for inputs of nodes. File names provide only the
 * extension, and are refused if they could mean a path. Pure.
 */
#include <stdlib.h>

#include "comfypool/base/base64.h"
#include "comfypool/base/digest.h"
#include "comfypool/base/text.h"

#include "submission.h"

enum { NAME_MOST = 255, OUTPUT_MOST = 1000000, NO_OUTPUT = -1 };

/* An attachment while it is read. */
struct reading {
    struct attachment a;
    char *filename;
    char *upload;
    char *job;
};

static bool read_node(const struct member *m, struct value *v, void *ret)
{
    return member_text(m, v, ret, 256);
}

static bool is_plain_name(struct str s)
{
    bool good = s.n > 0 && s.n <= NAME_MOST && !str_is(s, ".") && !str_is(s, "..");
    for (size_t i = 0; i < s.n && good; i++) {
        const unsigned char c = (unsigned char)s.p[i];
        good = c >= ' ' && c != 0x7f && c != '/' && c != '\\';
    }
    return good;
}

static const char name_shape[] = "a file's name has 1 to 255 bytes, no separators, no control "
                                 "characters, and is neither . nor ..";

static bool read_filename(struct value *v, void *ret, struct problem *p)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    if (v->token.kind != JS_STRING) {
        return problem_set(p, ERR_MEMBER_INVALID, "filename must be a string");
    }
    const struct str name = js_text(v->token, &scratch);
    if (!is_plain_name(name)) {
        return problem_set(p, ERR_ATTACHMENT_NAME_INVALID, "%s", name_shape);
    }
    ((struct reading *)ret)->filename = mem_copy(name);
    return true;
}

static bool read_data(struct value *v, void *ret, struct problem *p)
{
    AUTO_BUF struct buf scratch;
    AUTO_BUF struct buf bytes;
    buf_init(&scratch, BUF_NO_LIMIT);
    buf_init(&bytes, BUF_NO_LIMIT);
    if (v->token.kind != JS_STRING) {
        return problem_set(p, ERR_MEMBER_INVALID, "data must be a string");
    }
    const struct str text = js_text(v->token, &scratch);
    if (!base64_read(text, &bytes)) {
        const bool is_url = text.n > 5 && memcmp(text.p, "data:", 5) == 0;
        return problem_set(p, ERR_ATTACHMENT_DATA_INVALID, "data must be base64, with padding%s",
                           is_url ? "; leave out what stands before it, up to the comma" : "");
    }
    if (bytes.len == 0) {
        return problem_set(p, ERR_UPLOAD_EMPTY, "data is empty");
    }
    struct attachment *a = &((struct reading *)ret)->a;
    digest_sha256_hex(buf_str(&bytes), a->sha256);
    a->data_len = bytes.len;
    a->data = buf_take(&bytes);
    return true;
}

static bool read_part(const struct member *m, struct value *v, void *ret)
{
    return member_text(m, v, ret, 256);
}

static bool read_upload(const struct member *m, struct value *v, void *ret)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    const struct str text =
        v->token.kind == JS_STRING ? js_text(v->token, &scratch) : (struct str){"", 0};
    if (text.n != DIGEST_HEX_SIZE - 1 || !text_is_hex(text)) {
        return false;
    }
    *(char **)(void *)((char *)ret + m->offset) = mem_copy(text);
    return true;
}

static bool read_job(const struct member *m, struct value *v, void *ret)
{
    return member_text(m, v, ret, UUID_SIZE) &&
           uuid_is_canonical(str_of(((struct reading *)ret)->job));
}

static const struct member table[] = {
    {"nodeId", read_node, "the id of a node", .offset = offsetof(struct reading, a.node_id)},
    {"inputName", read_node, "the name of an input", .offset = offsetof(struct reading, a.input)},
    {.name = "filename", .read_inside = read_filename},
    {.name = "data", .read_inside = read_data},
    {"part", read_part, "the name of a part of this body",
     .offset = offsetof(struct reading, a.part)},
    {"upload", read_upload, "the SHA-256 of an upload: 64 lowercase hex digits",
     .offset = offsetof(struct reading, upload)},
    {"job", read_job, "the id of a job", .offset = offsetof(struct reading, job)},
    {"output", member_int, NULL, 0, OUTPUT_MOST, .offset = offsetof(struct reading, a.output)},
};

static bool check_one(const struct reading *g, struct problem *p)
{
    const int sources = (g->a.data != NULL ? 1 : 0) + (g->a.part != NULL ? 1 : 0) +
                        (g->upload != NULL ? 1 : 0) + (g->job != NULL ? 1 : 0);
    if (g->a.node_id == NULL || g->a.input == NULL) {
        return problem_set(p, ERR_MEMBER_INVALID, "an attachment has a nodeId and an inputName");
    }
    if (sources != 1) {
        return problem_set(p, ERR_MEMBER_INVALID,
                           "an attachment has one of part, upload, data and job");
    }
    return (g->job != NULL) == (g->a.output != NO_OUTPUT) ||
           problem_set(p, ERR_MEMBER_INVALID,
                       "job and output belong together: which output of which job");
}

static void reading_done(struct reading *g)
{
    free(g->a.node_id);
    free(g->a.input);
    free(g->a.part);
    free(g->a.data);
    free(g->filename);
    free(g->upload);
    free(g->job);
}

static bool is_given(const struct submission *s, const struct attachment *a)
{
    for (size_t i = 0; i < s->attachments_len; i++) {
        const struct attachment *b = &s->attachments[i];
        if (strcmp(a->node_id, b->node_id) == 0 && strcmp(a->input, b->input) == 0) {
            return true;
        }
    }
    return false;
}

static bool read_one(struct str text, struct submission *s, struct problem *p)
{
    struct reading g = {.a = {.output = NO_OUTPUT}};
    unsigned seen = 0;
    bool good =
        text.p[0] == '{' || problem_set(p, ERR_MEMBER_INVALID, "an attachment must be an object");
    good = good && members_read(text, table, sizeof table / sizeof *table, &g, &seen, p) &&
           check_one(&g, p);
    if (good && is_given(s, &g.a)) {
        good = problem_set(p, ERR_MEMBER_INVALID, "this input is given a file already");
    }
    if (!good) {
        reading_done(&g);
        return false;
    }
    g.a.extension = str_extension(g.filename);
    if (g.upload != NULL) {
        memcpy(g.a.sha256, g.upload, DIGEST_HEX_SIZE);
    }
    if (g.job != NULL) {
        memcpy(g.a.job_id, g.job, sizeof g.a.job_id);
    }
    s->attachments = mem_grow(s->attachments, (s->attachments_len + 1) * sizeof *s->attachments);
    s->attachments[s->attachments_len++] = g.a;
    free(g.filename);
    free(g.upload);
    free(g.job);
    return true;
}

bool submission_attachments(struct value *v, void *ret, struct problem *p)
{
    struct submission *s = ret;
    struct js_reader r;
    js_read_checked(&r, v->text);
    if (js_next(&r).kind != JS_ARRAY) {
        return problem_set(p, ERR_MEMBER_INVALID, "attachments must be an array");
    }
    const size_t n = p->pointer.len;
    for (struct str one = js_skip(&r); one.n > 0; one = js_skip(&r)) {
        if (s->attachments_len == ATTACHMENTS_MOST) {
            return problem_set(p, ERR_MEMBER_INVALID, "there may be 64 attachments at most");
        }
        buf_printf(&p->pointer, "/%zu", s->attachments_len);
        if (!read_one(one, s, p)) {
            return false;
        }
        p->pointer.len = n;
    }
    return true;
}

/* True if a JSON array of ids, which have no escapes, contains this one. */
static bool has_id(const char *ids, const char *id)
{
    return ids != NULL && strstr(ids, id) != NULL;
}

void submission_follow_attached(struct submission *s)
{
    for (size_t i = 0; i < s->attachments_len; i++) {
        const char *id = s->attachments[i].job_id;
        if (*id == '\0' || has_id(s->after, id)) {
            continue;
        }
        AUTO_BUF struct buf b;
        buf_init(&b, BUF_NO_LIMIT);
        if (s->after == NULL) {
            buf_printf(&b, "[\"%s\"]", id);
        } else {
            const char *end = strrchr(s->after, ']');
            buf_printf(&b, "%.*s,\"%s\"]", (int)(end - s->after), s->after, id);
        }
        free(s->after);
        s->after = buf_take(&b);
    }
}

static bool point_at(struct problem *p, size_t i, const char *member)
{
    members_point_at(p, STR("attachments"));
    buf_printf(&p->pointer, "/%zu/%s", i, member);
    return true;
}

bool submission_attached_known(const struct workflow *w, const struct submission *s,
                               struct problem *p)
{
    for (size_t i = 0; i < s->attachments_len; i++) {
        if (workflow_find(w, str_of(s->attachments[i].node_id)) == NULL) {
            (void)point_at(p, i, "nodeId");
            return problem_set(p, ERR_ATTACHMENT_NODE_NOT_FOUND, "the workflow has no such node");
        }
    }
    return true;
}

static const struct http_file *find_part(const struct http_request *rq, const char *name)
{
    for (size_t i = 0; i < rq->files_len; i++) {
        if (rq->files[i].part != NULL && strcmp(rq->files[i].part, name) == 0) {
            return &rq->files[i];
        }
    }
    return NULL;
}

static bool is_named(const struct submission *s, const char *part)
{
    for (size_t i = 0; i < s->attachments_len; i++) {
        if (s->attachments[i].part != NULL && strcmp(s->attachments[i].part, part) == 0) {
            return true;
        }
    }
    return false;
}

/* Refuses a part that no attachment names: a mistake, perhaps in its name. */
static bool refuse_unnamed(const struct submission *s, const struct http_request *rq,
                           struct problem *p)
{
    size_t i = 0;
    while (i < rq->files_len && is_named(s, rq->files[i].part)) {
        i++;
    }
    if (i == rq->files_len) {
        return true;
    }
    AUTO_BUF struct buf wanted;
    buf_init(&wanted, 256);
    for (size_t k = 0; k < s->attachments_len; k++) {
        if (s->attachments[k].part != NULL) {
            buf_printf(&wanted, "%s%.100s", wanted.len == 0 ? "" : ", ", s->attachments[k].part);
        }
    }
    return problem_set(
        p, ERR_MEMBER_INVALID, "no attachment names the part %.100s; %s%s", rq->files[i].part,
        wanted.len == 0 ? "none of them names a part" : "wanted: ", buf_text(&wanted));
}

static bool refuse_part(const char *wanted, const struct http_request *rq, struct problem *p)
{
    enum { SHOWN = 16 };
    AUTO_BUF struct buf given;
    buf_init(&given, BUF_NO_LIMIT);
    for (size_t i = 0; i < rq->files_len && i < SHOWN; i++) {
        buf_printf(&given, "%s%.100s", i == 0 ? "" : ", ", rq->files[i].part);
    }
    return problem_set(p, ERR_ATTACHMENT_PART_MISSING, "the body has no part %.100s; %s%s", wanted,
                       rq->files_len == 0
                           ? "it has no file at all: send it as multipart/form-data, "
                             "with the part job and one for each file"
                           : "its files are: ",
                       buf_text(&given));
}

bool submission_attach_parts(struct submission *s, const struct http_request *rq, struct problem *p)
{
    for (size_t i = 0; i < s->attachments_len; i++) {
        struct attachment *a = &s->attachments[i];
        const struct http_file *f = a->part == NULL ? NULL : find_part(rq, a->part);
        if (a->part == NULL) {
            continue;
        }
        if (f == NULL) {
            (void)point_at(p, i, "part");
            return refuse_part(a->part, rq, p);
        }
        memcpy(a->sha256, f->sha256, sizeof a->sha256);
        if (a->extension[0] != '\0' || f->filename == NULL || *f->filename == '\0') {
            continue;
        }
        if (!is_plain_name(str_of(f->filename))) {
            (void)point_at(p, i, "part");
            return problem_set(p, ERR_ATTACHMENT_NAME_INVALID, "%s", name_shape);
        }
        free(a->extension); /* the part's own file name has it */
        a->extension = str_extension(f->filename);
    }
    return refuse_unnamed(s, rq, p);
}

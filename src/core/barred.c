/* What servers and gateways refuse; see the header. */
#include "comfypool/core/barred.h"

#include <stdlib.h>

#include "comfypool/base/str.h"

static const struct {
    unsigned status;
    const char *cause; /* and what to do */
} refusals[] = {
    {401, "it wants credentials: put them into the file that headersFile of this backend names"},
    {403, "it forbids that: put what it wants into the file that headersFile of this backend "
          "names, or let this host through"},
    {404, "there is no such path: see whether the url of this backend has the path prefix of its "
          "proxy, and whether a ComfyUI is behind it"},
    {405, "it lets no POST through: see whether the url of this backend leads to a ComfyUI"},
    {413, "the body is too large for it: raise the limit of body sizes of its proxy (nginx: "
          "client_max_body_size; ComfyUI: --max-upload-size), then POST /backends/<name>/resume"},
};

static const char *cause_of(unsigned status)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        if (refusals[i].status == status) {
            return refusals[i].cause;
        }
    }
    return "that is HTML, or an error, of a proxy, gateway or login page that stands before it and "
           "does not let the request through";
}

/* Drops the reason when nothing is barred. */
static void forget_why(struct barred *r)
{
    if (!r->all && !barred_limits(r)) {
        free(r->why);
        r->why = NULL;
    }
}

bool barred_limits(const struct barred *r)
{
    return r->body_limit > 0 || r->file_limit > 0 || r->files;
}

void barred_done(struct barred *r)
{
    free(r->why);
    *r = (struct barred){0};
}

bool barred_note(struct barred *r, const struct barred_request *q)
{
    AUTO_BUF struct buf why;
    buf_init(&why, 4096);
    buf_printf(&why, "POST %s was answered with %u%s: %s",
               q->file > 0 ? "/upload/image" : "/prompt", q->status, q->page ? " and no JSON" : "",
               cause_of(q->status));
    free(r->why);
    r->why = buf_take(&why);
    if (q->status == 413 && q->file > 0) {
        r->file_limit = r->file_limit == 0 || q->file < r->file_limit ? q->file : r->file_limit;
        return false;
    }
    if (q->status == 413) {
        r->body_limit = r->body_limit == 0 || q->body < r->body_limit ? q->body : r->body_limit;
        return false;
    }
    r->files = r->files || q->file > 0;
    r->tries_a_file = false;
    r->all = r->all || q->file == 0;
    r->tries_again = r->tries_again && q->file > 0;
    return true;
}

bool barred_try(struct barred *r)
{
    const bool all = r->all;
    r->all = false;
    r->tries_again = r->tries_again || all;
    r->tries_a_file = r->files;
    return all;
}

bool barred_accepted(struct barred *r)
{
    const bool tried = r->tries_again;
    r->tries_again = false;
    if (tried) {
        forget_why(r);
    }
    return tried;
}

bool barred_file_accepted(struct barred *r)
{
    const bool refused = r->files;
    r->files = r->tries_a_file = false;
    if (refused) {
        forget_why(r);
    }
    return refused;
}

void barred_forget_limits(struct barred *r)
{
    r->body_limit = 0;
    r->file_limit = 0;
    r->files = r->tries_a_file = false;
}

bool barred_for(const struct barred *r, size_t body, size_t files, uint64_t largest, bool busy)
{
    if (r->body_limit > 0 && body >= r->body_limit) {
        return true;
    }
    return files > 0 && ((r->file_limit > 0 && largest >= r->file_limit) ||
                         (r->files && (!r->tries_a_file || busy)));
}

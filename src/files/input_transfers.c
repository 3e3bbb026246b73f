/* Input files on their way to servers; see the header. */
#include "comfypool/files/input_transfers.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/list.h"
#include "comfypool/base/map.h"
#include "comfypool/comfy/backend.h"
#include "comfypool/files/uploads.h"
#include "comfypool/store/blobs.h"

/* Limit per server; forgotten files are sent again. */
enum { SENT_MOST = 4096 };

struct sent_file {
    char *key;
    char *name; /* chosen by the server, with its folder */
    struct sent_file *newer;
};

/* A file being sent to a server. */
struct transfer {
    struct input_server *server;
    struct transfer *next, **link;
    struct http_call *call;
    char *key;
    uint64_t size;
};

struct input_server {
    struct uploads *uploads;
    struct comfy_backend *comfy;
    const char *subfolder;
    input_sent_fn done;
    void *ctx;
    struct map names; /* by key: struct sent_file */
    struct sent_file *oldest, *newest;
    struct transfer *transfers; /* running ones */
};

char *input_key(const struct uploads *uploads, const char *sha256, const char *extension)
{
    AUTO_BUF struct buf b;
    char name[33];
    buf_init(&b, 256);
    uploads_server_name(uploads, sha256, name);
    buf_printf(&b, "%s%s", name, extension);
    return buf_take(&b);
}

static bool is_under_way(const struct input_server *s, const char *key)
{
    const struct transfer *t = s->transfers;
    while (t != NULL && strcmp(t->key, key) != 0) {
        t = t->next;
    }
    return t != NULL;
}

static void transfer_free(struct transfer *t)
{
    list_remove(t, next, link);
    free(t->key);
    free(t);
}

static void forget_oldest(struct input_server *s)
{
    struct sent_file *f = s->oldest;
    s->oldest = f->newer;
    s->newest = s->oldest == NULL ? NULL : s->newest;
    (void)map_remove(&s->names, str_of(f->key));
    free(f->key);
    free(f->name);
    free(f);
}

/* Remembers a sent file; its key is new. */
static void remember(struct input_server *s, const char *key, const char *name)
{
    struct sent_file *f = mem_alloc(sizeof *f);
    *f = (struct sent_file){mem_strdup(key), mem_strdup(name), NULL};
    *(s->oldest == NULL ? &s->oldest : &s->newest->newer) = f;
    s->newest = f;
    (void)map_put(&s->names, str_of(f->key), f);
    if (s->names.len > SENT_MOST) {
        forget_oldest(s);
    }
}

struct input_server *input_server_new(struct uploads *uploads, struct comfy_backend *comfy,
                                      const char *subfolder, input_sent_fn done, void *ctx)
{
    struct input_server *s = mem_zero(1, sizeof *s);
    s->uploads = uploads;
    s->comfy = comfy;
    s->subfolder = subfolder;
    s->done = done;
    s->ctx = ctx;
    map_init(&s->names);
    return s;
}

void input_server_forget(struct input_server *s)
{
    while (s->oldest != NULL) {
        forget_oldest(s);
    }
}

void input_server_free(struct input_server *s)
{
    for (struct transfer *t = s->transfers, *next = NULL; t != NULL; t = next) {
        next = t->next;
        http_call_cancel(t->call);
        transfer_free(t);
    }
    input_server_forget(s);
    map_done(&s->names);
    free(s);
}

const char *input_name(const struct input_server *s, const char *key)
{
    const struct sent_file *f = map_get(&s->names, str_of(key));
    return f == NULL ? NULL : f->name;
}

static void transferred(void *ctx, const char *name, unsigned status, bool is_page, const char *why)
{
    struct transfer *t = ctx;
    struct input_server *s = t->server;
    AUTO_FREE char *key = mem_strdup(t->key);
    const struct input_mishap m = {why, status, is_page, t->size};
    transfer_free(t);
    if (name != NULL) {
        remember(s, key, name);
    }
    s->done(s->ctx, key, name == NULL ? &m : NULL);
}

bool input_send(struct input_server *s, const char *sha256, const char *key)
{
    if (is_under_way(s, key)) {
        return true;
    }
    AUTO_BUF struct buf path;
    buf_init(&path, BUF_NO_LIMIT);
    uint64_t size = 0;
    const int fd = uploads_open(s->uploads, sha256, &size);
    if (fd < 0) {
        return false;
    }
    (void)close(fd);
    blob_path(uploads_blobs(s->uploads), sha256, &path);
    struct transfer *t = mem_zero(1, sizeof *t);
    t->server = s;
    t->key = mem_strdup(key);
    t->size = size > 0 ? size : 1;
    list_push(&s->transfers, t, next, link);
    t->call = comfy_upload(s->comfy, buf_text(&path), key, s->subfolder, transferred, t);
    return true;
}

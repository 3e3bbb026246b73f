/* /view and /upload/image. See files.h. Leaves HTTP itself to server.c. */
#include "files.h"

#include "png.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BIG_MAX_MIB 65536
#define RECORDED_AT 1795348260 /* 22 Nov 2026 11:51:00 GMT */

static uint64_t hash_name(const char *name)
{
    uint64_t h = 0xcbf29ce484222325U;
    for (const char *at = name; *at; at++) {
        h = (h ^ (unsigned char)*at) * 0x100000001b3U;
    }
    return h;
}

enum { TYPE_PNG }; /* the first of types */

static const struct {
    const char *extension, *type, *magic;
    size_t magic_len;
} types[] = {
    [TYPE_PNG] = {".png", "image/png", "", 0}, /* made whole */
    {".jpg", "image/jpeg", "\xff\xd8\xff\xe0", 4},
    {".jpeg", "image/jpeg", "\xff\xd8\xff\xe0", 4},
    {".webp", "image/webp", "RIFF", 4},
    {".gif", "image/gif", "GIF89a", 6},
    {".mp4", "video/mp4",
     "\0\0\0\x20"
     "ftypisom",
     12},
    {".webm", "video/webm", "\x1a\x45\xdf\xa3", 4},
    {".wav", "audio/x-wav", "RIFF", 4},
    {".mp3", "audio/mpeg", "ID3", 3},
    {".flac", "audio/x-flac", "fLaC", 4},
    {".txt", "text/plain", "", 0},
    {".html", "application/octet-stream", "", 0},
    {".json", "application/json", "", 0},
    {".svg", "image/svg+xml", "<svg", 4},
};

/* Index in types, or the number of types. */
static size_t type_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    size_t n = sizeof(types) / sizeof(types[0]);
    for (size_t i = 0; dot && i < n; i++) {
        if (!strcasecmp(dot, types[i].extension)) {
            return i;
        }
    }
    return n;
}

static void make_big(uint64_t at, unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint64_t k = at + i;
        bytes[i] = (unsigned char)(k + (k >> 8) * 7 + (k >> 16) * 31);
    }
}

static void make_picture(const char *name, struct text *out)
{
    const uint64_t h = hash_name(name);
    const uint32_t side = 84 + (uint32_t)(h % 76); /* 21 to 76 kB */
    png_add(out, side, side, h);
}

static void make_noise(const char *name, struct text *out)
{
    size_t type = type_of(name);
    if (type == TYPE_PNG) {
        make_picture(name, out);
        return;
    }
    uint64_t h = hash_name(name);
    size_t len = 20000 + h % 60000;
    text_reserve(out, len);
    for (size_t i = 0; i < len; i++) {
        h = h * 6364136223846793005U + 1442695040888963407U;
        out->data[i] = (char)(h >> 56);
    }
    out->len = len;
    out->data[len] = '\0';
    if (type < sizeof(types) / sizeof(types[0])) {
        memcpy(out->data, types[type].magic, types[type].magic_len);
    }
}

static const struct upload *find_upload(const struct files *files, const char *type,
                                        const char *subfolder, const char *name)
{
    for (const struct upload *up = files->uploads; up; up = up->next) {
        if (!strcmp(up->type, type) && !strcmp(up->subfolder, subfolder) &&
            !strcmp(up->name, name)) {
            return up;
        }
    }
    return NULL;
}

/* Where a real server has its outputs: an absolute folder is good when it is in there. */
static const char OUTPUTS[] = "/comfyui/output";

/* All that a real server looks at. */
static const char *last_part(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

/* 0 when the file is there, else the status that a real server answers. */
static int view_status(struct files *files, struct conn *conn)
{
    const char *name = conn_query(conn, "filename");
    const char *type = conn_query(conn, "type");
    const char *subfolder = conn_query(conn, "subfolder");
    if (!name) {
        return 404;
    }
    const char *folder = conn_query(conn, "subfolder");
    if (!strncmp(last_part(name), "sub_", 4) && !(folder && folder[0])) {
        return 404;
    }
    if (name[0] == '\0' || name[0] == '/' || strstr(name, "..")) {
        return 400;
    }
    type = type ? type : "output";
    if (strcmp(type, "output") && strcmp(type, "temp") && strcmp(type, "input")) {
        return 400;
    }
    bool outside = subfolder && subfolder[0] == '/' && strncmp(subfolder, OUTPUTS, strlen(OUTPUTS));
    if (outside || (subfolder && strstr(subfolder, ".."))) {
        return 403;
    }
    bool uploaded = find_upload(files, type, subfolder ? subfolder : "", name) != NULL;
    if (!uploaded && (!strncmp(name, "missing", 7) ||
                      (!strcmp(type, "input") && strcmp(name, "example.png") != 0))) {
        return 404;
    }
    return 0;
}

/* "bytes=a-b". Returns 206, 416, or 200 when there is no range that counts. */
static int parse_range(const char *range, uint64_t size, uint64_t *from, uint64_t *to)
{
    *from = 0;
    *to = size;
    if (!range || strncmp(range, "bytes=", 6) != 0 || strchr(range, ',')) {
        return 200;
    }
    char *end;
    const char *first = range + 6;
    if (*first == '-') {
        uint64_t n = strtoull(first + 1, &end, 10);
        if (end == first + 1 || *end) {
            return 416;
        }
        *from = n < size ? size - n : 0;
        return n == 0 ? 416 : 206;
    }
    *from = strtoull(first, &end, 10);
    if (end == first || *end != '-' || *from >= size) {
        return 416;
    }
    const char *last = end + 1;
    if (*last) {
        uint64_t n = strtoull(last, &end, 10);
        if (*end || n < *from) {
            return 416;
        }
        *to = n + 1 < size ? n + 1 : size;
    }
    return 206;
}

void files_view(struct files *files, struct conn *conn)
{
    int status = files->broken ? 500 : view_status(files, conn);
    if (status) {
        conn_answer(conn, status, "application/octet-stream", NULL, "", 0);
        return;
    }
    const char *name = last_part(conn_query(conn, "filename"));
    const char *type = conn_query(conn, "type");
    const char *subfolder = conn_query(conn, "subfolder");
    const struct upload *up =
        find_upload(files, type ? type : "output", subfolder ? subfolder : "", name);
    unsigned mib = 0;
    int used = 0;
    bool is_big = !up && sscanf(name, "big-%5u.bin%n", &mib, &used) == 1 && used > 0 &&
                  name[used] == '\0' && mib <= BIG_MAX_MIB;
    struct text bytes = {0};
    uint64_t size;
    if (is_big) {
        size = (uint64_t)mib << 20;
    } else if (up) {
        text_add(&bytes, up->bytes, up->len);
        size = up->len;
    } else {
        make_noise(name, &bytes);
        size = bytes.len;
    }
    size_t kind = type_of(name);
    const char *mime =
        kind < sizeof(types) / sizeof(types[0]) ? types[kind].type : "application/octet-stream";
    struct text headers = {0};
    TEXT_LIT(&headers, "Content-Disposition: filename=\"");
    for (const char *at = name; *at; at++) {
        if (*at != '"' && *at != '\\' && (unsigned char)*at >= 0x20) {
            text_add(&headers, at, 1);
        }
    }
    uint64_t tag = up ? hash_name(name) ^ (uint64_t)up->len * 0x9e3779b97f4a7c15U : hash_name(name);
    const time_t at = (time_t)(files->modified ? files->modified : RECORDED_AT);
    tag ^= (uint64_t)files->modified;
    struct tm tm;
    char modified[64];
    (void)strftime(modified, sizeof modified, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&at, &tm));
    text_printf(&headers,
                "\"\r\nEtag: \"%016" PRIx64 "-%" PRIx64 "\"\r\n"
                "Last-Modified: %s\r\nAccept-Ranges: bytes\r\n",
                tag, size, modified);
    uint64_t from;
    uint64_t to;
    status = parse_range(conn->range, size, &from, &to);
    if (status == 416) {
        text_printf(&headers, "Content-Range: bytes */%" PRIu64 "\r\n", size);
        conn_answer(conn, 416, mime, headers.data, "", 0);
    } else {
        if (status == 206) {
            text_printf(&headers, "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n",
                        from, to - 1, size);
        }
        if (is_big) {
            conn_answer_stream(conn, status, mime, headers.data, make_big, from, to);
        } else {
            conn_answer(conn, status, mime, headers.data, bytes.data ? bytes.data + from : "",
                        (size_t)(to - from));
        }
    }
    text_free(&headers);
    text_free(&bytes);
}

/* ---- uploads ---------------------------------------------------------------------------- */

struct part {
    char name[64];
    char filename[512];
    const char *bytes;
    size_t len;
};

/* A parameter of Content-Disposition: name="value". */
static void read_parameter(const char *headers, size_t len, const char *key, char *value,
                           size_t size)
{
    value[0] = '\0';
    size_t key_len = strlen(key);
    for (size_t i = 0; i + key_len < len; i++) {
        bool starts = i == 0 || headers[i - 1] == ' ' || headers[i - 1] == ';';
        if (!starts || strncasecmp(headers + i, key, key_len) != 0) {
            continue;
        }
        const char *at = headers + i + key_len;
        size_t n = 0;
        while (at < headers + len && *at != '"' && n + 1 < size) {
            value[n++] = *at++;
        }
        value[n] = '\0';
        return;
    }
}

/* The next part of a multipart body; false at its end. */
static bool next_part(const char **at, const char *end, const char *boundary, struct part *part)
{
    size_t n = strlen(boundary);
    const char *start = memmem(*at, (size_t)(end - *at), boundary, n);
    if (!start || start + n + 2 > end || !strncmp(start + n, "--", 2)) {
        return false;
    }
    start += n + 2;
    const char *blank = memmem(start, (size_t)(end - start), "\r\n\r\n", 4);
    if (!blank) {
        return false;
    }
    size_t head = (size_t)(blank - start);
    read_parameter(start, head, "name=\"", part->name, sizeof(part->name));
    read_parameter(start, head, "filename=\"", part->filename, sizeof(part->filename));
    part->bytes = blank + 4;
    const char *stop = memmem(part->bytes, (size_t)(end - part->bytes), boundary, n);
    if (!stop || stop < part->bytes + 2) {
        return false;
    }
    part->len = (size_t)(stop - part->bytes) - 2; /* less the CRLF before the boundary */
    *at = stop;
    return true;
}

static void save(struct files *files, const char *type, const char *subfolder, const char *name,
                 const struct part *part)
{
    struct upload *up = (struct upload *)(uintptr_t)find_upload(files, type, subfolder, name);
    if (!up) {
        up = sim_alloc(sizeof(*up));
        up->type = sim_strndup(type, strlen(type));
        up->subfolder = sim_strndup(subfolder, strlen(subfolder));
        up->name = sim_strndup(name, strlen(name));
        up->next = files->uploads;
        files->uploads = up;
    }
    free(up->bytes);
    up->bytes = sim_strndup(part->bytes, part->len);
    up->len = part->len;
}

/* "up.png" -> "up (1).png" while another content has that name. */
static void free_name(const struct files *files, const char *type, const char *subfolder,
                      const struct part *part, struct text *name)
{
    const char *dot = strrchr(part->filename, '.');
    size_t stem = dot ? (size_t)(dot - part->filename) : strlen(part->filename);
    text_str(name, part->filename);
    for (int i = 1;; i++) {
        const struct upload *up = find_upload(files, type, subfolder, name->data);
        if (!up || (up->len == part->len && memcmp(up->bytes, part->bytes, part->len) == 0)) {
            return;
        }
        text_clear(name);
        text_printf(name, "%.*s (%d)%s", (int)stem, part->filename, i, dot ? dot : "");
    }
}

void files_upload(struct files *files, struct conn *conn)
{
    const char *mark = conn->content_type ? strstr(conn->content_type, "boundary=") : NULL;
    char boundary[256];
    if (mark) {
        mark += 9;
        mark += *mark == '"';
        snprintf(boundary, sizeof(boundary), "--%.*s", (int)strcspn(mark, "\";"), mark);
    }
    struct part image = {0};
    struct part part;
    char subfolder[512] = "";
    char type[32] = "input";
    bool overwrite = false;
    const char *at = conn->body.data;
    while (mark && at && next_part(&at, conn->body.data + conn->body.len, boundary, &part)) {
        if (!strcmp(part.name, "image")) {
            image = part;
        } else if (!strcmp(part.name, "subfolder")) {
            snprintf(subfolder, sizeof(subfolder), "%.*s", (int)part.len, part.bytes);
        } else if (!strcmp(part.name, "type")) {
            snprintf(type, sizeof(type), "%.*s", (int)part.len, part.bytes);
        } else if (!strcmp(part.name, "overwrite")) {
            overwrite = (part.len == 4 && !memcmp(part.bytes, "true", 4)) ||
                        (part.len == 1 && part.bytes[0] == '1');
        }
    }
    if (!image.filename[0] || strstr(subfolder, "..") || subfolder[0] == '/') {
        conn_answer(conn, 400, "application/octet-stream", NULL, "", 0);
        return;
    }
    struct text name = {0};
    if (overwrite) {
        text_str(&name, image.filename);
    } else {
        free_name(files, type, subfolder, &image, &name);
    }
    save(files, type, subfolder, name.data, &image);
    struct text json = {0};
    TEXT_LIT(&json, "{\"name\": ");
    text_quoted(&json, name.data, name.len);
    TEXT_LIT(&json, ", \"subfolder\": ");
    text_quoted(&json, subfolder, strlen(subfolder));
    TEXT_LIT(&json, ", \"type\": ");
    text_quoted(&json, type, strlen(type));
    TEXT_LIT(&json, "}");
    conn_answer(conn, 200, "application/json; charset=utf-8", NULL, json.data, json.len);
    text_free(&json);
    text_free(&name);
}

bool files_has_image(void *owner, const char *name)
{
    const struct files *files = owner;
    char copy[1024];
    char type[16] = "input";
    snprintf(copy, sizeof(copy), "%s", name);
    size_t len = strlen(copy);
    char *bracket = len > 0 && copy[len - 1] == ']' ? strrchr(copy, '[') : NULL;
    if (bracket && bracket > copy && bracket[-1] == ' ') {
        snprintf(type, sizeof(type), "%.*s", (int)strcspn(bracket + 1, "]"), bracket + 1);
        bracket[-1] = '\0';
    }
    char *slash = strrchr(copy, '/');
    const char *file = slash ? slash + 1 : copy;
    if (slash) {
        *slash = '\0';
    }
    return strcmp(type, "input") != 0 || (!slash && !strcmp(file, "example.png")) ||
           find_upload(files, type, slash ? copy : "", file);
}

json_t *files_images(const struct files *files)
{
    json_t *list = json_array();
    json_array_append_new(list, json_string("example.png"));
    for (const struct upload *up = files->uploads; up; up = up->next) {
        if (!strcmp(up->type, "input") && !up->subfolder[0]) {
            json_array_append_new(list, json_string(up->name));
        }
    }
    return list;
}

void files_free(struct files *files)
{
    while (files->uploads) {
        struct upload *up = files->uploads;
        files->uploads = up->next;
        free(up->type);
        free(up->subfolder);
        free(up->name);
        free(up->bytes);
        free(up);
    }
}

/* Names of outputs; see the header. */
#include "output_names.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "comfypool/base/buf.h"
#include "comfypool/render/render.h"

/* Media types from IANA's registry, or what browsers call a format that it lacks; else none. */
static const struct {
    const char *ending;
    const char *kind;
    const char *media_type;
} kinds[] = {
    {".png", "image", "image/png"},
    {".jpg", "image", "image/jpeg"},
    {".jpeg", "image", "image/jpeg"},
    {".webp", "image", "image/webp"},
    {".gif", "image", "image/gif"},
    {".apng", "image", "image/apng"},
    {".avif", "image", "image/avif"},
    {".jxl", "image", "image/jxl"},
    {".heic", "image", "image/heic"},
    {".svg", "image", "image/svg+xml"},
    {".bmp", "image", "image/bmp"},
    {".tif", "image", "image/tiff"},
    {".tiff", "image", "image/tiff"},
    {".exr", "image", "image/x-exr"},
    {".hdr", "image", "image/vnd.radiance"},
    {".psd", "image", "image/vnd.adobe.photoshop"},
    {".mp4", "video", "video/mp4"},
    {".m4v", "video", "video/mp4"},
    {".webm", "video", "video/webm"},
    {".mov", "video", "video/quicktime"},
    {".mkv", "video", "video/matroska"},
    {".avi", "video", "video/x-msvideo"},
    {".wav", "audio", "audio/wav"},
    {".mp3", "audio", "audio/mpeg"},
    {".flac", "audio", "audio/flac"},
    {".ogg", "audio", "audio/ogg"},
    {".opus", "audio", "audio/ogg"},
    {".m4a", "audio", "audio/mp4"},
    {".aac", "audio", "audio/aac"},
    {".glb", "3d", "model/gltf-binary"},
    {".gltf", "3d", "model/gltf+json"},
    {".obj", "3d", "model/obj"},
    {".stl", "3d", "model/stl"},
    {".ply", "3d", NULL},
    {".splat", "3d", NULL},
    {".spz", "3d", NULL},
    {".ksplat", "3d", NULL},
    {".fbx", "3d", NULL},
    {".usdz", "3d", "model/vnd.usdz+zip"},
    {".txt", "text", "text/plain"},
    {".json", "text", "application/json"},
    {".csv", "text", "text/csv"},
    {".srt", "text", "text/plain"},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* Longest name. */
enum { MOST = 1024 };

static bool has_ending(const char *name, const char *ending)
{
    const size_t n = strlen(name);
    const size_t len = strlen(ending);
    return n >= len && strcasecmp(name + n - len, ending) == 0;
}

/* Returns its row; KINDS: none. */
static size_t row_of(const char *name)
{
    size_t i = 0;
    while (i < KINDS && !has_ending(name, kinds[i].ending)) {
        i++;
    }
    return i;
}

const char *render_output_media_type(const char *filename)
{
    const size_t i = row_of(filename);
    return i < KINDS ? kinds[i].media_type : NULL;
}

const char *output_kind(const char *filename)
{
    const size_t i = row_of(filename);
    return i < KINDS ? kinds[i].kind : "file";
}

/* ---- where it is ----------------------------------------------------------------------------- */

static bool is_separator(char c)
{
    return c == '/' || c == '\\';
}

static bool is_absolute(const char *path)
{
    const char c = (char)(path[0] | 0x20);
    return is_separator(path[0]) ||
           (c >= 'a' && c <= 'z' && path[1] == ':' && is_separator(path[2]));
}

/* Returns the part behind the last separator. */
static const char *last_part(const char *path)
{
    const char *last = path;
    for (const char *p = path; *p != '\0'; p++) {
        last = is_separator(*p) ? p + 1 : last;
    }
    return last;
}

static const char *const notes[] = {"output", "temp", "input"};

/* Finds the note behind the name: its index, and in *ret where it begins. */
static size_t find_note(const char *name, size_t *ret)
{
    const size_t n = strlen(name);
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
        const size_t len = strlen(notes[i]) + 3; /* " [...]" */
        if (n > len && name[n - len] == ' ' && name[n - len + 1] == '[' && name[n - 1] == ']' &&
            memcmp(name + n - len + 2, notes[i], len - 3) == 0) {
            *ret = n - len;
            return i;
        }
    }
    return sizeof notes / sizeof *notes;
}

static void take_note(char *filename, char **type)
{
    size_t at = 0;
    const size_t i = find_note(filename, &at);
    if (i < sizeof notes / sizeof *notes) {
        filename[at] = '\0';
        *type = *type == NULL ? mem_strdup(notes[i]) : *type;
    }
}

/* Joins the folder of the name to the given subfolder. Owner: the caller. */
static char *join(const char *subfolder, struct str folder)
{
    AUTO_FREE char *text = mem_copy(folder);
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    const char *rest = text;
    while (rest[0] == '.' && is_separator(rest[1])) {
        rest += 2;
    }
    rest = strcmp(rest, ".") == 0 ? "" : rest;
    if (!is_absolute(text) && subfolder[0] != '\0') {
        buf_add_text(&b, subfolder);
        buf_add_text(&b,
                     *rest == '\0' || is_separator(subfolder[strlen(subfolder) - 1]) ? "" : "/");
    }
    buf_add_text(&b, rest);
    return buf_take(&b);
}

void output_place(char **filename, char **subfolder, char **type)
{
    take_note(*filename, type);
    const char *last = last_part(*filename);
    if (last == *filename || *last == '\0') {
        return;
    }
    size_t n = (size_t)(last - *filename) - 1;
    n = n == 0 ? 1 : n; /* the root */
    char *folder = join(*subfolder, (struct str){*filename, n});
    char *name = mem_strdup(last);
    free(*filename);
    free(*subfolder);
    *filename = name;
    *subfolder = folder;
}

/* ---- strings --------------------------------------------------------------------------------- */

bool output_is_named(const char *s, bool of_text)
{
    const size_t n = strlen(s);
    if (n > MOST || memchr(s, '.', n) == NULL || strstr(s, "://") != NULL) {
        return false;
    }
    size_t end = n;
    size_t note = 0;
    const size_t i = find_note(s, &note);
    if (i < sizeof notes / sizeof *notes) {
        if (strcmp(notes[i], "input") == 0) {
            return false; /* an input, not an output */
        }
        end = note;
    }
    bool blank = false;
    for (size_t k = 0; k < end; k++) {
        if ((unsigned char)s[k] < ' ') {
            return false;
        }
        blank = blank || s[k] == ' ';
    }
    AUTO_FREE char *path = mem_copy((struct str){s, end});
    const char *name = last_part(path);
    const size_t row = row_of(name);
    return row < KINDS && strlen(name) > strlen(kinds[row].ending) &&
           !(of_text && (blank || name == path));
}

/* True if path ends with the folders `end`, as whole ones. */
static bool ends_with_folders(const char *path, const char *end)
{
    size_t n = strlen(path);
    size_t k = strlen(end);
    while (k > 0 && n > 0 &&
           (path[n - 1] == end[k - 1] || (is_separator(path[n - 1]) && is_separator(end[k - 1])))) {
        n--;
        k--;
    }
    return k == 0 && (n == 0 || is_separator(path[n - 1]) || is_separator(path[n]));
}

bool output_folders_match(const char *a, const char *b)
{
    if (is_absolute(a) == is_absolute(b)) {
        return strlen(a) == strlen(b) && ends_with_folders(a, b);
    }
    return is_absolute(a) ? *b == '\0' || ends_with_folders(a, b)
                          : *a == '\0' || ends_with_folders(b, a);
}

/*
 * Recognises bodies that are no JSON and says what to send instead. People send the name of a file,
 * an image with a workflow in it, a file that an editor saved as UTF-16. Pure.
 */
#include "comfypool/base/sniff.h"

#include <string.h>

struct signature {
    struct str begin;
    const char *detail;
};

#define IMAGE(kind)                                                                                \
    "this is " kind                                                                                \
    " image, no JSON: in ComfyUI open it, use Workflow > Export (API), and send the "              \
    "file that is saved then"
#define UTF16 "this is UTF-16: save the file as UTF-8"
#define FORM                                                                                       \
    "this is a form, no JSON: the body itself is the JSON object; curl sends a file with "         \
    "-d @FILE"
#define QUOTES                                                                                     \
    "JSON has double quotes. A Windows command line keeps single ones: put the JSON into a file, " \
    "and send it with -d @FILE"
#define COMMENT "JSON has no comments: remove them"

static const struct signature signatures[] = {
    {STR_INIT("\x89PNG"), IMAGE("a PNG")},
    {STR_INIT("\xff\xd8\xff"), IMAGE("a JPEG")},
    {STR_INIT("GIF8"), IMAGE("a GIF")},
    {STR_INIT("RIFF"), IMAGE("a WebP")},
    {STR_INIT("\xff\xfe"), UTF16},
    {STR_INIT("\xfe\xff"), UTF16},
    {STR_INIT("{\0"), UTF16},
    {STR_INIT("\0{"), UTF16},
    {STR_INIT("\x1f\x8b"), "this is gzip: say so with the header Content-Encoding: gzip"},
    {STR_INIT("\x28\xb5\x2f\xfd"), "this is zstd: send it as it is, or as gzip with the header "
                                   "Content-Encoding: gzip"},
    {STR_INIT("PK\x03\x04"), "this is a ZIP archive: send the JSON that is in it"},
    {STR_INIT("prompt="), FORM},
    {STR_INIT("workflow="), FORM},
    {STR_INIT("%7B"), FORM},
    {STR_INIT("'"), QUOTES},
    {STR_INIT("{'"), QUOTES},
    {STR_INIT("//"), COMMENT},
    {STR_INIT("/*"), COMMENT},
    {STR_INIT("<"), "this is HTML or XML, no JSON"},
    {STR_INIT("--"),
     "this is a form without its header: send Content-Type: multipart/form-data with "
     "its boundary, as curl -F does"},
};

bool sniff_is_file_name(struct str body)
{
    static const char *const endings[] = {".json", ".txt", ".yaml", ".png",  ".jpg", ".jpeg",
                                          ".webp", ".gif", ".mp4",  ".webm", ".wav", ".mp3"};
    if (body.n >= FILE_NAME_MOST) {
        return false;
    }
    for (size_t i = 0; i < body.n; i++) {
        const unsigned char c = (unsigned char)body.p[i];
        if (c < ' ' || c == '{' || c == '[' || c == '"') {
            return false;
        }
    }
    size_t i = 0;
    while (i < sizeof endings / sizeof *endings && !str_ends_with(body, str_of(endings[i]))) {
        i++;
    }
    return i < sizeof endings / sizeof *endings;
}

/* Trims blanks and line ends. */
static struct str trim(struct str s)
{
    while (s.n > 0 && memchr(" \t\r\n", s.p[0], 4) != NULL) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && memchr(" \t\r\n", s.p[s.n - 1], 4) != NULL) {
        s.n--;
    }
    return s;
}

const char *sniff(struct str body)
{
    const struct str rest = trim(body);
    if (rest.n == 0) {
        return "the body is empty: it must be a JSON object (curl sends a file with -d @FILE)";
    }
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
        const struct str begin = signatures[i].begin;
        if (body.n >= begin.n && memcmp(body.p, begin.p, begin.n) == 0) {
            return signatures[i].detail;
        }
    }
    if (sniff_is_file_name(rest)) {
        return "this is the name of a file: curl sends what is in it with an @ before the name, -d "
               "@workflow.json";
    }
    return NULL;
}

/* Bearer tokens on disk, and new ones; see the header. Cost: O(tokens) expected. */
#include "comfypool/config/tokens.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "comfypool/base/map.h"
#include "comfypool/base/names.h"
#include "comfypool/base/text.h"

#include "inner.h"

enum { MAX_FILE = 1 << 20, TOKEN_BYTES = 33, TOKEN_CHARS = TOKEN_BYTES / 3 * 4 };

static const char *const role_names[] = {
    [ROLE_ANYBODY] = NULL,
    [ROLE_READ] = "read",
    [ROLE_SUBMIT] = "submit",
    [ROLE_OPERATE] = "operate",
};

enum { ROLES = sizeof role_names / sizeof *role_names };

void tokens_done(struct tokens *t)
{
    free(t->list);
    *t = (struct tokens){0};
}

/* ---- a line ---------------------------------------------------------------------------------- */

static bool read_role(struct str text, enum role *ret)
{
    const size_t i = names_index(role_names, text);
    *ret = (enum role)i;
    return i >= ROLE_READ && i < ROLES;
}

static bool read_name(struct str text, char ret[CALLER_SIZE])
{
    for (size_t i = 0; i < text.n; i++) {
        const char lower = (char)(text.p[i] | 0x20);
        const bool word = (lower >= 'a' && lower <= 'z') || (text.p[i] >= '0' && text.p[i] <= '9');
        if (!word && memchr("._-", text.p[i], 3) == NULL) {
            return false;
        }
    }
    if (text.n == 0 || text.n >= CALLER_SIZE) {
        return false;
    }
    memcpy(ret, text.p, text.n);
    ret[text.n] = '\0';
    return true;
}

static bool read_hash(struct str text, char ret[DIGEST_HEX_SIZE])
{
    if (text.n != DIGEST_HEX_SIZE - 1 || !text_is_hex(text)) {
        return false;
    }
    memcpy(ret, text.p, text.n);
    ret[text.n] = '\0';
    return true;
}

/* Cuts the text before the separator off *rest, and drops the separator. */
static struct str cut(struct str *rest, char separator)
{
    const char *end = rest->n == 0 ? NULL : memchr(rest->p, separator, rest->n);
    const struct str piece = {rest->p, end == NULL ? rest->n : (size_t)(end - rest->p)};
    const size_t gone = end == NULL ? rest->n : piece.n + 1;
    *rest = (struct str){rest->p + gone, rest->n - gone};
    return piece;
}

static struct str trim(struct str s)
{
    static const char blanks[] = " \t\r";
    while (s.n > 0 && memchr(blanks, s.p[0], sizeof blanks - 1) != NULL) {
        s = (struct str){s.p + 1, s.n - 1};
    }
    while (s.n > 0 && memchr(blanks, s.p[s.n - 1], sizeof blanks - 1) != NULL) {
        s.n--;
    }
    return s;
}

/* Returns the error of a line, or NULL. */
static const char *read_line(struct str line, struct token *ret)
{
    if (!read_name(cut(&line, ':'), ret->name)) {
        return "a token is name:role:sha256; a name has 1 to 100 letters, digits, dots, - and _";
    }
    if (!read_role(cut(&line, ':'), &ret->role)) {
        return "the role must be read, submit or operate";
    }
    if (!read_hash(line, ret->sha256)) {
        return "the SHA-256 of the token must be 64 lowercase hex digits; comfypoold --new-token "
               "prints such a line";
    }
    return NULL;
}

/* ---- the file -------------------------------------------------------------------------------- */

struct seen {
    struct map names;
    struct map hashes;
};

/* Returns the error, or NULL. The maps' values are line numbers, not pointers. */
static const char *find_double(struct seen *seen, const struct token *t, unsigned line,
                               unsigned *ret_first)
{
    void *here = (void *)(uintptr_t)line;
    void *first = map_get(&seen->names, str_of(t->name));
    const char *why = "this name was there before, in line";
    if (first == NULL) {
        first = map_get(&seen->hashes, str_of(t->sha256));
        why = "this is the token of another name, in line";
    }
    if (first != NULL) {
        *ret_first = (unsigned)(uintptr_t)first;
        return why;
    }
    (void)map_put(&seen->names, str_of(t->name), here);
    (void)map_put(&seen->hashes, str_of(t->sha256), here);
    return NULL;
}

static size_t count_lines(struct str text)
{
    size_t n = 1;
    for (size_t i = 0; i < text.n; i++) {
        n += text.p[i] == '\n';
    }
    return n;
}

/* Parses the file; the list never moves while filled: the maps point into it. */
static bool parse(struct str text, const char *path, struct tokens *ret, struct seen *seen,
                  struct buf *errors)
{
    bool good = true;
    for (unsigned line = 1; text.n > 0; line++) {
        const struct str content = trim(cut(&text, '\n'));
        struct token *t = &ret->list[ret->len];
        if (content.n == 0 || content.p[0] == '#') {
            continue;
        }
        unsigned first = 0;
        const char *why = read_line(content, t);
        if (why != NULL) {
            buf_printf(errors, "%s:%u: %s\n", path, line, why);
        } else if ((why = find_double(seen, t, line, &first)) != NULL) {
            buf_printf(errors, "%s:%u: %s %u\n", path, line, why, first);
        } else {
            ret->len++;
            continue;
        }
        good = false;
    }
    return good;
}

bool tokens_parse(struct str text, const char *path, struct tokens *ret, struct buf *errors)
{
    struct seen seen;
    map_init(&seen.names);
    map_init(&seen.hashes);
    *ret = (struct tokens){.list = mem_zero(count_lines(text), sizeof *ret->list)};
    bool good = parse(text, path, ret, &seen, errors);
    if (good && ret->len == 0) {
        buf_printf(errors,
                   "%s:1: there is no token in it; comfypoold --new-token NAME:ROLE makes "
                   "one\n",
                   path);
        good = false;
    }
    map_done(&seen.names);
    map_done(&seen.hashes);
    if (!good) {
        tokens_done(ret);
    }
    return good;
}

bool tokens_read(const char *path, struct tokens *ret, struct buf *errors)
{
    char why[CONFIG_WHY_SIZE];
    AUTO_BUF struct buf text;
    buf_init(&text, BUF_NO_LIMIT);
    *ret = (struct tokens){0};
    if (!config_file_look(path, why) || !config_file_read(path, MAX_FILE, &text, why)) {
        buf_printf(errors, "auth.tokensFile: %s: %s%s\n", path, why,
                   access(path, F_OK) == 0
                       ? ""
                       : "; comfypoold --new-token NAME:ROLE prints the first line of one");
        return false;
    }
    return tokens_parse(buf_str(&text), path, ret, errors);
}

bool tokens_find(const char *configured, struct buf *ret_path)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    if (configured != NULL) {
        buf_add_text(ret_path, configured);
        return true;
    }
    if (credentials == NULL) {
        return false;
    }
    buf_printf(ret_path, "%s/tokens", credentials);
    return access(buf_text(ret_path), F_OK) == 0;
}

/* ---- a new one ------------------------------------------------------------------------------- */

/* Makes base64url without padding; 33 bytes need none. */
static void random_token(char ret[TOKEN_CHARS + 1])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char b[TOKEN_BYTES];
    if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b) {
        abort(); /* up to 256 bytes never fail once the kernel's pool is ready */
    }
    char *to = ret;
    for (size_t i = 0; i < sizeof b; i += 3) {
        const unsigned v = (unsigned)b[i] << 16 | (unsigned)b[i + 1] << 8 | b[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6) {
            *to++ = digits[v >> shift & 63];
        }
    }
    *to = '\0';
}

bool tokens_make(const char *spec, FILE *out, char *why, size_t why_size)
{
    struct token t;
    struct str rest = str_of(spec);
    if (!read_name(cut(&rest, ':'), t.name) || !read_role(rest, &t.role)) {
        (void)snprintf(why, why_size,
                       "a new token needs NAME:ROLE; a name has 1 to 100 letters, digits, dots, - "
                       "and _, a role is read, submit or operate");
        return false;
    }
    char token[TOKEN_CHARS + 1];
    random_token(token);
    digest_sha256_hex(str_of(token), t.sha256);
    (void)fprintf(out,
                  "The token, for \"Authorization: Bearer TOKEN\"; it is shown only now:\n"
                  "%s\n\n"
                  "Its line for the file that auth.tokensFile names:\n"
                  "%s:%s:%s\n",
                  token, t.name, role_names[t.role], t.sha256);
    return true;
}

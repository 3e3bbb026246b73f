/* logfmt lines on stderr; see the header. One write(2) a line, so that lines of threads never mix.
 */
#include "comfypool/base/log.h"

#include <string.h>
#include <unistd.h>

#include "comfypool/base/buf.h"

static enum log_level least = LOG_INFO;

static const struct {
    enum log_level level;
    const char *word;
} words[] = {
    {LOG_ERROR, "error"},
    {LOG_WARN, "warning"},
    {LOG_INFO, "info"},
    {LOG_DEBUG, "debug"},
};

void log_set_level(enum log_level level)
{
    least = level;
}

bool log_level_from_text(const char *text, enum log_level *ret)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(words[i].word, text) == 0) {
            *ret = words[i].level;
            return true;
        }
    }
    return false;
}

static void add_value(struct buf *b, const char *text)
{
    bool plain = *text != '\0';
    for (const char *p = text; *p != '\0' && plain; p++) {
        plain = (unsigned char)*p > ' ' && *p != '"' && *p != '=' && *p != '\\' && *p != 0x7f;
    }
    if (plain) {
        buf_add_text(b, text);
        return;
    }
    buf_add_char(b, '"');
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\') {
            buf_add_char(b, '\\');
            buf_add_char(b, *p);
        } else if (*p == '\n') {
            buf_add_text(b, "\\n");
        } else if ((unsigned char)*p < ' ' || *p == 0x7f) {
            buf_printf(b, "\\x%02x", (unsigned)(unsigned char)*p);
        } else {
            buf_add_char(b, *p);
        }
    }
    buf_add_char(b, '"');
}

void log_write(enum log_level level, const char *message, const struct log_field *fields)
{
    if (level > least) {
        return;
    }
    AUTO_BUF struct buf line;
    buf_init(&line, 16384);
    if (isatty(STDERR_FILENO) == 0) {
        buf_printf(&line, "<%d>", (int)level);
    }
    buf_add_text(&line, "level=");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (words[i].level == level) {
            buf_add_text(&line, words[i].word);
        }
    }
    buf_add_text(&line, " msg=");
    add_value(&line, message);
    for (; fields->key != NULL; fields++) {
        buf_add_char(&line, ' ');
        buf_add_text(&line, fields->key);
        buf_add_char(&line, '=');
        if (fields->text == NULL) {
            buf_printf(&line, "%lld", (long long)fields->number);
        } else {
            add_value(&line, fields->text);
        }
    }
    if (line.overflow) {
        line.overflow = false;
        line.len = line.len > 16000 ? 16000 : line.len;
    }
    buf_add_char(&line, '\n');
    const ssize_t written = write(STDERR_FILENO, line.data, line.len);
    (void)written; /* there is no one left to tell */
}

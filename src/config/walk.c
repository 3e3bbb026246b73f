/*
 * The events of libyaml, one at a time, for file.c; and errors about them. YAML features that the
 * file may not use (anchors, aliases, tags) are refused here. Knows no key.
 */
#include "walk.h"

#include <stdarg.h>
#include <stdlib.h>

void walk_complain(struct walk *w, unsigned line, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buf_printf(w->errors, "%s:%u: %s\n", w->path, line, text);
    w->good = false;
}

unsigned walk_line(const struct walk *w)
{
    return (unsigned)w->event.start_mark.line + 1;
}

/* Returns the line of a byte, for libyaml's reader errors, which lack it. */
static unsigned line_at(struct str text, size_t offset)
{
    unsigned line = 1;
    for (size_t i = 0; i < text.n && i < offset; i++) {
        line += text.p[i] == '\n';
    }
    return line;
}

static void complain_syntax(struct walk *w)
{
    const yaml_parser_t *p = &w->parser;
    const char *problem = p->problem == NULL ? "this is no YAML" : p->problem;
    if (p->error == YAML_READER_ERROR) {
        walk_complain(w, line_at(w->text, p->problem_offset), "%s", problem);
    } else if (p->context != NULL && p->context_mark.line != p->problem_mark.line) {
        walk_complain(w, (unsigned)p->problem_mark.line + 1, "%s (%s from line %u)", problem,
                      p->context, (unsigned)p->context_mark.line + 1);
    } else {
        walk_complain(w, (unsigned)p->problem_mark.line + 1, "%s", problem);
    }
    w->broken = true;
}

static void complain_reference(struct walk *w)
{
    const yaml_event_t *e = &w->event;
    const void *anchor = NULL;
    const void *tag = NULL;
    if (e->type == YAML_SCALAR_EVENT) {
        anchor = e->data.scalar.anchor;
        tag = e->data.scalar.tag;
    } else if (e->type == YAML_SEQUENCE_START_EVENT) {
        anchor = e->data.sequence_start.anchor;
        tag = e->data.sequence_start.tag;
    } else if (e->type == YAML_MAPPING_START_EVENT) {
        anchor = e->data.mapping_start.anchor;
        tag = e->data.mapping_start.tag;
    }
    if (anchor != NULL || e->type == YAML_ALIAS_EVENT) {
        walk_complain(w, walk_line(w),
                      "anchors (&) and aliases (*) are not supported; write it out");
    }
    if (tag != NULL) {
        walk_complain(w, walk_line(w), "tags (!) are not supported");
    }
}

void walk_advance(struct walk *w)
{
    if (w->broken) {
        return;
    }
    yaml_event_delete(&w->event);
    if (yaml_parser_parse(&w->parser, &w->event) == 0) {
        w->event = (yaml_event_t){.type = YAML_NO_EVENT};
        complain_syntax(w);
        return;
    }
    complain_reference(w);
}

/* Returns the change of depth by an event. */
static int step(const yaml_event_t *e)
{
    if (e->type == YAML_MAPPING_START_EVENT || e->type == YAML_SEQUENCE_START_EVENT) {
        return 1;
    }
    return e->type == YAML_MAPPING_END_EVENT || e->type == YAML_SEQUENCE_END_EVENT ? -1 : 0;
}

void walk_skip(struct walk *w)
{
    int depth = step(&w->event);
    while (depth > 0 && !w->broken) {
        walk_advance(w);
        depth += step(&w->event);
    }
}

bool walk_is_scalar(const struct walk *w)
{
    return w->event.type == YAML_SCALAR_EVENT;
}

struct str walk_text(const struct walk *w)
{
    return (struct str){(const char *)w->event.data.scalar.value, w->event.data.scalar.length};
}

bool walk_is_quoted(const struct walk *w)
{
    return w->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
}

bool walk_is_null(const struct walk *w)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; walk_is_scalar(w) && !walk_is_quoted(w) && i < sizeof words / sizeof *words;
         i++) {
        if (str_is(walk_text(w), words[i])) {
            return true;
        }
    }
    return false;
}

void walk_mapping(struct walk *w, walk_member_fn fn, void *ctx)
{
    for (walk_advance(w); !w->broken && w->event.type != YAML_MAPPING_END_EVENT; walk_advance(w)) {
        if (!walk_is_scalar(w)) {
            walk_complain(w, walk_line(w), "a key must be a word");
            walk_skip(w);
            walk_advance(w);
            walk_skip(w);
            continue;
        }
        const unsigned line = walk_line(w);
        AUTO_FREE char *name = mem_copy(walk_text(w));
        const struct str key = {name, w->event.data.scalar.length};
        walk_advance(w);
        if (!w->broken) {
            fn(w, ctx, key, line);
        }
    }
}

bool walk_next_entry(struct walk *w)
{
    walk_advance(w);
    return !w->broken && w->event.type != YAML_SEQUENCE_END_EVENT;
}

bool walk_begin(struct walk *w)
{
    if (yaml_parser_initialize(&w->parser) == 0) {
        abort(); /* out of memory */
    }
    yaml_parser_set_input_string(&w->parser, (const unsigned char *)w->text.p, w->text.n);
    walk_advance(w); /* stream start */
    walk_advance(w);
    return w->event.type == YAML_DOCUMENT_START_EVENT;
}

void walk_end(struct walk *w)
{
    yaml_event_delete(&w->event);
    yaml_parser_delete(&w->parser);
}

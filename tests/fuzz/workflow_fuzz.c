/*
 * A client's bytes: what json_check passes must parse as a workflow or be refused with a problem,
 * and what is cleaned must be valid for the strict reader.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/json_write.h"
#include "comfypool/core/workflow.h"

/* Whatever is skipped unseen ends where it ends when it is read. */
static void skip_alike(struct str text)
{
    struct js_reader a;
    struct js_reader b;
    js_read_strict(&a, text, JS_MAX_DEPTH);
    js_read_checked(&b, text);
    struct js_token t = js_next(&a);
    (void)js_next(&b);
    while (t.kind != JS_END) {
        const bool skip = t.kind == JS_OBJECT || t.kind == JS_ARRAY;
        struct js_reader from = b;
        const struct str passed = skip ? js_rest(&from, t) : (struct str){NULL, 0};
        struct js_reader read = a;
        if (skip && (js_rest(&read, t).n != passed.n || read.at != from.at)) {
            abort();
        }
        t = js_next(&a);
        if (js_next(&b).kind != t.kind) {
            abort();
        }
    }
}

int fuzz_workflow(const uint8_t *data, size_t size)
{
    const struct str text = {(const char *)data, size};
    size_t offset = 0;
    const char *why = NULL;
    if (js_check(text, 64, &offset, &why)) {
        struct workflow *w = NULL;
        struct workflow_problem problem;
        if (workflow_parse(text, &w, &problem)) {
            for (size_t i = 0; i < w->len; i++) {
                if (workflow_find(w, w->nodes[i].id) != &w->nodes[i]) {
                    abort();
                }
            }
            workflow_free(w);
        } else {
            buf_done(&problem.pointer);
        }
        (void)workflow_is_bare_graph(text);
        skip_alike(text);
    } else if (offset > size || why == NULL) {
        abort();
    }
    struct buf clean;
    buf_init(&clean, BUF_NO_LIMIT);
    if (js_clean(text, &clean)) {
        struct js_reader r;
        js_read_strict(&r, buf_str(&clean), JS_MAX_DEPTH);
        struct js_token t = js_next(&r);
        while (t.kind != JS_END) {
            if (t.kind == JS_ERROR) {
                abort();
            }
            t = js_next(&r);
        }
    }
    buf_done(&clean);
    return 0;
}

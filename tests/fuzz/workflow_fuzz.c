/*
 * A client's bytes: what json_check passes must parse as a workflow or be refused with a problem,
 * and what is cleaned must be valid for the strict reader.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/json_write.h"
#include "comfypool/core/workflow.h"

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

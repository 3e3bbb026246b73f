/* The truth and ledger files. See truth.h; the formats are in README.md. */
#include "truth.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

bool truth_open(struct truth *truth, const char *truth_path, const char *ledger_path)
{
    if (truth_path) {
        truth->truth_file = fopen(truth_path, "ae");
    }
    if (ledger_path) {
        truth->ledger_file = fopen(ledger_path, "ae");
    }
    return (!truth_path || truth->truth_file) && (!ledger_path || truth->ledger_file);
}

void truth_close(struct truth *truth)
{
    if (truth->truth_file) {
        fclose(truth->truth_file);
    }
    if (truth->ledger_file) {
        fclose(truth->ledger_file);
    }
    free(truth->slices);
    text_free(&truth->cached);
    text_free(&truth->hits);
}

void truth_begin(struct truth *truth)
{
    truth->n_slices = 0;
    text_clear(&truth->cached);
    text_clear(&truth->hits);
}

void truth_node_start(struct truth *truth, struct node *node)
{
    if (!truth->truth_file) {
        return;
    }
    if (truth->n_slices == truth->cap) {
        truth->cap = truth->cap ? truth->cap * 2 : 64;
        truth->slices = sim_grow(truth->slices, (size_t)truth->cap * sizeof(struct truth_slice));
    }
    node->truth = truth->n_slices;
    truth->slices[truth->n_slices++] =
        (struct truth_slice){.node = node, .t0_ns = mono_ns(), .status = "running"};
}

void truth_node_end(struct truth *truth, struct node *node, const char *status)
{
    if (node->truth < 0 || !truth->truth_file) {
        return;
    }
    truth->slices[node->truth].t1_ns = mono_ns();
    truth->slices[node->truth].status = status;
    node->truth = -1;
}

void truth_finish(struct truth *truth, const struct job *job, enum fault fault)
{
    if (!truth->truth_file) {
        return;
    }
    struct text t = {0};
    text_printf(&t, "{\"port\": %d, \"prompt_id\": %s, \"client_id\": ", truth->port, job->id_json);
    if (job->client_id) {
        text_quoted(&t, job->client_id, strlen(job->client_id));
    } else {
        TEXT_LIT(&t, "null");
    }
    /* True times: a job's own are what its server's clock said. */
    const double zero_ms = wall_ms() - (double)mono_ns() / 1e6;
    text_printf(&t,
                ", \"outcome\": \"%s\", \"fault\": \"%s\", \"queued_ns\": %" PRIu64
                ", \"start_ns\": %" PRIu64 ", \"end_ns\": %" PRIu64
                ", \"start_ms\": %.6f, \"end_ms\": %.6f, \"cached\": [",
                outcome_name(job->outcome), fault_name(fault), job->queued_ns, job->start_ns,
                job->end_ns, zero_ms + (double)job->start_ns / 1e6,
                zero_ms + (double)job->end_ns / 1e6);
    text_add(&t, truth->cached.data, truth->cached.len);
    TEXT_LIT(&t, "], \"hits\": [");
    text_add(&t, truth->hits.data, truth->hits.len);
    TEXT_LIT(&t, "], \"nodes\": [");
    for (int i = 0; i < truth->n_slices; i++) {
        const struct truth_slice *slice = &truth->slices[i];
        text_printf(&t, "%s{\"id\": %s, \"type\": \"%s\", ", i > 0 ? ", " : "",
                    slice->node->id_json, slice->node->type);
        if (slice->node->display != slice->node) {
            text_printf(&t, "\"display\": %s, ", slice->node->display->id_json);
        }
        text_printf(&t, "\"status\": \"%s\", \"t0_ns\": %" PRIu64 ", \"t1_ns\": ", slice->status,
                    slice->t0_ns);
        if (slice->t1_ns > 0) {
            text_printf(&t, "%" PRIu64 "}", slice->t1_ns);
        } else {
            TEXT_LIT(&t, "null}");
        }
    }
    TEXT_LIT(&t, "]}\n");
    fwrite(t.data, 1, t.len, truth->truth_file);
    fflush(truth->truth_file);
    text_free(&t);
}

void ledger_note(struct truth *truth, const char *id, const char *tag, const char *event)
{
    if (!truth->ledger_file) {
        return;
    }
    struct text t = {0};
    text_printf(&t, "{\"at\": %.6f, \"port\": %d, \"prompt_id\": ", wall_ms(), truth->port);
    if (id) {
        text_quoted(&t, id, strlen(id));
    } else {
        TEXT_LIT(&t, "null");
    }
    TEXT_LIT(&t, ", \"tag\": ");
    if (tag) {
        text_quoted(&t, tag, strlen(tag));
    } else {
        TEXT_LIT(&t, "null");
    }
    text_printf(&t, ", \"event\": \"%s\"}\n", event);
    fwrite(t.data, 1, t.len, truth->ledger_file);
    fflush(truth->ledger_file);
    text_free(&t);
}

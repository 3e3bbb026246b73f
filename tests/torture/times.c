/*
 * Whether what a profile says of times is true. The witnesses are the simulators' truth files:
 * when a prompt and each of its nodes really began and ended, by this machine's monotonic clock.
 * What a profile does not say it need not know: a node that was seen late has bounds in place of
 * its duration, and those must hold, too.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "torture.h"

/* A machine with two cores and sanitizers may let a frame wait for so long. */
enum { TOLERANCE_MS = 400 };

json_t *truth_read(const struct storm *s)
{
    json_t *all = json_object();
    for (unsigned i = 0; i < SIMS; i++) {
        FILE *f = fopen(s->sims[i].truth, "r");
        char *line = NULL;
        size_t size = 0;
        while (f != NULL && getline(&line, &size, f) > 0) {
            json_t *o = json_loads(line, 0, NULL);
            if (o != NULL) {
                (void)json_object_set_new(all, text_at(o, "prompt_id"), o);
            }
        }
        free(line);
        if (f != NULL) {
            (void)fclose(f);
        }
    }
    return all;
}

static double number(const json_t *o, const char *member, double otherwise)
{
    const json_t *value = json_object_get(o, member);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

/* Of all slices of a node; NAN: one of them never ended. */
static double true_ms(const json_t *truth, const char *node)
{
    double sum = 0;
    size_t i;
    json_t *slice;
    json_array_foreach(json_object_get(truth, "nodes"), i, slice)
    {
        if (strcmp(text_at(slice, "id"), node) == 0) {
            sum += number(slice, "t1_ns", NAN) / 1e6 - number(slice, "t0_ns", NAN) / 1e6;
        }
    }
    return sum;
}

static void judge_node(const json_t *node, const json_t *truth, char *ret_wrong, size_t size)
{
    const double is = true_ms(truth, text_at(node, "nodeId"));
    const double said = number(node, "duration", NAN);
    const double least = number(node, "durationMin", -INFINITY);
    const double most = number(node, "durationMax", INFINITY);
    if (strcmp(text_at(node, "status"), "completed") != 0 || isnan(is)) {
        return;
    }
    if (fabs(said - is) > TOLERANCE_MS) {
        (void)snprintf(ret_wrong, size, "node %s took %.0f ms, its profile says %.0f",
                       text_at(node, "nodeId"), is, said);
    } else if (is < least - TOLERANCE_MS || is > most + TOLERANCE_MS) {
        (void)snprintf(ret_wrong, size, "node %s took %.0f ms, its profile says %.0f to %.0f",
                       text_at(node, "nodeId"), is, least, most);
    }
}

/* Whether it says when the prompt began and ended: by the server's word, and nothing was missed; at
   most a clock was set. */
static bool saw_all(const json_t *profile)
{
    const char *outcome = text_at(profile, "outcome");
    size_t i;
    json_t *gap;
    if (strcmp(outcome, "completed") != 0 && strcmp(outcome, "failed") != 0) {
        return false;
    }
    json_array_foreach(json_object_get(json_object_get(profile, "evidence"), "gaps"), i, gap)
    {
        if (strcmp(text_at(gap, "reason"), "clock_changed") != 0) {
            return false;
        }
    }
    return true;
}

void times_judge(const json_t *profile, const json_t *truth, char *ret_wrong, size_t size)
{
    ret_wrong[0] = '\0';
    /* Frames in another order, which no server sends, tell another story; and
     * frames that were held between two stamps leave nothing to see it by. */
    if (truth == NULL || strcmp(text_at(truth, "fault"), "reorder") == 0 ||
        strcmp(text_at(truth, "fault"), "hold") == 0) {
        return;
    }
    const double is = (number(truth, "end_ns", 0) - number(truth, "start_ns", 0)) / 1e6;
    const double said = number(profile, "executionTime", NAN);
    if (saw_all(profile) && fabs(said - is) > TOLERANCE_MS) {
        (void)snprintf(ret_wrong, size, "it ran for %.0f ms, its profile says %.0f", is, said);
    }
    size_t i;
    json_t *node;
    json_array_foreach(json_object_get(profile, "nodes"), i, node)
    {
        if (ret_wrong[0] == '\0') {
            judge_node(node, truth, ret_wrong, size);
        }
    }
    const size_t len = strlen(ret_wrong);
    if (len > 0) {
        (void)snprintf(ret_wrong + len, size - len, " (fault: %s)", text_at(truth, "fault"));
    }
}

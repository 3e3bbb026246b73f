/*
 * Those who use the daemon: each client keeps a few jobs under way, cancels some, waits for some,
 * submits some again under their Idempotency-Key; one watcher reads all jobs again and again. What
 * was promised to them is noted for the audit.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "torture.h"

enum { UNDER_WAY = 6 };

bool is_terminal(const char *state)
{
    return strcmp(state, "completed") == 0 || strcmp(state, "failed") == 0 ||
           strcmp(state, "cancelled") == 0;
}

/* ---- what to submit -------------------------------------------------------------------------- */

/* A first node; the second one is an output. %s is the tag, %d a time. */
static const struct {
    const char *name;
    const char *node;
    int least_ms, most_ms;
    bool must_fail;
} kinds[] = {
    {"quick", "{\"_ms\":%d,\"_tag\":\"%s\"}", 1, 60, false},
    {"steps", "{\"_ms\":%d,\"_steps\":8,\"_tag\":\"%s\"}", 40, 400, false},
    {"long", "{\"_ms\":%d,\"_steps\":20,\"_tag\":\"%s\"}", 300, 1000, false},
    {"deaf", "{\"_ms\":%d,\"_uninterruptible\":true,\"_tag\":\"%s\"}", 100, 1200, false},
    {"expand", "{\"_ms\":%d,\"_expand\":3,\"_child_ms\":20,\"_tag\":\"%s\"}", 5, 60, false},
    {"async", "{\"_ms\":%d,\"_async\":80,\"_tag\":\"%s\"}", 5, 60, false},
    {"failing", "{\"_ms\":%d,\"_error\":\"it broke\",\"_tag\":\"%s\"}", 5, 60, true},
    {"greedy", "{\"_ms\":%d,\"_error\":\"OOM\",\"_tag\":\"%s\"}", 5, 60, true},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* Members that a job may decide for itself: how often, and between what. */
static const struct {
    const char *name;
    double chance;
    int least, most;
} members[] = {
    {"priority", 0.3, -5, 5},
    {"maxAttempts", 0.3, 1, 6},
    {"retryDelayMs", 0.7, 10, 200},
    {"jobTimeoutMs", 0.15, 1500, 15000},
    {"nodeExecutionTimeoutMs", 0.15, 600, 3000},
    {"executionStartTimeoutMs", 0.1, 500, 3000},
    {"queueTimeoutMs", 0.1, 1000, 8000},
};

static void add(char *body, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add(char *body, size_t size, const char *format, ...)
{
    const size_t len = strlen(body);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(body + len, size - len, format, args);
    va_end(args);
}

static void add_workflow(char *body, size_t size, struct dice *d, struct tjob *j)
{
    const size_t kind = (size_t)dice_roll(d) % KINDS;
    char inputs[256];
    j->must_fail = kinds[kind].must_fail;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(inputs, sizeof inputs, kinds[kind].node,
                   dice_between(d, kinds[kind].least_ms, kinds[kind].most_ms), j->tag);
#pragma GCC diagnostic pop
    add(body, size,
        "\"workflow\":{\"1\":{\"class_type\":\"KSampler\",\"inputs\":%s},"
        "\"2\":{\"class_type\":\"SaveImage\",\"inputs\":{\"images\":[\"1\",0],\"beside\":[\"3\",0],"
        "\"_ms\":%d}},"
        "\"3\":{\"class_type\":\"LoadImage\",\"inputs\":{\"image\":\"example.png\",\"_ms\":1}}}",
        inputs, dice_between(d, 0, 40));
}

/* What it is given, what it waits for, what becomes of it. earlier: a job of the same client, or
   "". */
static void add_ties(char *body, size_t size, struct dice *d, const char *earlier)
{
    if (dice_chance(d, 0.15)) { /* a few contents, so that many have the same */
        add(body, size,
            ",\"attachments\":[{\"nodeId\":\"3\",\"inputName\":\"image\",\"filename\":\"a.png\","
            "\"data\":\"%cQID\"},{\"nodeId\":\"1\",\"inputName\":\"picture\",\"data\":\"%cQIE\"}]",
            'A' + dice_between(d, 0, 3), 'A' + dice_between(d, 0, 3));
    } else if (earlier[0] != '\0' && dice_chance(d, 0.1)) {
        add(body, size,
            ",\"attachments\":[{\"nodeId\":\"3\",\"inputName\":\"image\",\"job\":\"%s\","
            "\"output\":0}]",
            earlier);
    } else if (earlier[0] != '\0' && dice_chance(d, 0.1)) {
        add(body, size, ",\"after\":[\"%s\"],\"onFailure\":\"%s\"", earlier,
            dice_chance(d, 0.5) ? "run" : "fail");
    }
    if (dice_chance(d, 0.2)) {
        add(body, size, ",\"outputs\":{\"keep\":\"copy\"}");
    }
    if (dice_chance(d, 0.2)) {
        add(body, size, ",\"backends\":{\"%s\":[\"s%d\",\"s%d\"]}",
            dice_chance(d, 0.5) ? "prefer" : "only", dice_between(d, 0, 1), dice_between(d, 2, 3));
    }
    if (dice_chance(d, 0.05)) {
        add(body, size, ",\"notBefore\":%.0f", epoch_ms() + dice_between(d, -500, 1500));
    }
    if (dice_chance(d, 0.5)) {
        add(body, size, ",\"client\":\"client %d\"", dice_between(d, 1, 3));
    }
}

static char *make_body(struct dice *d, struct tjob *j, const char *earlier)
{
    char body[2048] = "{";
    add_workflow(body, sizeof body, d, j);
    add(body, sizeof body, ",\"metadata\":{\"tag\":\"%s\"}", j->tag);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (dice_chance(d, members[i].chance)) {
            add(body, sizeof body, ",\"%s\":%d", members[i].name,
                dice_between(d, members[i].least, members[i].most));
        }
    }
    add_ties(body, sizeof body, d, earlier);
    if (dice_chance(d, 0.1)) {
        add(body, sizeof body, ",\"retryOn\":[\"transient\",\"lost\",\"node_error\"]");
    }
    add(body, sizeof body, "}");
    return strdup(body);
}

static struct tjob *new_job(struct storm *s, struct dice *d, unsigned client, unsigned number,
                            const char *earlier)
{
    struct tjob *j = calloc(1, sizeof *j);
    if (j == NULL) {
        die("out of memory");
    }
    (void)snprintf(j->tag, sizeof j->tag, "c%u-%u", client, number);
    if (dice_chance(d, 0.4)) {
        (void)snprintf(j->key, sizeof j->key, "key-%s", j->tag);
    }
    j->body = make_body(d, j, earlier);
    (void)pthread_mutex_lock(&s->lock);
    if (s->jobs_len == MAX_JOBS) {
        die("more than %d jobs", (int)MAX_JOBS);
    }
    s->jobs[s->jobs_len++] = j;
    (void)pthread_mutex_unlock(&s->lock);
    return j;
}

/* ---- what was said --------------------------------------------------------------------------- */

static struct tjob *find_job(struct storm *s, const char *tag)
{
    struct tjob *found = NULL;
    (void)pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->jobs_len && found == NULL; i++) {
        found = strcmp(s->jobs[i]->tag, tag) == 0 ? s->jobs[i] : NULL;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return found;
}

/* Another thread may have noted the end while this answer, which is older, was under way. */
static void note_state(struct storm *s, struct tjob *j, const char *state, double asked)
{
    char before[sizeof j->ended] = "";
    (void)pthread_mutex_lock(&s->lock);
    if (j->ended[0] != '\0' && j->ended_seen < asked) {
        memcpy(before, j->ended, sizeof before);
    } else if (j->ended[0] == '\0' && is_terminal(state)) {
        (void)snprintf(j->ended, sizeof j->ended, "%s", state);
        j->ended_seen = now_s();
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (before[0] != '\0' && strcmp(before, state) != 0) {
        violation(s, "%s (job %s) was %s and is %s", j->tag, j->id, before, state);
    }
}

/* The id of a job never changes: one tag, one key, one job. */
static void note_id(struct storm *s, struct tjob *j, const char *id)
{
    char before[sizeof j->id];
    (void)pthread_mutex_lock(&s->lock);
    memcpy(before, j->id, sizeof before);
    if (before[0] == '\0') {
        (void)snprintf(j->id, sizeof j->id, "%s", id);
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (before[0] != '\0' && strcmp(before, id) != 0) {
        violation(s, "%s%s%s is two jobs: %s and %s", j->tag, j->key[0] == '\0' ? "" : " with ",
                  j->key, before, id);
    }
}

void note_job(struct storm *s, const json_t *job, double asked)
{
    struct tjob *j = find_job(s, text_at(json_object_get(job, "metadata"), "tag"));
    if (j == NULL) {
        violation(s, "job %s was never submitted", text_at(job, "id"));
        return;
    }
    note_id(s, j, text_at(job, "id"));
    note_state(s, j, text_at(job, "state"), asked);
}

void note_told(struct storm *s, const json_t *job)
{
    note_job(s, job, now_s());
    struct tjob *j = find_job(s, text_at(json_object_get(job, "metadata"), "tag"));
    if (j != NULL) {
        j->told = true;
    }
}

/* ---- a client -------------------------------------------------------------------------------- */

static void note_answer(struct storm *s, struct tjob *j, const struct reply *r, double asked)
{
    if (r->status == 202 || r->status == 200) {
        note_job(s, r->json, asked);
        j->accepted = true;
        s->replays += r->replayed;
    } else if (r->status == 409 || r->status == 503 || r->status == 429) {
        j->refused = j->key[0] == '\0';
    } else if (strcmp(text_at(r->json, "code"), "output_not_found") == 0) {
        j->refused = true; /* the earlier one ended without any */
    } else {
        violation(s, "%s: POST /jobs answered %ld %s: %s", j->tag, r->status,
                  text_at(r->json, "code"), text_at(r->json, "detail"));
        j->refused = true;
    }
}

/* True when it was answered. */
static bool post_once(struct storm *s, struct tjob *j, const char *path)
{
    char headers[80] = "";
    if (j->key[0] != '\0') {
        (void)snprintf(headers, sizeof headers, "Idempotency-Key: %s\r\n", j->key);
    }
    struct reply r;
    const double asked = now_s();
    const bool answered = ask_daemon(s, "POST", path, headers, j->body, 10, &r);
    if (answered) {
        note_answer(s, j, &r, asked);
    }
    reply_done(&r);
    return answered;
}

/* With a key: until it is accepted. Without: once; when the answer was cut nobody knows. */
static void submit(struct storm *s, struct dice *d, struct tjob *j)
{
    const char *path = dice_chance(d, 0.15) ? "/jobs?wait=1" : "/jobs";
    (void)post_once(s, j, path);
    while (j->key[0] != '\0' && !j->accepted && !j->refused && !s->over) {
        sleep_ms(dice_between(d, 20, 100));
        (void)post_once(s, j, path);
    }
}

/* Asks for something that is answered with the Job. */
static void ask_job(struct storm *s, struct tjob *j, const char *method, const char *path,
                    double seconds)
{
    struct reply r;
    const double asked = now_s();
    if (ask_daemon(s, method, path, NULL, NULL, seconds, &r)) {
        if (r.status == 200) {
            note_job(s, r.json, asked);
        } else if (r.status != 503) {
            violation(s, "%s: %s %s answered %ld", j->tag, method, path, r.status);
        }
    }
    reply_done(&r);
}

static void cancel(struct storm *s, struct tjob *j)
{
    char path[80];
    (void)snprintf(path, sizeof path, "/jobs/%s/cancel", j->id);
    s->cancels++;
    j->cancel_asked = true;
    ask_job(s, j, "POST", path, 10);
}

static void wait_for(struct storm *s, struct tjob *j, int seconds)
{
    char path[80];
    (void)snprintf(path, sizeof path, "/jobs/%s?wait=%d", j->id, seconds);
    s->waits++;
    ask_job(s, j, "GET", path, seconds + 5);
}

/* 409: it is not queued any more. */
static void change_priority(struct storm *s, struct dice *d, struct tjob *j)
{
    char path[80];
    char body[40];
    struct reply r;
    (void)snprintf(path, sizeof path, "/jobs/%s", j->id);
    (void)snprintf(body, sizeof body, "{\"priority\":%d}", dice_between(d, -9, 9));
    if (ask_daemon(s, "PATCH", path, NULL, body, 10, &r) && r.status != 200 && r.status != 409 &&
        r.status != 503) {
        violation(s, "%s: PATCH answered %ld", j->tag, r.status);
    }
    reply_done(&r);
}

/* The same key again: the same job. */
static void submit_again(struct storm *s, struct tjob *j)
{
    if (j->key[0] != '\0') {
        (void)post_once(s, j, "/jobs");
    }
}

static void handle(struct storm *s, struct dice *d, struct tjob *j)
{
    if (j->ended[0] != '\0' || !j->accepted) {
        return;
    }
    if (dice_chance(d, 0.02)) {
        cancel(s, j);
    } else if (dice_chance(d, 0.02)) {
        wait_for(s, j, 1);
    } else if (dice_chance(d, 0.05)) {
        change_priority(s, d, j);
    } else if (dice_chance(d, 0.05)) {
        submit_again(s, j);
    }
}

void *client_run(void *arg)
{
    struct worker *w = arg;
    struct storm *s = w->storm;
    struct dice d = dice_of(s->seed, 100 + w->number);
    struct tjob *mine[UNDER_WAY] = {0};
    unsigned number = 0;
    while (!s->calm) {
        const int i = dice_between(&d, 0, UNDER_WAY - 1);
        if (mine[i] == NULL || mine[i]->ended[0] != '\0' || !mine[i]->accepted) {
            const struct tjob *other = mine[dice_between(&d, 0, UNDER_WAY - 1)];
            char earlier[sizeof other->id] = "";
            if (other != NULL && other->accepted) {
                memcpy(earlier, other->id, sizeof earlier);
            }
            mine[i] = new_job(s, &d, w->number, number++, earlier);
            submit(s, &d, mine[i]);
        } else {
            handle(s, &d, mine[i]);
        }
        sleep_ms(dice_between(&d, 10, 80));
    }
    for (int i = 0; i < UNDER_WAY; i++) { /* an answer that was cut: their keys tell */
        if (mine[i] != NULL && mine[i]->key[0] != '\0' && !mine[i]->accepted) {
            submit(s, &d, mine[i]);
        }
    }
    return NULL;
}

/* ---- the watcher ----------------------------------------------------------------------------- */

/* One page of the list; false at the end of it. cursor is replaced. */
static bool read_page(struct storm *s, char *cursor, size_t size)
{
    char path[200];
    struct reply r;
    const double asked = now_s();
    (void)snprintf(path, sizeof path, "/jobs?limit=500%s%s",
                   cursor[0] == '\0' ? "" : "&cursor=", cursor);
    cursor[0] = '\0';
    if (ask_daemon(s, "GET", path, NULL, NULL, 10, &r) && r.status == 200) {
        size_t i;
        json_t *job;
        json_array_foreach(json_object_get(r.json, "jobs"), i, job)
        {
            note_job(s, job, asked);
        }
        (void)snprintf(cursor, size, "%s", text_at(r.json, "nextCursor"));
    }
    reply_done(&r);
    return cursor[0] != '\0';
}

void read_all_jobs(struct storm *s)
{
    char cursor[128] = "";
    while (read_page(s, cursor, sizeof cursor)) {
    }
}

void *watcher_run(void *arg)
{
    struct worker *w = arg;
    while (!w->storm->over) {
        read_all_jobs(w->storm);
        sleep_ms(700);
    }
    return NULL;
}

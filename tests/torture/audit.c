/*
 * What must hold at the end. The witnesses are the daemon's API (each job and its attempts) and the
 * simulators' ledgers, which say what really was posted, started and ended where, and when a server
 * went down. Times are epoch ms of one machine. MARGIN_MS is for what is decided at the same moment
 * in two places: a poll, a frame on its way.
 */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "torture.h"

enum { MARGIN_MS = 1000, UNHEARD_MS = 6000, MAX_DOWNS = 4000, MOST_EVIDENCE = 12 };

/* ---- ledgers --------------------------------------------------------------------------------- */

enum event { POSTED, ACCEPTED, STARTED, SUCCESS, ERROR, INTERRUPTED, DELETED, CRASHED, EVENTS };
static const char *const event_names[EVENTS] = {"posted", "accepted",    "started", "success",
                                                "error",  "interrupted", "deleted", "crashed"};

struct prompt {
    struct prompt *next; /* of the same tag */
    char id[40];
    unsigned sim;
    unsigned count[EVENTS];
    double at[EVENTS]; /* the first one */
};

struct books {
    struct storm *storm;
    json_t *by_id;  /* prompt id -> its address */
    json_t *by_tag; /* tag -> the address of its first prompt */
    json_t *truth;  /* prompt id -> what its simulator wrote at its end */
    double downs[SIMS][MAX_DOWNS];
    size_t downs_len[SIMS];
};

static void *address_in(const json_t *map, const char *key)
{
    return (void *)(intptr_t)json_integer_value(json_object_get(map, key));
}

static void put_address(json_t *map, const char *key, const void *p)
{
    (void)json_object_set_new(map, key, json_integer((json_int_t)(intptr_t)p));
}

static struct prompt *prompt_of(struct books *b, unsigned sim, const char *id, const char *tag)
{
    struct prompt *p = address_in(b->by_id, id);
    if (p == NULL) {
        p = calloc(1, sizeof *p);
        if (p == NULL) {
            die("out of memory");
        }
        (void)snprintf(p->id, sizeof p->id, "%s", id);
        p->sim = sim;
        p->next = address_in(b->by_tag, tag);
        put_address(b->by_id, id, p);
        put_address(b->by_tag, tag, p);
    }
    return p;
}

static void note_event(struct books *b, unsigned sim, const json_t *line)
{
    const char *event = text_at(line, "event");
    const double at = json_number_value(json_object_get(line, "at"));
    if (strcmp(event, "down") == 0 && b->downs_len[sim] < MAX_DOWNS) {
        b->downs[sim][b->downs_len[sim]++] = at;
        return;
    }
    struct prompt *p = prompt_of(b, sim, text_at(line, "prompt_id"), text_at(line, "tag"));
    for (int e = 0; e < EVENTS; e++) {
        if (strcmp(event, event_names[e]) == 0 && p->count[e]++ == 0) {
            p->at[e] = at;
        }
    }
    if (p->sim != sim) {
        violation(b->storm, "prompt %s is on two servers: s%u and s%u", p->id, p->sim, sim);
    }
}

static void read_ledger(struct books *b, unsigned sim)
{
    FILE *f = fopen(b->storm->sims[sim].ledger, "r");
    char line[1024];
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        json_t *o = json_loads(line, JSON_ALLOW_NUL, NULL);
        if (o != NULL) {
            note_event(b, sim, o);
        }
        json_decref(o);
    }
    if (f != NULL) {
        (void)fclose(f);
    }
}

static void books_open(struct books *b, struct storm *s)
{
    *b = (struct books){.storm = s, .by_id = json_object(), .by_tag = json_object()};
    b->truth = truth_read(s);
    for (unsigned i = 0; i < SIMS; i++) {
        read_ledger(b, i);
    }
}

static void books_close(struct books *b)
{
    const char *key;
    json_t *value;
    json_object_foreach(b->by_id, key, value)
    {
        free((void *)(intptr_t)json_integer_value(value));
    }
    json_decref(b->by_id);
    json_decref(b->by_tag);
    json_decref(b->truth);
}

/* ---- one job --------------------------------------------------------------------------------- */

/* A job with all that is known of it. */
struct subject {
    struct books *books;
    struct tjob *j;
    json_t *job;
    json_t *attempts;
    struct prompt *prompts;
};

#define WRONG(x, format, ...)                                                                      \
    violation((x)->books->storm, "%s (job %s, %s %s): " format, (x)->j->tag, (x)->j->id,           \
              text_at((x)->job, "state"), code_of(x), __VA_ARGS__)

static const char *code_of(const struct subject *x)
{
    return text_at(json_object_get(x->job, "error"), "code");
}

static bool is_state(const struct subject *x, const char *state)
{
    return strcmp(text_at(x->job, "state"), state) == 0;
}

static double time_of(const json_t *o, const char *member)
{
    return json_number_value(json_object_get(o, member));
}

static const json_t *attempt_of(const struct subject *x, const struct prompt *p)
{
    size_t i;
    json_t *a;
    json_array_foreach(x->attempts, i, a)
    {
        if (strcmp(text_at(a, "promptId"), p->id) == 0) {
            return a;
        }
    }
    return NULL;
}

static struct prompt *last_prompt(const struct subject *x)
{
    return address_in(x->books->by_id, text_at(x->job, "promptId"));
}

static bool went_down(const struct subject *x, const struct prompt *p, double from, double to)
{
    const struct books *b = x->books;
    for (size_t i = 0; i < b->downs_len[p->sim]; i++) {
        if (b->downs[p->sim][i] > from - MARGIN_MS && b->downs[p->sim][i] < to) {
            return true;
        }
    }
    return false;
}

/* An interrupt of ours that was meant for another job hit it, says its attempt; an old server. */
static bool was_hit(const struct prompt *p, const json_t *a)
{
    return p->count[INTERRUPTED] > 0 &&
           strstr(text_at(json_object_get(a, "error"), "message"), "our own interrupt") != NULL;
}

/* It was told to stop; when it does not within the grace, it counts as lost with its server. */
static bool was_stopped(const json_t *a)
{
    const char *outcome = text_at(a, "outcome");
    return strcmp(outcome, "timed_out") == 0 || strcmp(outcome, "cancelled") == 0 ||
           strstr(text_at(json_object_get(a, "error"), "message"), "told to stop") != NULL;
}

/* It was told to stop and given up before it succeeded; or its server went down so soon after the
   success that nobody heard of it. */
static bool is_excused(const struct subject *x, const struct prompt *p)
{
    const json_t *a = attempt_of(x, p);
    return (was_stopped(a) && time_of(a, "completedAt") - MARGIN_MS < p->at[SUCCESS]) ||
           went_down(x, p, p->at[SUCCESS], p->at[SUCCESS] + UNHEARD_MS);
}

/* What is called lost was never taken, or went with its server. */
static void check_lost(const struct subject *x)
{
    for (const struct prompt *p = x->prompts; p != NULL; p = p->next) {
        const json_t *a = attempt_of(x, p);
        const bool lost = strcmp(text_at(a, "outcome"), "lost") == 0;
        if (lost && !was_stopped(a) && !was_hit(p, a) && p->count[ACCEPTED] > 0 &&
            p->count[CRASHED] == 0 &&
            !went_down(x, p, p->at[POSTED], time_of(a, "completedAt") + MARGIN_MS)) {
            WRONG(x, "prompt %s was called lost, but s%u had it: %s", p->id, p->sim,
                  text_at(json_object_get(a, "error"), "message"));
        }
    }
}

/* No prompt twice; none that no attempt knows; none after the end. */
static void check_prompts(const struct subject *x)
{
    const double end = time_of(x->job, "completedAt");
    for (const struct prompt *p = x->prompts; p != NULL; p = p->next) {
        if (p->count[POSTED] > 1 || p->count[STARTED] > 1) {
            WRONG(x, "prompt %s was posted %u and started %u times", p->id, p->count[POSTED],
                  p->count[STARTED]);
        }
        if (attempt_of(x, p) == NULL) {
            WRONG(x, "prompt %s on s%u belongs to no attempt", p->id, p->sim);
        }
        if (p->at[POSTED] > end + MARGIN_MS) {
            WRONG(x, "prompt %s was posted %.0f ms after the end", p->id, p->at[POSTED] - end);
        }
    }
}

static void check_no_second_run(const struct subject *x, const struct prompt *p)
{
    for (const struct prompt *q = x->prompts; q != NULL; q = q->next) {
        if (q != p && q->count[STARTED] > 0 && q->at[STARTED] > p->at[SUCCESS]) {
            WRONG(x, "prompt %s started on s%u %.0f ms after %s had succeeded on s%u", q->id,
                  q->sim, q->at[STARTED] - p->at[SUCCESS], p->id, p->sim);
        }
    }
}

/* A success that counts is the end of the job, and nothing runs after it. */
static void check_successes(const struct subject *x)
{
    const bool completed = is_state(x, "completed");
    for (const struct prompt *p = x->prompts; p != NULL; p = p->next) {
        if (p->count[SUCCESS] == 0 || (is_excused(x, p) && !(completed && p == last_prompt(x)))) {
            continue;
        }
        check_no_second_run(x, p);
        if (!completed) {
            WRONG(x, "prompt %s succeeded on s%u, %.0f ms before its attempt (%s) was over", p->id,
                  p->sim, time_of(attempt_of(x, p), "completedAt") - p->at[SUCCESS],
                  text_at(attempt_of(x, p), "outcome"));
        } else if (p != last_prompt(x)) {
            WRONG(x, "prompt %s succeeded too, as attempt %s", p->id,
                  text_at(attempt_of(x, p), "outcome"));
        }
    }
}

/* What the server said of the last prompt. */
static void check_last_word(const struct subject *x)
{
    const struct prompt *p = last_prompt(x);
    const bool by_node =
        strcmp(code_of(x), "node_failed") == 0 || strcmp(code_of(x), "out_of_memory") == 0;
    if (is_state(x, "completed") && (p == NULL || p->count[SUCCESS] == 0)) {
        WRONG(x, "prompt %s never succeeded", text_at(x->job, "promptId"));
    }
    if (is_state(x, "completed") && x->j->must_fail) {
        WRONG(x, "%s", "its workflow cannot succeed");
    }
    if (is_state(x, "failed") && by_node && (p == NULL || p->count[ERROR] == 0)) {
        WRONG(x, "prompt %s never failed", text_at(x->job, "promptId"));
    }
    if (strcmp(code_of(x), "node_failed") == 0 && !x->j->must_fail) {
        WRONG(x, "%s", "no node of it can fail");
    }
    if (is_state(x, "cancelled") && !x->j->cancel_asked) {
        WRONG(x, "%s", "nobody asked for that");
    }
}

/* What an attempt says of the server, the server must have said. */
static void check_blame(const struct subject *x, const json_t *a)
{
    const struct prompt *p = address_in(x->books->by_id, text_at(a, "promptId"));
    const char *code = text_at(json_object_get(a, "error"), "code");
    if (strcmp(code, "server_fault") == 0 && (p == NULL || p->count[ERROR] == 0)) {
        WRONG(x, "attempt %.0f is a server_fault, and no node of it failed", time_of(a, "attempt"));
    }
    if (strcmp(code, "backend_refused") == 0 && p != NULL && p->count[ACCEPTED] > 0) {
        WRONG(x, "attempt %.0f is backend_refused, and s%u took it", time_of(a, "attempt"), p->sim);
    }
}

/* How many attempts ended so, and on how many servers (1: on one; 2: on more). */
static unsigned count_code(const struct subject *x, const char *code, unsigned *ret_servers)
{
    unsigned n = 0;
    const char *first = NULL;
    size_t i;
    json_t *a;
    *ret_servers = 0;
    json_array_foreach(x->attempts, i, a)
    {
        if (strcmp(text_at(json_object_get(a, "error"), "code"), code) == 0) {
            n++;
            *ret_servers = first == NULL || strcmp(first, text_at(a, "backend")) == 0 ? 1 : 2;
            first = first == NULL ? text_at(a, "backend") : first;
        }
    }
    return n;
}

/* A sick or refusing server costs no job its end: only when it failed so again and again, or on two
   of them, or asked not to be tried again, or its time was over, or it was to be cancelled. */
static void check_faults(const struct subject *x)
{
    enum { MOST_FAULTS = 5, JOB_TIMEOUT_MS = 20000 };
    unsigned servers = 0;
    const char *timeout = strstr(x->j->body, "\"jobTimeoutMs\":");
    const double most = timeout == NULL ? JOB_TIMEOUT_MS : atof(strchr(timeout, ':') + 1);
    const double took = time_of(x->job, "completedAt") - time_of(x->job, "queuedAt");
    if (!is_state(x, "failed")) {
        return;
    }
    if (strcmp(code_of(x), "backend_refused") == 0) {
        WRONG(x, "%s", "a refusal is no reason to fail");
    }
    if (strcmp(code_of(x), "server_fault") == 0) {
        const unsigned n = count_code(x, "server_fault", &servers);
        const bool asked = strstr(x->j->body, "\"retryOn\"") != NULL || x->j->cancel_asked;
        if (n < MOST_FAULTS && servers < 2 && !asked && took < most - MARGIN_MS) {
            WRONG(x, "%u of its attempts are a server_fault, all on one server", n);
        }
    }
}

static void check_attempts(const struct subject *x)
{
    size_t i;
    json_t *a;
    json_array_foreach(x->attempts, i, a)
    {
        if (text_at(a, "outcome")[0] == '\0') {
            WRONG(x, "attempt %zu is still open", i + 1);
        }
        if (lround(time_of(a, "attempt")) != (long)i + 1) {
            WRONG(x, "attempt %zu has the number %.0f", i + 1, time_of(a, "attempt"));
        }
        check_blame(x, a);
    }
    if (lround(time_of(x->job, "attempts")) != (long)json_array_size(x->attempts)) {
        WRONG(x, "%zu attempts are listed, it says %.0f", json_array_size(x->attempts),
              time_of(x->job, "attempts"));
    }
}

static json_t *get(struct storm *s, const char *format, const char *id)
{
    char path[100];
    struct reply r;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(path, sizeof path, format, id);
#pragma GCC diagnostic pop
    json_t *o = NULL;
    if (ask_daemon(s, "GET", path, NULL, NULL, 10, &r) && r.status == 200) {
        o = json_incref(r.json);
    }
    reply_done(&r);
    return o;
}

static double sum_of(const json_t *o, const char *const *members, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += time_of(o, members[i]);
    }
    return sum;
}

/* A job has the account of its last attempt, and it adds up. */
static void check_profile(const struct subject *x)
{
    static const char *const counts[] = {"executedNodes", "cachedNodes", "failedNodes",
                                         "pendingNodes"};
    json_t *o = get(x->books->storm, "/jobs/%s/profile", x->j->id);
    const json_t *last =
        json_array_get(x->attempts, json_array_size(x->attempts) - 1); /* NULL: none */
    const json_t *summary = json_object_get(o, "summary");
    if (o == NULL) {
        WRONG(x, "%s", "it has no profile");
    } else if (last != NULL && strcmp(text_at(o, "outcome"), text_at(last, "outcome")) != 0) {
        WRONG(x, "its profile is %s, its last attempt %s", text_at(o, "outcome"),
              text_at(last, "outcome"));
    } else if (lround(sum_of(summary, counts, 4)) != lround(time_of(summary, "totalNodes")) ||
               lround(time_of(summary, "totalNodes")) != NODES) {
        WRONG(x, "its profile counts %.0f nodes", sum_of(summary, counts, 4));
    } else {
        char wrong[400];
        times_judge(o, json_object_get(x->books->truth, text_at(o, "promptId")), wrong,
                    sizeof wrong);
        if (wrong[0] != '\0') {
            WRONG(x, "%s", wrong);
        }
    }
    json_decref(o);
}

/* What is known of a job that something does not hold for; times count from its submission. */
static void print_evidence(const struct subject *x)
{
    const double from = time_of(x->job, "queuedAt");
    size_t i;
    json_t *a;
    printf("    %s ended after %.0f ms\n", x->j->body, time_of(x->job, "completedAt") - from);
    json_array_foreach(x->attempts, i, a)
    {
        printf("    attempt %zu on %s, prompt %s: %s after %.0f ms (%s)\n", i + 1,
               text_at(a, "backend"), text_at(a, "promptId"), text_at(a, "outcome"),
               time_of(a, "completedAt") - from, text_at(json_object_get(a, "error"), "message"));
    }
    for (const struct prompt *p = x->prompts; p != NULL; p = p->next) {
        printf("    s%u, prompt %s:", p->sim, p->id);
        for (int e = 0; e < EVENTS; e++) {
            if (p->count[e] > 0) {
                printf(" %s %.0f", event_names[e], p->at[e] - from);
            }
        }
        printf("\n");
    }
}

static void check_job(struct books *b, struct tjob *j, json_t *states, json_t *codes)
{
    json_t *job = get(b->storm, "/jobs/%s", j->id);
    json_t *attempts = get(b->storm, "/jobs/%s/attempts", j->id);
    const int before = b->storm->violations;
    struct subject x = {b, j, job, json_object_get(attempts, "attempts"),
                        address_in(b->by_tag, j->tag)};
    if (job == NULL || attempts == NULL) {
        violation(b->storm, "%s (job %s) cannot be had", j->tag, j->id);
    } else if (!is_terminal(text_at(job, "state"))) {
        WRONG(&x, "it never ended; %s", text_at(job, "waitingReason"));
    } else {
        note_job(b->storm, job, now_s());
        check_prompts(&x);
        check_lost(&x);
        check_successes(&x);
        check_last_word(&x);
        check_faults(&x);
        check_attempts(&x);
        check_profile(&x);
    }
    if (b->storm->violations > before && before < MOST_EVIDENCE) {
        print_evidence(&x);
    }
    const char *state = text_at(job, "state");
    (void)json_object_set_new(states, state,
                              json_integer(json_integer_value(json_object_get(states, state)) + 1));
    const char *code = code_of(&x);
    if (code[0] != '\0') {
        (void)json_object_set_new(
            codes, code, json_integer(json_integer_value(json_object_get(codes, code)) + 1));
    }
    json_decref(attempts);
    json_decref(job);
}

/* What it counts is what is there, and no part of it did what the job table does not know. */
static void check_stats(struct storm *s, const json_t *states)
{
    json_t *o = get(s, "/stats%s", "");
    const char *state;
    json_t *n;
    json_object_foreach(json_object_get(o, "jobs"), state, n)
    {
        const json_int_t found = json_integer_value(json_object_get(states, state));
        if (lround(json_number_value(n)) != (long)found) {
            violation(s, "/stats says %.0f %s jobs, there are %lld", json_number_value(n), state,
                      (long long)found);
        }
    }
    if (o == NULL || json_number_value(json_object_get(o, "badTransitions")) > 0) {
        violation(s, "/stats says %.0f bad transitions",
                  json_number_value(json_object_get(o, "badTransitions")));
    }
    json_decref(o);
}

/* ---- all ------------------------------------------------------------------------------------- */

static void print_counts(const char *what, const json_t *counts)
{
    const char *key;
    json_t *value;
    int column = printf("  %-10s", what);
    json_object_foreach((json_t *)(uintptr_t)counts, key, value)
    {
        if (column > 84) {
            column = printf("\n  %-10s", "") - 1;
        }
        column += printf("  %s %lld", key, (long long)json_integer_value(value));
    }
    printf("\n");
}

/* Of memory: what a life needed at most early on and late. */
static void check_memory(struct storm *s)
{
    long early = 0;
    long late = 0;
    for (unsigned i = 0; i < s->starts; i++) {
        long *part = i < (s->starts + 2) / 3 ? &early : &late;
        *part = s->peak_kib[i] > *part ? s->peak_kib[i] : *part;
    }
    printf("  %-10s  peak of the daemon's lives: first third %ld MiB, later %ld MiB\n", "memory",
           early / 1024, late / 1024);
    if (late > early * 3 / 2 + 40 * 1024) {
        violation(s, "memory grows: %ld KiB early, %ld KiB late", early, late);
    }
}

/* Whatever was cut in the middle leaves no files. */
static void check_files(struct storm *s)
{
    static const char *const names[] = {"uploads", "outputs"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[300];
        (void)snprintf(path, sizeof path, "%s/state/%s/unfinished", s->dir, names[i]);
        DIR *dir = opendir(path);
        for (struct dirent *e = dir == NULL ? NULL : readdir(dir); e != NULL; e = readdir(dir)) {
            if (e->d_name[0] != '.') {
                violation(s, "%s/%s was left over", path, e->d_name);
            }
        }
        if (dir == NULL) {
            violation(s, "%s is not there", path);
        } else {
            (void)closedir(dir);
        }
    }
}

void audit(struct storm *s)
{
    struct books b;
    books_open(&b, s);
    json_t *states = json_object();
    json_t *codes = json_object();
    size_t accepted = 0;
    size_t refused = 0;
    size_t unknown = 0;
    size_t told = 0;
    for (size_t i = 0; i < s->jobs_len; i++) {
        struct tjob *j = s->jobs[i];
        accepted += j->accepted;
        refused += j->refused;
        unknown += !j->accepted && !j->refused;
        told += j->told;
        if (j->ended[0] != '\0' && !j->told) {
            violation(s, "%s (job %s) is %s, and its webhook did not come", j->tag, j->id,
                      j->ended);
        }
        if (j->refused && (j->id[0] != '\0' || address_in(b.by_tag, j->tag) != NULL)) {
            violation(s, "%s was refused and is there (job %s)", j->tag, j->id);
        } else if (j->id[0] != '\0') {
            check_job(&b, j, states, codes);
        } else if (address_in(b.by_tag, j->tag) != NULL) {
            violation(s, "%s was posted to a server and is no job", j->tag);
        }
    }
    printf("  %-10s  submitted %zu  accepted %zu  refused %zu  answer cut %zu  prompts %zu\n",
           "jobs", s->jobs_len, accepted, refused, unknown, json_object_size(b.by_id));
    printf("  %-10s  %u\n", "rudeness", (unsigned)s->rudenesses);
    printf("  %-10s  jobs %zu  deliveries %u  ends read from /events %u\n", "told", told,
           s->deliveries, s->events);
    check_stats(s, states);
    check_files(s);
    print_counts("states", states);
    print_counts("errors", codes);
    json_decref(states);
    json_decref(codes);
    books_close(&b);
}

static void add_counts(json_t *sum, const json_t *counts)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)counts, key, value)
    {
        const json_int_t n = json_integer_value(json_object_get(sum, key)) +
                             (json_int_t)lround(json_number_value(value));
        (void)json_object_set_new(sum, key, json_integer(n));
    }
}

void print_table(struct storm *s)
{
    json_t *faults = json_object();
    for (unsigned i = 0; i < SIMS; i++) {
        add_counts(faults, json_object_get(s->sims[i].last_told, "faults"));
    }
    print_counts("faults", faults);
    json_decref(faults);
    printf("  %-10s  daemon killed %u, stopped %u, frozen %u  servers crashed %u, revived %u  "
           "sockets cut %u"
           "  drains and pauses %u\n",
           "trouble", s->kills, s->stops, s->freezes, s->crashes, s->revived, s->drops,
           s->operations / 2);
    printf("  %-10s  cancels %u  waits %u  keys replayed %u  answers cut %u\n", "clients",
           s->cancels, s->waits, s->replays, s->cut_answers);
    check_memory(s);
}

/* ---- the wait before it ---------------------------------------------------------------------- */

static size_t not_ended(struct storm *s)
{
    size_t n = 0;
    (void)pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->jobs_len; i++) {
        n += s->jobs[i]->ended[0] == '\0' && (s->jobs[i]->accepted || s->jobs[i]->id[0] != '\0');
    }
    (void)pthread_mutex_unlock(&s->lock);
    return n;
}

/* Nothing is left in any simulator. */
static bool sims_are_idle(struct storm *s)
{
    bool idle = true;
    for (unsigned i = 0; i < SIMS; i++) {
        struct reply r;
        if (ask(s->sims[i].program.port, "GET", "/__sim", NULL, NULL, 2, &r) && r.json != NULL) {
            json_decref(s->sims[i].last_told);
            s->sims[i].last_told = json_incref(r.json);
            idle = idle && !json_is_true(json_object_get(r.json, "running")) &&
                   json_number_value(json_object_get(r.json, "queue")) < 1;
        } else {
            idle = false;
        }
        reply_done(&r);
    }
    return idle;
}

static bool slots_are_free(struct storm *s)
{
    json_t *o = get(s, "/backends%s", "");
    bool free_ = o != NULL;
    size_t i;
    json_t *b;
    json_array_foreach(json_object_get(o, "backends"), i, b)
    {
        free_ = free_ && json_number_value(json_object_get(b, "inFlight")) < 1;
    }
    json_decref(o);
    return free_;
}

static void print_backends(struct storm *s)
{
    json_t *o = get(s, "/backends%s", "");
    size_t i;
    json_t *b;
    json_array_foreach(json_object_get(o, "backends"), i, b)
    {
        char *text = json_dumps(b, JSON_COMPACT);
        printf("    %.700s\n", text);
        free(text);
    }
    json_decref(o);
}

void await_ends(struct storm *s, double seconds)
{
    const double until = now_s() + seconds;
    bool idle = false;
    bool free_ = false;
    while (now_s() < until && !(idle && free_)) {
        read_all_jobs(s);
        if (not_ended(s) == 0) {
            idle = sims_are_idle(s);
            free_ = slots_are_free(s);
        }
        sleep_ms(200);
    }
    (void)sims_are_idle(s);
    if (not_ended(s) > 0) {
        violation(s, "%zu jobs have not ended within %.0f s", not_ended(s), seconds);
    } else if (!idle || !free_) {
        violation(s, "all jobs have ended, but %s",
                  idle ? "a slot is still taken" : "a simulator is not idle");
        print_backends(s);
    }
}

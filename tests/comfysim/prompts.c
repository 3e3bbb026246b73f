/*
 * POST /prompt: from a body to a job in the queue, with the faults that strike on the way.
 *
 * server.py's post_prompt, in its order: the number first (also for what is then refused), the id,
 * the validation, the queue, the answer. Leaves validation to graph.c and running to executor.c.
 */
#include "sim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* A POST whose answer waits; it outlives its connection, as the work of a slow server would. */
struct held {
    struct sim_timer timer;
    struct held *next;
    struct sim *sim;
    struct conn *conn;  /* NULL: gone */
    json_t *body;       /* slow-accept: still to be looked at */
    struct text answer; /* late-accept: what to say */
    json_t *interrupt;  /* the body of a late POST /interrupt */
};

static bool is_uuid(const char *s)
{
    for (int i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool hex = (s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f');
        if (dash ? s[i] != '-' : !hex) {
            return false;
        }
    }
    return s[36] == '\0';
}

static char *make_uuid(void)
{
    unsigned char b[16] = {0};
    if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b)) {
        b[15] = 1;
    }
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    char id[37];
    snprintf(id, sizeof(id), "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
             b[14], b[15]);
    return sim_strndup(id, 36);
}

/* The id of a job: NULL when 0.28 refuses what was asked for. */
static char *take_id(const json_t *body, bool v028)
{
    const json_t *asked = json_object_get(body, "prompt_id");
    if (!asked || (v028 && json_is_null(asked))) {
        return make_uuid();
    }
    const char *id = json_string_value(asked);
    if (v028) {
        return id && is_uuid(id) ? sim_strndup(id, 36) : NULL;
    }
    struct text t = {0};
    if (id) {
        text_str(&t, id);
    } else {
        text_py(&t, asked);
    }
    return t.data ? t.data : sim_strndup("", 0);
}

/* float(): numbers, and strings that hold one. */
static bool read_number(const json_t *value, double *number)
{
    if (json_is_number(value)) {
        *number = json_number_value(value);
        return true;
    }
    const char *s = json_string_value(value);
    if (s && *s == '\001') {
        s = strchr(s, ':') + 1; /* NaN, Infinity: text_json_load marked it */
    }
    char *end = NULL;
    *number = s ? strtod(s, &end) : 0;
    return s && end != s && *end == '\0';
}

static const char *first_tag(const json_t *prompt)
{
    const char *id;
    json_t *node;
    json_object_foreach((json_t *)(uintptr_t)prompt, id, node)
    {
        const char *tag =
            json_string_value(json_object_get(json_object_get(node, "inputs"), "_tag"));
        if (tag) {
            return tag;
        }
    }
    return NULL;
}

static void note_client(struct job *job)
{
    const json_t *client = json_object_get(job->extra, "client_id");
    if (json_is_string(client)) {
        job->client_id = sim_strndup(json_string_value(client), json_string_length(client));
    } else if (client && !json_is_null(client)) {
        job->client_id = sim_strndup("\001none", 5); /* accepted, delivered nowhere */
    }
}

static void list_outputs(struct job *job)
{
    struct text t = {0};
    TEXT_LIT(&t, "[");
    for (int i = 0; job->graph && i < job->graph->n_outputs; i++) {
        text_str(&t, i > 0 ? ", " : "");
        text_add(&t, job->graph->outputs[i]->id_json, job->graph->outputs[i]->id_json_len);
    }
    TEXT_LIT(&t, "]");
    job->outputs_to_execute = t.data;
}

static void drop_keys(json_t *extra)
{
    json_object_del(extra, "api_key_comfy_org");
    json_object_del(extra, "auth_token_comfy_org");
}

/* extra_data with client_id and create_time; NULL when Python would raise. */
static json_t *make_extra(const json_t *body, const struct sim *sim, int64_t now_ms)
{
    const json_t *given = json_object_get(body, "extra_data");
    const json_t *client = json_object_get(body, "client_id");
    if (given && !json_is_object(given)) {
        return NULL;
    }
    json_t *extra = given ? json_copy((json_t *)(uintptr_t)given) : json_object();
    if (client) {
        json_object_set(extra, "client_id", (json_t *)(uintptr_t)client);
    }
    if (sim->lasting.create_time) {
        json_object_set_new(extra, "create_time", json_integer(now_ms));
    }
    if (sim->known.v028) {
        drop_keys(extra);
    }
    return extra;
}

static void answer_accepted(const struct job *job, const char *node_errors, struct text *out)
{
    TEXT_LIT(out, "{\"prompt_id\": ");
    text_add(out, job->id_json, job->id_json_len);
    TEXT_LIT(out, ", \"number\": ");
    job_number(job, out);
    TEXT_LIT(out, ", \"node_errors\": ");
    text_str(out, node_errors);
    TEXT_LIT(out, "}");
}

static void hold_fire(struct sim_timer *timer);

static struct held *hold(struct sim *sim, struct conn *conn, double ms)
{
    struct held *held = sim_alloc(sizeof(*held));
    held->sim = sim;
    held->conn = conn;
    held->next = sim->held;
    sim->held = held;
    conn->held = held;
    held->timer.owner = held;
    held->timer.fire = hold_fire;
    timer_start(&sim->timers, &held->timer, mono_ns() + (uint64_t)(ms > 0 ? ms * 1e6 : 0));
    return held;
}

static void held_free(struct sim *sim, struct held *held)
{
    struct held **at = &sim->held;
    while (*at != held) {
        at = &(*at)->next;
    }
    *at = held->next;
    timer_stop(&sim->timers, &held->timer);
    if (held->conn) {
        held->conn->held = NULL;
    }
    json_decref(held->body);
    json_decref(held->interrupt);
    text_free(&held->answer);
    free(held);
}

void held_forget(struct sim *sim, struct conn *conn)
{
    if (!conn->held) {
        return;
    }
    struct held *held = conn->held;
    conn->held = NULL;
    held->conn = NULL;
    if (!held->body && !held->interrupt) {
        held_free(sim, held);
    }
}

void held_clear(struct sim *sim)
{
    while (sim->held) {
        held_free(sim, sim->held);
    }
}

static void refuse(struct conn *conn, const struct text *error)
{
    if (conn) {
        answer_text(conn, 400, error);
    }
}

static void answer_job(struct sim *sim, struct conn *conn, struct strike strike, bool tie,
                       const struct text *accepted)
{
    if (!conn) {
        return;
    }
    if (tie || strike.mode == FAULT_HTTP500_ACCEPTED) {
        answer_trouble(conn);
    } else if (strike.mode == FAULT_PAGE_ACCEPTED) {
        lasting_answer_page(sim, conn, 502);
    } else if (strike.mode == FAULT_LOST_ACCEPT) {
        conn_drop(conn);
    } else if (strike.mode == FAULT_LATE_ACCEPT) {
        text_add(&hold(sim, conn, strike.arg_ms)->answer, accepted->data, accepted->len);
    } else {
        answer_text(conn, 200, accepted);
    }
}

/* Validates and queues. `conn` NULL: nobody waits for the answer any more. */
static void accept_prompt(struct sim *sim, struct conn *conn, const json_t *body,
                          struct strike strike)
{
    uint64_t now = mono_ns();
    int64_t now_ms = (int64_t)lasting_now_ms(sim);
    bool v028 = sim->known.v028;
    struct text error = {0};
    struct text node_errors = {0};
    double number = (double)sim->number;
    const json_t *asked = json_object_get(body, "number");
    if (asked && !read_number(asked, &number)) {
        if (conn) {
            answer_trouble(conn);
        }
        return;
    }
    if (!asked) {
        number = json_is_true(json_object_get(body, "front")) ? -number : number;
        sim->number++;
    }
    json_t *prompt = json_object_get(body, "prompt");
    char *id = take_id(body, v028);
    json_t *extra = make_extra(body, sim, now_ms);
    struct graph *graph = NULL;
    bool bad = false;
    if (!prompt) {
        graph_error(&error, "no_prompt", "No prompt provided", "No prompt provided", NULL);
    } else if (!id) {
        graph_error(&error, "invalid_prompt_id", "prompt_id must be a valid UUID",
                    "prompt_id must be a UUID string in canonical lowercase hyphenated form; omit "
                    "it to let the server generate one",
                    NULL);
    } else if (!json_is_object(prompt) || !extra) {
        bad = true;
    } else if (sim->replay) {
        const char *refusal = replay_refusal(sim->replay);
        text_str(&error, refusal ? refusal : "");
        text_str(&node_errors, replay_node_errors(sim->replay));
    } else {
        graph = graph_read(
            prompt, sim->older[0] ? NULL : json_object_get(body, "partial_execution_targets"),
            &sim->known, &node_errors, &error);
        bad = !graph && error.len == 0;
    }
    if (bad || error.len > 0) {
        if (bad && conn) {
            answer_trouble(conn);
        } else if (!bad) {
            refuse(conn, &error);
        }
        free(id);
        json_decref(extra);
    } else {
        struct job *job = sim_alloc(sizeof(*job));
        struct text quoted = {0};
        text_quoted(&quoted, id, strlen(id));
        job->id = id;
        job->id_json = quoted.data;
        job->id_json_len = quoted.len;
        job->number = number;
        job->number_is_real = asked != NULL;
        job->prompt = json_incref(prompt);
        job->extra = extra;
        job->graph = graph;
        job->create_ms = now_ms;
        job->queued_ns = now;
        job->strike = faults_is_at_job(strike.mode) ? strike : (struct strike){0};
        const char *tag = first_tag(prompt);
        job->tag = tag ? sim_strndup(tag, strlen(tag)) : NULL;
        note_client(job);
        list_outputs(job);
        bool tie = !jobs_push(&sim->jobs, job);
        ledger_note(&sim->truth, job->id, job->tag, "accepted");
        struct text accepted = {0};
        answer_accepted(job, node_errors.data, &accepted);
        answer_job(sim, conn, strike, tie, &accepted);
        text_free(&accepted);
        sim_send_status(sim);
        sim_kick(sim);
    }
    text_free(&error);
    text_free(&node_errors);
}

void hold_interrupt(struct sim *sim, struct conn *conn, json_t *take_body, double ms)
{
    hold(sim, conn, ms)->interrupt = take_body ? take_body : json_object();
}

static void hold_fire(struct sim_timer *timer)
{
    struct held *held = timer->owner;
    struct sim *sim = held->sim;
    struct conn *conn = held->conn;
    if (held->interrupt) {
        interrupt_by(sim, held->interrupt);
        held_free(sim, held);
        if (conn) {
            answer_empty(conn);
        }
        return;
    }
    json_t *body = held->body;
    struct text answer = held->answer;
    held->body = NULL;
    held->answer = (struct text){0};
    held_free(sim, held);
    if (body) {
        accept_prompt(sim, conn, body, (struct strike){0});
        json_decref(body);
    } else if (conn) {
        answer_text(conn, 200, &answer);
    }
    text_free(&answer);
}

static void on_refused(struct sim_timer *timer)
{
    struct sim *sim = timer->owner;
    sim_crash(sim, sim->crash_ms);
}

static void answer_reject(struct conn *conn)
{
    static const char body[] =
        "{\"error\": {\"type\": \"prompt_outputs_failed_validation\", \"message\": \"Prompt "
        "outputs failed validation\", \"details\": \"\", \"extra_info\": {}}, \"node_errors\": "
        "{\"1\": {\"errors\": [{\"type\": \"value_not_in_list\", \"message\": \"Value not in "
        "list\", \"details\": \"ckpt_name: 'x' not in []\", \"extra_info\": {\"input_name\": "
        "\"ckpt_name\", \"input_config\": [[], {}], \"received_value\": \"x\"}}], "
        "\"dependent_outputs\": [], \"class_type\": \"CheckpointLoaderSimple\"}}}";
    conn_answer(conn, 400, "application/json; charset=utf-8", NULL, body, sizeof(body) - 1);
}

/* The faults that keep the prompt out, or late. True: nothing is left to do. */
static bool strike_post(struct sim *sim, struct conn *conn, json_t *body, struct strike strike)
{
    if (strike.mode == FAULT_KEEPALIVE_CUT) {
        conn_drop(conn);
    } else if (strike.mode == FAULT_HTTP500) {
        answer_trouble(conn);
    } else if (strike.mode == FAULT_HTTP429) {
        conn_answer(conn, 429, "text/plain; charset=utf-8", NULL, "429: Too Many Requests", 22);
    } else if (strike.mode == FAULT_REJECT) {
        answer_reject(conn);
    } else if (strike.mode == FAULT_GATEWAY) {
        lasting_gateway(sim, conn, strike.arg_ms);
    } else if (strike.mode == FAULT_SLOW_ACCEPT) {
        hold(sim, conn, strike.arg_ms)->body = json_incref(body);
    } else if (strike.mode == FAULT_LATE_TURN_UP) {
        hold(sim, conn, strike.arg_ms)->body = json_incref(body);
        held_forget(sim, conn);
        conn_drop(conn);
    } else {
        return false;
    }
    return true;
}

static void crash_soon(struct sim *sim, double ms)
{
    sim->crash_ms = ms;
    sim->revive.owner = sim;
    sim->revive.fire = on_refused;
    timer_start(&sim->timers, &sim->revive, mono_ns());
}

void post_prompt(struct sim *sim, struct conn *conn)
{
    sim->posts++;
    bool repeated = conn->prompts_posted++ > 0;
    struct strike strike = faults_at_post(&sim->faults, repeated);
    json_t *body = text_json_load(conn->body.data, conn->body.len);
    const json_t *prompt = json_object_get(body, "prompt");
    ledger_note(&sim->truth, json_string_value(json_object_get(body, "prompt_id")),
                sim->truth.ledger_file ? first_tag(prompt) : NULL, "posted");
    if (lasting_refuses(sim, conn, "/prompt")) {
        json_decref(body);
        return;
    }
    if (strike.mode != FAULT_NONE && !faults_is_at_job(strike.mode)) {
        faults_note(&sim->faults, strike.mode);
    }
    if (!json_is_object(body)) {
        answer_trouble(conn);
    } else if (!strike_post(sim, conn, body, strike)) {
        accept_prompt(sim, conn, body, strike);
        if (strike.mode == FAULT_REFUSE) {
            crash_soon(sim, strike.arg_ms);
        }
    }
    json_decref(body);
}

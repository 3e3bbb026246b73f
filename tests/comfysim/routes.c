/*
 * What the routes answer, but for POST /prompt (prompts.c) and files (files.c): one table, one
 * function a row. Paths come without /api; a row says whether it needs that prefix.
 */
#include "sim.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define JSON_TYPE "application/json; charset=utf-8"

static const char *type_of_json(const struct conn *conn)
{
    const struct sim *sim = conn->server->owner;
    return sim->lasting.json_type[0] ? sim->lasting.json_type : JSON_TYPE;
}

void answer_text(struct conn *conn, int status, const struct text *json)
{
    conn_answer(conn, status, type_of_json(conn), NULL, json->data, json->len);
}

static void answer_string(struct conn *conn, int status, const char *json)
{
    conn_answer(conn, status, type_of_json(conn), NULL, json, strlen(json));
}

void answer_empty(struct conn *conn)
{
    conn_answer(conn, 200, "application/octet-stream", NULL, "", 0);
}

static void answer_not_found(struct conn *conn)
{
    conn_answer(conn, 404, "text/plain; charset=utf-8", NULL, "404: Not Found", 14);
}

void answer_trouble(struct conn *conn)
{
    static const char trouble[] = "500 Internal Server Error\n\nServer got itself in trouble";
    conn_answer(conn, 500, "text/plain; charset=utf-8", NULL, trouble, sizeof(trouble) - 1);
}

static json_t *body_json(const struct conn *conn)
{
    return conn->body.len > 0 ? text_json_load(conn->body.data, conn->body.len) : NULL;
}

static int64_t query_int(const struct conn *conn, const char *name, int64_t otherwise)
{
    const char *value = conn_query(conn, name);
    return value && *value ? strtoll(value, NULL, 10) : otherwise;
}

/* ---- queue, history, jobs --------------------------------------------------------------- */

static void get_prompt(struct sim *sim, struct conn *conn, const char *rest)
{
    (void)rest;
    struct text t = {0};
    text_printf(&t, "{\"exec_info\": {\"queue_remaining\": %zu}}", jobs_remaining(&sim->jobs));
    answer_text(conn, 200, &t);
    text_free(&t);
}

static void on_post_prompt(struct sim *sim, struct conn *conn, const char *rest)
{
    (void)rest;
    post_prompt(sim, conn);
}

static void get_queue(struct sim *sim, struct conn *conn, const char *rest)
{
    (void)rest;
    struct text t = {0};
    queue_json(&sim->jobs, &t);
    answer_text(conn, 200, &t);
    text_free(&t);
}

static bool delete_pending(struct sim *sim, const char *id)
{
    struct job *job = id ? jobs_take(&sim->jobs, id) : NULL;
    if (!job) {
        return false;
    }
    ledger_note(&sim->truth, job->id, job->tag, "deleted");
    job_free(job);
    sim_send_status(sim);
    return true;
}

static void post_queue(struct sim *sim, struct conn *conn, const char *rest)
{
    (void)rest;
    json_t *body = body_json(conn);
    if (json_is_true(json_object_get(body, "clear"))) {
        for (size_t i = 0; i < sim->jobs.n_heap; i++) {
            ledger_note(&sim->truth, sim->jobs.heap[i]->id, sim->jobs.heap[i]->tag, "deleted");
        }
        jobs_clear(&sim->jobs, true, false);
        sim_send_status(sim);
    }
    const json_t *ids = json_object_get(body, "delete");
    for (size_t i = 0; i < json_array_size(ids); i++) {
        delete_pending(sim, json_string_value(json_array_get(ids, i)));
    }
    json_decref(body);
    answer_empty(conn);
}

static void get_history(struct sim *sim, struct conn *conn, const char *rest)
{
    struct text t = {0};
    if (lasting_refuses(sim, conn, "/history")) {
        return;
    }
    if (*rest) {
        const struct job *job = history_find(&sim->jobs, rest);
        TEXT_LIT(&t, "{");
        if (job) {
            history_entry_json(job, &t);
        }
        TEXT_LIT(&t, "}");
    } else {
        history_json(&sim->jobs, query_int(conn, "max_items", -1), query_int(conn, "offset", -1),
                     &t);
    }
    answer_text(conn, 200, &t);
    text_free(&t);
}

static void post_history(struct sim *sim, struct conn *conn, const char *rest)
{
    (void)rest;
    json_t *body = body_json(conn);
    if (json_is_true(json_object_get(body, "clear"))) {
        jobs_clear(&sim->jobs, false, true);
    }
    const json_t *ids = json_object_get(body, "delete");
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const char *id = json_string_value(json_array_get(ids, i));
        if (id) {
            history_delete(&sim->jobs, id);
        }
    }
    json_decref(body);
    answer_empty(conn);
}

void interrupt_by(struct sim *sim, const json_t *body)
{
    const char *id = json_string_value(json_object_get(body, "prompt_id"));
    const struct job *running = sim->jobs.running;
    if (!id || sim->lasting.old_interrupt || (running && !strcmp(running->id, id))) {
        exec_interrupt(&sim->exec);
    }
}

static void post_interrupt(struct sim *sim, struct conn *conn, const char *rest)
{
    (void)rest;
    json_t *body = body_json(conn);
    if (sim->lasting.late_interrupt_ms > 0) {
        hold_interrupt(sim, conn, body, sim->lasting.late_interrupt_ms);
        return;
    }
    interrupt_by(sim, body);
    json_decref(body);
    answer_empty(conn);
}

static void post_free(struct sim *sim, struct conn *conn, const char *rest)
{
    (void)rest;
    json_t *body = body_json(conn);
    if (json_is_true(json_object_get(body, "free_memory"))) {
        if (sim->jobs.running) {
            sim->free_memory = true;
        } else {
            cache_clear(&sim->cache);
        }
    }
    json_decref(body);
    answer_empty(conn);
}

static const struct job *find_job(const struct sim *sim, const char *id)
{
    const struct job *running = sim->jobs.running;
    const struct job *job = running && !strcmp(running->id, id) ? running : NULL;
    job = job ? job : jobs_pending(&sim->jobs, id);
    return job ? job : history_find(&sim->jobs, id);
}

static void get_jobs(struct sim *sim, struct conn *conn, const char *rest)
{
    struct text t = {0};
    int status = 200;
    if (!*rest) {
        jobs_json(&sim->jobs, conn_query(conn, "status"), query_int(conn, "limit", -1),
                  query_int(conn, "offset", 0), &t);
    } else {
        const struct job *job = find_job(sim, rest);
        if (job) {
            job_json(&sim->jobs, job, true, &t);
        } else {
            TEXT_LIT(&t, "{\"error\": \"Job not found\"}");
            status = 404;
        }
    }
    answer_text(conn, status, &t);
    text_free(&t);
}

/* Up to 2026-06: the path is there for GET only, says the router. */
static void answer_wrong_method(struct conn *conn)
{
    conn_answer(conn, 405, "text/plain; charset=utf-8", "Allow: GET,HEAD\r\n",
                "405: Method Not Allowed", 23);
}

static void post_jobs(struct sim *sim, struct conn *conn, const char *rest)
{
    if (!sim->known.v028) {
        answer_wrong_method(conn);
        return;
    }
    const char *verb = strrchr(rest, '/');
    if (!verb || strcmp(verb, "/cancel")) {
        answer_not_found(conn);
        return;
    }
    char *id = sim_strndup(rest, (size_t)(verb - rest));
    const struct job *running = sim->jobs.running;
    bool cancelled = false;
    if (running && !strcmp(running->id, id)) {
        cancelled = true;
        exec_interrupt(&sim->exec);
    } else if (delete_pending(sim, id)) {
        cancelled = true;
        sim_send_status(sim); /* recorded: two of them */
    }
    answer_string(conn, 200, cancelled ? "{\"cancelled\": true}" : "{\"cancelled\": false}");
    free(id);
}

/* ---- what the server is ----------------------------------------------------------------- */

static void get_system_stats(struct sim *sim, struct conn *conn, const char *rest)
{
    (void)rest;
    if (sim->gauges.stats == STATS_HANG) {
        return;
    }
    if (sim->gauges.stats == STATS_FAIL) {
        answer_trouble(conn);
        return;
    }
    struct text t = {0};
    bool v028 = sim->known.v028;
    text_printf(&t,
                "{\"system\": {\"os\": \"%s\", \"ram_total\": %.0f, \"ram_free\": "
                "%.0f, \"comfyui_version\": \"%s\", \"required_frontend_version\": \"%s\", "
                "\"installed_templates_version\": null, \"required_templates_version\": \"%s\", ",
                v028 ? "linux" : "posix", gauges_ram_total(), gauges_ram_free(sim),
                sim->older[0] ? sim->older
                : v028        ? "0.28.0"
                              : "0.3.64",
                v028 ? "1.45.21" : "1.27.10", v028 ? "0.11.11" : "0.1.95");
    if (v028) {
        TEXT_LIT(&t, "\"comfy_package_versions\": [{\"name\": \"comfyui-frontend-package\", "
                     "\"installed\": null, \"required\": \"1.45.21\"}], ");
    }
    TEXT_LIT(&t, "\"python_version\": \"3.11.2 (comfysim)\", \"pytorch_version\": \"1.13.0a0\", "
                 "\"embedded_python\": false, ");
    text_str(&t, v028 ? "\"deploy_environment\": \"comfysim\", \"argv\": " : "\"argv\": ");
    gauges_argv(sim, &t);
    TEXT_LIT(&t, "}, \"devices\": ");
    gauges_devices(sim, &t);
    TEXT_LIT(&t, "}");
    answer_text(conn, 200, &t);
    text_free(&t);
}

static void get_features(struct sim *sim, struct conn *conn, const char *rest)
{
    (void)rest;
    answer_string(conn, 200,
                  sim->known.v028
                      ? "{\"supports_preview_metadata\": true, \"supports_model_type_tags\": true, "
                        "\"max_upload_size\": 104857600, \"extension\": {\"manager\": "
                        "{\"supports_v4\": true}}, \"node_replacements\": true, \"assets\": false}"
                      : "{\"supports_preview_metadata\": true, \"max_upload_size\": 104857600}");
}

static void get_empty_list(struct sim *sim, struct conn *conn, const char *rest)
{
    (void)sim;
    (void)rest;
    answer_string(conn, 200, "[]");
}

static void get_models(struct sim *sim, struct conn *conn, const char *rest)
{
    if (!*rest) {
        answer_string(conn, 200,
                      "[\"checkpoints\", \"configs\", \"loras\", \"vae\", "
                      "\"text_encoders\", \"diffusion_models\", \"controlnet\", \"embeddings\"]");
        return;
    }
    struct text t = {0};
    if (!strcmp(rest, "checkpoints") && sim->known.models) {
        text_json(&t, sim->known.models);
    } else {
        text_str(&t, !strcmp(rest, "checkpoints") ? "[\"model.safetensors\"]" : "[]");
    }
    answer_text(conn, 200, &t);
    text_free(&t);
}

static bool is_missing(const struct sim *sim, const char *name)
{
    for (size_t i = 0; i < json_array_size(sim->known.missing); i++) {
        const char *missing = json_string_value(json_array_get(sim->known.missing, i));
        if (missing && !strcmp(missing, name)) {
            return true;
        }
    }
    return false;
}

static void get_object_info(struct sim *sim, struct conn *conn, const char *rest)
{
    struct text t = {0};
    if (sim->lasting.mum) {
        return;
    }
    if (sim->known.secret || sim->replay) { /* what the recorded server knew is not known */
        answer_not_found(conn);
        return;
    }
    json_t *images = files_images(&sim->files);
    TEXT_LIT(&t, "{");
    for (size_t i = 0; i < class_count(); i++) {
        const struct node_class *class = class_at(i);
        if ((!*rest || !strcmp(rest, class->name)) && !is_missing(sim, class->name)) {
            text_str(&t, t.len > 1 ? ", " : "");
            class_describe(class, sim->known.models, images, &t);
        }
    }
    TEXT_LIT(&t, "}");
    json_decref(images);
    answer_text(conn, 200, &t);
    text_free(&t);
}

static void get_view(struct sim *sim, struct conn *conn, const char *rest)
{
    (void)rest;
    files_view(&sim->files, conn);
}

static void post_upload(struct sim *sim, struct conn *conn, const char *rest)
{
    if (strcmp(rest, "image") && strcmp(rest, "mask")) {
        answer_not_found(conn);
        return;
    }
    if (strcmp(rest, "image") != 0 || !lasting_refuses(sim, conn, "/upload/image")) {
        files_upload(&sim->files, conn);
    }
}

static void get_ws(struct sim *sim, struct conn *conn, const char *rest)
{
    (void)sim;
    (void)rest;
    conn_answer(conn, 400, "text/plain; charset=utf-8", NULL,
                "No WebSocket UPGRADE hdr: None\n Can \"Upgrade\" only to \"WebSocket\".", 67);
}

/* ---- control ---------------------------------------------------------------------------- */

static void add_struck(const struct faults *faults, struct text *t)
{
    const char *comma = "";
    TEXT_LIT(t, "{");
    for (int i = FAULT_NONE + 1; i < FAULT_COUNT; i++) {
        if (faults->struck[i] > 0) {
            text_printf(t, "%s\"%s\": %ld", comma, fault_name((enum fault)i), faults->struck[i]);
            comma = ", ";
        }
    }
    TEXT_LIT(t, "}");
}

static void get_sim(struct sim *sim, struct conn *conn, const char *rest)
{
    (void)rest;
    struct text t = {0};
    text_printf(&t,
                "{\"port\": %d, \"jobs\": %ld, \"posts\": %ld, \"queue\": %zu, "
                "\"running\": %s, \"dead\": %s, \"sockets\": %zu, \"monitors\": %ld, "
                "\"previews\": %u, \"faults\": ",
                sim->server.port, sim->ended, sim->posts, sim->jobs.n_heap,
                sim->jobs.running ? "true" : "false",
                sim->exec.phase == PHASE_DEAD ? "true" : "false", server_sockets(&sim->server),
                sim->gauges.monitors, sim->exec.previews);
    add_struck(&sim->faults, &t);
    TEXT_LIT(&t, ", \"http\": ");
    text_json(&t, sim->http_counts);
    TEXT_LIT(&t, "}");
    answer_text(conn, 200, &t);
    text_free(&t);
}

static void keep_list(json_t **list, const json_t *value)
{
    json_decref(*list);
    *list = json_is_array(value) ? json_incref((json_t *)(uintptr_t)value) : NULL;
}

static void on_asked_crash(struct sim_timer *timer)
{
    struct sim *sim = timer->owner;
    sim_crash(sim, sim->crash_ms);
}

static int int_or(const json_t *value, int max, int otherwise)
{
    json_int_t n = json_is_integer(value) ? json_integer_value(value) : otherwise;
    return n >= 0 && n <= max ? (int)n : otherwise;
}

static bool control_gpus(struct gauges *gauges, const json_t *body)
{
    const json_t *gpus = json_object_get(body, "gpus");
    const json_t *gpu = json_object_get(body, "gpu");
    if (!gpus && !gpu) {
        return true;
    }
    int count = gpus ? int_or(gpus, GPUS_MAX, -1) : gauges->gpus;
    int ours = gpu ? int_or(gpu, GPUS_MAX, -1) : gauges->gpu;
    return !(gpus && count < 0) && gauges_set_gpus(gauges, count, ours);
}

static bool control_monitor(struct sim *sim, const json_t *value)
{
    double ms = json_is_null(value) ? 0 : json_is_number(value) ? json_number_value(value) : -1;
    if (ms < 0 || ms > MONITOR_MS_MAX) {
        return false;
    }
    gauges_monitor(sim, ms);
    return true;
}

/* What is measured; false: some value is none. */
static bool control_gauges(struct sim *sim, const json_t *body)
{
    const json_t *value;
    bool ok = control_gpus(&sim->gauges, body);
    if ((value = json_object_get(body, "crystools"))) {
        ok = control_monitor(sim, value) && ok;
    }
    if ((value = json_object_get(body, "stats"))) {
        const char *name = json_string_value(value);
        ok = (name || json_is_null(value)) && gauges_set_stats(&sim->gauges, name) && ok;
    }
    return ok;
}

/* To every socket, whatever it is. */
static void say(struct sim *sim, const json_t *message)
{
    struct text t = {0};
    text_json(&t, message);
    server_send(&sim->server, NULL, t.data, t.len, "", 0, false);
    server_flush(&sim->server);
    text_free(&t);
}

static void post_sim(struct sim *sim, struct conn *conn, const char *rest)
{
    (void)rest;
    json_t *body = body_json(conn);
    const json_t *value;
    if (!json_is_object(body)) {
        answer_string(conn, 400, "{\"error\": \"not an object\"}");
        json_decref(body);
        return;
    }
    bool ok = control_gauges(sim, body);
    if (json_object_get(body, "fault") || json_object_get(body, "storm")) {
        lasting_end_faults(sim);
    }
    ok = lasting_control(sim, body) && ok;
    if ((value = json_object_get(body, "fault"))) {
        ok = faults_set(&sim->faults, json_string_value(value)) && ok;
    }
    if ((value = json_object_get(body, "storm"))) {
        ok =
            json_is_string(value) && faults_set_storm(&sim->faults, json_string_value(value)) && ok;
    }
    if ((value = json_object_get(body, "node_ms"))) {
        sim->known.node_ms = json_is_number(value) ? json_number_value(value) : -1;
    }
    if ((value = json_object_get(body, "slow"))) {
        sim->known.slow = json_is_number(value) ? json_number_value(value) : 0;
    }
    if ((value = json_object_get(body, "lenient"))) {
        sim->known.lenient = json_is_true(value);
    }
    if ((value = json_object_get(body, "secret"))) {
        sim->known.secret = json_is_true(value);
    }
    if ((value = json_object_get(body, "older"))) {
        (void)snprintf(sim->older, sizeof sim->older, "%s",
                       json_is_string(value) ? json_string_value(value) : "");
    }
    if ((value = json_object_get(body, "plain_previews"))) {
        sim->server.plain_previews = json_is_true(value);
    }
    if ((value = json_object_get(body, "modified"))) {
        sim->files.modified = json_integer_value(value);
    }
    if (json_is_true(json_object_get(body, "emptied"))) {
        files_free(&sim->files);
    }
    if ((value = json_object_get(body, "broken"))) {
        sim->files.broken = json_is_true(value);
    }
    if ((value = json_object_get(body, "missing"))) {
        keep_list(&sim->known.missing, value);
    }
    if ((value = json_object_get(body, "models"))) {
        keep_list(&sim->known.models, value);
    }
    if ((value = json_object_get(body, "pause"))) {
        sim->paused = json_is_true(value);
    }
    if ((value = json_object_get(body, "say"))) {
        say(sim, value);
    }
    if (json_is_true(json_object_get(body, "drop"))) {
        server_cut_sockets(&sim->server);
    }
    answer_string(conn, ok ? 200 : 400, ok ? "{\"ok\": true}" : "{\"error\": \"no such value\"}");
    if ((value = json_object_get(body, "crash")) && json_is_number(value)) {
        sim->crash_ms = json_number_value(value);
        sim->revive.owner = sim;
        sim->revive.fire = on_asked_crash;
        timer_start(&sim->timers, &sim->revive, mono_ns());
    }
    sim_kick(sim);
    json_decref(body);
}

/* ---- the table -------------------------------------------------------------------------- */

static const struct {
    enum method method;
    const char *path;
    bool takes_rest; /* also /path/anything */
    bool needs_api;
    bool needs_v028;
    void (*answer)(struct sim *sim, struct conn *conn, const char *rest);
} routes[] = {
    {METHOD_POST, "/prompt", false, false, false, on_post_prompt},
    {METHOD_GET, "/prompt", false, false, false, get_prompt},
    {METHOD_GET, "/queue", false, false, false, get_queue},
    {METHOD_POST, "/queue", false, false, false, post_queue},
    {METHOD_GET, "/history", true, false, false, get_history},
    {METHOD_POST, "/history", false, false, false, post_history},
    {METHOD_POST, "/interrupt", false, false, false, post_interrupt},
    {METHOD_POST, "/free", false, false, false, post_free},
    {METHOD_GET, "/view", false, false, false, get_view},
    {METHOD_POST, "/upload", true, false, false, post_upload},
    {METHOD_GET, "/system_stats", false, false, false, get_system_stats},
    {METHOD_GET, "/features", false, false, false, get_features},
    {METHOD_GET, "/object_info", true, false, false, get_object_info},
    {METHOD_GET, "/embeddings", false, false, false, get_empty_list},
    {METHOD_GET, "/extensions", false, false, false, get_empty_list},
    {METHOD_GET, "/models", true, false, false, get_models},
    {METHOD_GET, "/jobs", true, true, true, get_jobs},
    {METHOD_POST, "/jobs", true, true, false, post_jobs},
    {METHOD_GET, "/ws", false, false, false, get_ws},
    {METHOD_GET, "/__sim", false, false, false, get_sim},
    {METHOD_POST, "/__sim", false, false, false, post_sim},
};

static void count_request(struct sim *sim, const struct conn *conn)
{
    static const char *const names[] = {"GET", "POST", "OTHER"};
    char key[80];
    size_t len = strcspn(conn->path + (conn->path[0] == '/'), "/") + 1;
    snprintf(key, sizeof(key), "%s %.*s", names[conn->method], (int)(len < 60 ? len : 60),
             conn->path);
    json_t *count = json_object_get(sim->http_counts, key);
    if (count) {
        json_integer_set(count, json_integer_value(count) + 1);
    } else if (json_object_size(sim->http_counts) < 1000) {
        json_object_set_new(sim->http_counts, key, json_integer(1));
    }
}

void route_request(struct sim *sim, struct conn *conn)
{
    count_request(sim, conn);
    if (lasting_refuses_route(sim, conn)) {
        return;
    }
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        size_t len = strlen(routes[i].path);
        if (routes[i].method != conn->method || strncmp(conn->path, routes[i].path, len) != 0 ||
            (routes[i].needs_api && !conn->with_api) ||
            (routes[i].needs_v028 && !sim->known.v028)) {
            continue;
        }
        const char *rest = conn->path + len;
        if (*rest == '\0' || (routes[i].takes_rest && *rest == '/')) {
            routes[i].answer(sim, conn, *rest ? rest + 1 : rest);
            return;
        }
    }
    answer_not_found(conn);
}

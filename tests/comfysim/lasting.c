/* What lasts, and how it is told. See lasting.h. */
#include "lasting.h"

#include "sim.h"

#include <string.h>

static uint64_t until(double ms)
{
    return ms > 0 ? mono_ns() + (uint64_t)(ms * 1e6) : 0;
}

static bool is_over(uint64_t until_ns)
{
    return until_ns > 0 && mono_ns() >= until_ns;
}

double lasting_now_ms(const struct sim *sim)
{
    return wall_ms() + sim->lasting.skew_ms;
}

bool lasting_hides(const struct sim *sim, const char *frame, size_t len)
{
    static const char before[] = "{\"type\": \"";
    const size_t start = sizeof(before) - 1;
    if (!sim->lasting.unseen || len < start || memcmp(frame, before, start) != 0) {
        return false;
    }
    const char *end = memchr(frame + start, '"', len - start);
    const size_t n = end ? (size_t)(end - frame) - start : 0;
    for (size_t i = 0; i < json_array_size(sim->lasting.unseen); i++) {
        const json_t *type = json_array_get(sim->lasting.unseen, i);
        if (json_string_length(type) == n && n > 0 &&
            !memcmp(json_string_value(type), frame + start, n)) {
            return true;
        }
    }
    return false;
}

/* ---- a gateway in front ----------------------------------------------------------------- */

static void answer_page(const struct lasting *lasting, struct conn *conn, int status)
{
    struct text page = {0};
    const char *type = json_string_value(json_object_get(lasting->page, "type"));
    const char *body = json_string_value(json_object_get(lasting->page, "body"));
    if (type && body) {
        conn_answer(conn, status, type, NULL, body, strlen(body));
        return;
    }
    text_printf(&page,
                "<html>\r\n<head><title>%d</title></head>\r\n<body>\r\n<center><h1>%d</h1></center>"
                "\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n",
                status, status);
    conn_answer(conn, status, "text/html", NULL, page.data, page.len);
    text_free(&page);
}

bool lasting_refuses(struct sim *sim, struct conn *conn, const char *path)
{
    struct lasting *lasting = &sim->lasting;
    if (lasting->refusing > 0 && is_over(lasting->refusing_until)) {
        lasting->refusing = 0;
    }
    if (lasting->refusing == 0 || strcmp(path, lasting->refusing_path) != 0) {
        return false;
    }
    answer_page(lasting, conn, lasting->refusing);
    return true;
}

bool lasting_refuses_route(struct sim *sim, struct conn *conn)
{
    return strcmp(conn->path, "/__sim") != 0 &&
           ((conn->method == METHOD_GET && lasting_refuses(sim, conn, "GET")) ||
            lasting_refuses(sim, conn, "*"));
}

void lasting_answer_page(struct sim *sim, struct conn *conn, int status)
{
    answer_page(&sim->lasting, conn, status);
}

void lasting_gateway(struct sim *sim, struct conn *conn, double ms)
{
    static const int statuses[] = {401, 403, 404, 405, 413, 502};
    const size_t n = sizeof(statuses) / sizeof(statuses[0]);
    struct lasting *lasting = &sim->lasting;
    lasting->refusing = statuses[(size_t)(ms > 0 ? ms : 0) % n];
    strcpy(lasting->refusing_path, "/prompt");
    lasting->refusing_until = until(ms > 1 ? ms : 1);
    answer_page(lasting, conn, lasting->refusing);
}

/* ---- frames that wait ------------------------------------------------------------------- */

static void on_hold_over(struct sim_timer *timer)
{
    struct sim *sim = timer->owner;
    server_hold(&sim->server, false);
}

void lasting_hold(struct sim *sim, double ms)
{
    server_hold(&sim->server, true);
    sim->lasting.hold_timer.owner = sim;
    sim->lasting.hold_timer.fire = on_hold_over;
    timer_stop(&sim->timers, &sim->lasting.hold_timer);
    timer_start(&sim->timers, &sim->lasting.hold_timer, mono_ns() + (uint64_t)(ms * 1e6));
}

static void release(struct sim *sim)
{
    timer_stop(&sim->timers, &sim->lasting.hold_timer);
    server_hold(&sim->server, false);
}

/* ---- a device that is broken ------------------------------------------------------------ */

static void fall_sick(struct lasting *lasting, const char *type, const char *message)
{
    lasting->sick = true;
    lasting->sick_by_fault = false;
    lasting->sick_until = 0;
    (void)snprintf(lasting->sick_type, sizeof(lasting->sick_type), "%s", type);
    (void)snprintf(lasting->sick_message, sizeof(lasting->sick_message), "%s", message);
}

bool lasting_is_sick(struct sim *sim)
{
    struct lasting *lasting = &sim->lasting;
    if (lasting->sick && is_over(lasting->sick_until)) {
        lasting->sick = false;
    }
    return lasting->sick;
}

void lasting_sicken(struct sim *sim, double ms)
{
    fall_sick(&sim->lasting, "torch.AcceleratorError",
              "CUDA error: an illegal memory access was encountered");
    sim->lasting.sick_by_fault = true;
    sim->lasting.sick_until = until(ms);
}

/* ---- ends ------------------------------------------------------------------------------- */

void lasting_end_faults(struct sim *sim)
{
    struct lasting *lasting = &sim->lasting;
    if (lasting->sick_by_fault) {
        lasting->sick = false;
    }
    if (lasting->refusing_until > 0) {
        lasting->refusing = 0;
    }
    if (lasting->hold_timer.armed) {
        release(sim);
    }
}

void lasting_restart(struct sim *sim)
{
    sim->lasting.sick = false;
    release(sim);
}

void lasting_free(struct lasting *lasting)
{
    json_decref(lasting->unseen);
    json_decref(lasting->page);
}

/* ---- controls --------------------------------------------------------------------------- */

static bool set_skew(struct sim *sim, const json_t *value)
{
    sim->lasting.skew_ms = json_number_value(value);
    return json_is_number(value);
}

static bool set_hold(struct sim *sim, const json_t *value)
{
    release(sim);
    server_hold(&sim->server, json_is_true(value));
    return json_is_boolean(value);
}

static bool set_create_time(struct sim *sim, const json_t *value)
{
    sim->lasting.create_time = json_is_true(value);
    return json_is_boolean(value);
}

static bool set_mum(struct sim *sim, const json_t *value)
{
    sim->lasting.mum = json_is_true(value);
    return json_is_boolean(value);
}

static bool set_old_interrupt(struct sim *sim, const json_t *value)
{
    sim->lasting.old_interrupt = json_is_true(value);
    return json_is_boolean(value);
}

static bool set_late_interrupt(struct sim *sim, const json_t *value)
{
    sim->lasting.late_interrupt_ms = json_number_value(value);
    return json_is_number(value);
}

static bool set_unseen(struct sim *sim, const json_t *value)
{
    json_decref(sim->lasting.unseen);
    const bool any = json_array_size(value) > 0;
    sim->lasting.unseen = any ? json_incref((json_t *)(uintptr_t)value) : NULL;
    return json_is_array(value) || json_is_null(value);
}

static bool set_refusing(struct sim *sim, const json_t *value)
{
    struct lasting *lasting = &sim->lasting;
    const json_int_t status = json_integer_value(value);
    const bool ok = json_is_null(value) || (status >= 200 && status < 600);
    lasting->refusing = ok ? (int)status : 0;
    lasting->refusing_until = 0;
    strcpy(lasting->refusing_path, "/prompt");
    return ok;
}

/* After "refusing", which sets the usual one. */
static bool set_refusing_path(struct sim *sim, const json_t *value)
{
    const char *path = json_string_value(value);
    static const char *const paths[] = {"/prompt", "/upload/image", "/history", "GET", "*"};
    for (size_t i = 0; path && i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (!strcmp(path, paths[i])) {
            strcpy(sim->lasting.refusing_path, path);
            return true;
        }
    }
    return false;
}

static bool set_page(struct sim *sim, const json_t *value)
{
    json_decref(sim->lasting.page);
    sim->lasting.page = json_is_object(value) ? json_incref((json_t *)(uintptr_t)value) : NULL;
    return json_is_object(value) || json_is_null(value);
}

static bool set_json_type(struct sim *sim, const json_t *value)
{
    const char *type = json_string_value(value);
    (void)snprintf(sim->lasting.json_type, sizeof(sim->lasting.json_type), "%s", type ? type : "");
    return type || json_is_null(value);
}

static bool set_sick(struct sim *sim, const json_t *value)
{
    const char *type = json_string_value(json_object_get(value, "type"));
    const char *message = json_string_value(json_object_get(value, "message"));
    sim->lasting.sick = false;
    if (type && message) {
        fall_sick(&sim->lasting, type, message);
    }
    return json_is_null(value) || (type && message);
}

bool lasting_control(struct sim *sim, const json_t *body)
{
    static const struct {
        const char *key;
        bool (*set)(struct sim *sim, const json_t *value);
    } controls[] = {
        {"skew", set_skew},
        {"hold", set_hold},
        {"create_time", set_create_time},
        {"old_interrupt", set_old_interrupt},
        {"mum", set_mum},
        {"late_interrupt", set_late_interrupt},
        {"unseen", set_unseen},
        {"refusing", set_refusing},
        {"refusing_path", set_refusing_path},
        {"page", set_page},
        {"json_type", set_json_type},
        {"sick", set_sick},
    };
    bool ok = true;
    for (size_t i = 0; i < sizeof(controls) / sizeof(controls[0]); i++) {
        const json_t *value = json_object_get(body, controls[i].key);
        if (value) {
            ok = controls[i].set(sim, value) && ok;
        }
    }
    return ok;
}

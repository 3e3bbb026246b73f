/*
 * Deliveries of webhooks that change while the store is read: each comes once, one that is asked
 * for again comes again, and nobody is called back after the end. The receiver is on the same loop,
 * so that the test decides what happens while a read is under way.
 */
#include "comfypool/notify/webhooks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/net_rules.h"
#include "comfypool/loop/deadlines.h"
#include "comfypool/store/deliveries.h"
#include "comfypool/store/settings.h"
#include "store_fixture.h"
#include "suites.h"

/* ---- a receiver ------------------------------------------------------------------------------ */

enum { MOST_GOT = 8 };

/* One request of a connection. */
struct guest {
    uv_tcp_t tcp;
    uv_write_t write;
    struct buf got;
    char answer[96];
};

static uv_tcp_t receiver;
static int port;
static unsigned status; /* what it answers; 0: it holds its last guest */
static struct guest *held;
static char got_ids[MOST_GOT][UUID_SIZE]; /* webhook-id of each request */
static size_t got;

static void guest_closed(uv_handle_t *h)
{
    struct guest *g = h->data;
    buf_done(&g->got);
    free(g);
}

static void answer_written(uv_write_t *w, int e)
{
    struct guest *g = w->data;
    (void)e;
    uv_close((uv_handle_t *)&g->tcp, guest_closed);
}

static void answer_guest(struct guest *g)
{
    const int n =
        snprintf(g->answer, sizeof g->answer,
                 "HTTP/1.1 %u X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status);
    uv_buf_t b = uv_buf_init(g->answer, (unsigned)n);
    g->write.data = g;
    ck_assert_int_eq(uv_write(&g->write, (uv_stream_t *)&g->tcp, &b, 1, answer_written), 0);
}

static void take_request(struct guest *g)
{
    const char *id = strstr(buf_text(&g->got), "webhook-id: ");
    ck_assert_ptr_nonnull(id);
    ck_assert_uint_lt(got, MOST_GOT);
    (void)snprintf(got_ids[got++], UUID_SIZE, "%s", id + strlen("webhook-id: "));
    if (status == 0) {
        ck_assert_ptr_null(held);
        held = g;
    } else {
        answer_guest(g);
    }
}

static void give_room(uv_handle_t *h, size_t n, uv_buf_t *ret)
{
    static char room[4096];
    (void)h;
    (void)n;
    *ret = uv_buf_init(room, sizeof room);
}

static void on_bytes(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    struct guest *g = stream->data;
    if (n <= 0) {
        if (!uv_is_closing((uv_handle_t *)stream) && n < 0) {
            held = held == g ? NULL : held;
            uv_close((uv_handle_t *)stream, guest_closed);
        }
        return;
    }
    buf_add(&g->got, b->base, (size_t)n);
    if (strstr(buf_text(&g->got), "\r\n\r\n{}") != NULL) {
        take_request(g);
    }
}

static void on_guest(uv_stream_t *server, int e)
{
    struct guest *g = mem_zero(1, sizeof *g);
    ck_assert_int_eq(e, 0);
    buf_init(&g->got, BUF_NO_LIMIT);
    ck_assert_int_eq(uv_tcp_init(&loop, &g->tcp), 0);
    g->tcp.data = g;
    ck_assert_int_eq(uv_accept(server, (uv_stream_t *)&g->tcp), 0);
    ck_assert_int_eq(uv_read_start((uv_stream_t *)&g->tcp, give_room, on_bytes), 0);
}

static void open_receiver(void)
{
    struct sockaddr_in a;
    int size = sizeof a;
    ck_assert_int_eq(uv_ip4_addr("127.0.0.1", 0, &a), 0);
    ck_assert_int_eq(uv_tcp_init(&loop, &receiver), 0);
    ck_assert_int_eq(uv_tcp_bind(&receiver, (struct sockaddr *)&a, 0), 0);
    ck_assert_int_eq(uv_listen((uv_stream_t *)&receiver, 8, on_guest), 0);
    ck_assert_int_eq(uv_tcp_getsockname(&receiver, (struct sockaddr *)&a, &size), 0);
    uv_unref((uv_handle_t *)&receiver); /* nobody waits for guests alone */
    port = ntohs(a.sin_port);
    status = 200;
}

/* What it holds is answered, and all that comes. */
static void receiver_answers(unsigned with)
{
    struct guest *g = held;
    status = with;
    held = NULL;
    if (g != NULL) {
        answer_guest(g);
    }
}

/* ---- who delivers ---------------------------------------------------------------------------- */

static struct webhooks *w;
static struct net_rules *rules;
static struct deadlines deadlines;
static struct pending pending;

static void set_up_hooks(void)
{
    char *allowed[] = {(char[]){"127.0.0.0/8"}};
    set_up();
    open_receiver();
    deadlines_init(&deadlines, &loop);
    rules = net_rules_new(allowed, 1, why, sizeof why);
    w = webhooks_new(&loop, store, &deadlines, &pending,
                     &(struct webhooks_options){.rules = rules, .concurrency = 8, .version = "1"});
}

static void end_hooks(void)
{
    webhooks_stop(w);
    webhooks_free(w);
    w = NULL;
}

static void tear_down_hooks(void)
{
    if (w != NULL) {
        end_hooks();
    }
    net_rules_free(rules);
    deadlines_close(&deadlines, NULL);
    uv_close((uv_handle_t *)&receiver, NULL);
    tear_down();
}

static struct delivery_record delivery(int64_t n)
{
    struct delivery_record d = {
        .type = mem_strdup("job:completed"),
        .body = mem_strdup("{}"),
        .made_at = time_wall(),
        .next_at = {n},
    };
    char text[64];
    (void)snprintf(text, sizeof text, "http://127.0.0.1:%d/hook", port);
    d.url = mem_strdup(text);
    (void)snprintf(text, sizeof text, "127.0.0.1:%d", port);
    d.host = mem_strdup(text);
    uuid_v7((struct wall_us){n * 1000}, d.id);
    uuid_v7((struct wall_us){1}, d.job_id);
    return d;
}

static void put(struct delivery_record *d)
{
    struct answer done = {0};
    store_add_deliveries(store, &(struct store_beside){.deliveries = d, .deliveries_len = 1},
                         on_kept, &done);
    (void)wait_for(&done);
}

/* Takes d. */
static void put_and_take(struct delivery_record *d)
{
    struct outbox o = {mem_alloc(sizeof *d), 1};
    put(d);
    o.list[0] = *d;
    webhooks_take(w, &o);
}

static struct webhooks_stats counts(void)
{
    struct webhooks_stats s;
    webhooks_count(w, &s);
    return s;
}

#define AWAIT(cond)                                                                                \
    while (!(cond)) {                                                                              \
        (void)uv_run(&loop, UV_RUN_ONCE);                                                          \
    }

/* As the API does it with one that it found in the store. Takes d, or leaves it. */
static void want_again(void *ctx)
{
    struct delivery_record *d = ctx;
    ck_assert_int_eq(webhooks_renew(w, d), ERR_NONE);
    webhooks_redeliver(w, d);
}

/* What comes after all that was to be sent before it. */
static void got_no_more_than(size_t n)
{
    struct delivery_record last = delivery(9);
    char id[UUID_SIZE];
    memcpy(id, last.id, sizeof id);
    put_and_take(&last);
    AWAIT(got > 0 && strcmp(got_ids[got - 1], id) == 0);
    ck_assert_uint_eq(got, n + 1);
    AWAIT(counts().busy == 0);
    ck_assert_int_eq(counts().in_flight, 0);
}

/* ---- while its host is read ------------------------------------------------------------------ */

/* One that somebody wants now is found, too; it comes once. */
START_TEST(wanted_while_its_host_is_read)
{
    struct delivery_record d = delivery(1);
    put(&d);
    ck_assert(webhooks_start(w));
    want_again(&d);
    AWAIT(got == 1);
    got_no_more_than(1);
    ck_assert_int_eq(rows_in("deliveries"), 0);
    delivery_record_done(&d);
}
END_TEST

/* Its end is being written; then its host is read as it was before. */
static void give_up_while_read(const struct delivery_record *d)
{
    status = 0;
    ck_assert(webhooks_start(w));
    AWAIT(held != NULL);
    ck_assert_str_eq(got_ids[0], d->id);
    hold_writes();
    receiver_answers(410);
    AWAIT(counts().dead == 1);
}

START_TEST(given_up_while_its_host_is_read)
{
    struct delivery_record d = delivery(1);
    put(&d);
    give_up_while_read(&d);
    (void)uv_run(&loop, UV_RUN_NOWAIT); /* the writer is told */
    ck_assert(webhooks_start(w));
    release_writes();
    receiver_answers(200);
    got_no_more_than(1);
    ck_assert_int_eq(rows_in("deliveries"), 1);
    delivery_record_done(&d);
}
END_TEST

/* ... and somebody wants it once more, after its end was written and before the read is answered.
 */
START_TEST(wanted_again_while_its_host_is_read)
{
    struct delivery_record d = delivery(1);
    put(&d);
    give_up_while_read(&d);
    store_put_setting(store, "a", "b", want_again, &d);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    ck_assert(webhooks_start(w));
    release_writes();
    receiver_answers(200);
    AWAIT(got == 2);
    ck_assert_str_eq(got_ids[1], d.id);
    got_no_more_than(2);
    ck_assert_int_eq(rows_in("deliveries"), 0);
    delivery_record_done(&d);
}
END_TEST

/* ---- while its body is read ------------------------------------------------------------------ */

/* It is forgotten: another one with its id is new. */
START_TEST(deleted_before_its_body_is_read)
{
    struct delivery_record d[2] = {delivery(1), delivery(2)};
    struct answer done = {0};
    put(&d[0]);
    put(&d[1]);
    status = 0;
    ck_assert(webhooks_start(w));
    AWAIT(held != NULL);
    ck_assert_str_eq(got_ids[0], d[0].id);
    store_delete_delivery(store, d[1].id, on_kept, &done);
    (void)wait_for(&done);
    receiver_answers(200);
    AWAIT(counts().delivered == 1 && counts().busy == 0);
    ck_assert_uint_eq(got, 1);
    ck_assert_int_eq(rows_in("deliveries"), 0);
    put_and_take(&d[1]);
    got_no_more_than(2);
    delivery_record_done(&d[0]);
}
END_TEST

/* Its body is read for its first try already: it comes once. */
START_TEST(wanted_while_its_body_is_read)
{
    struct delivery_record d = delivery(1);
    put(&d);
    ck_assert(webhooks_start(w));
    AWAIT(counts().in_flight == 1);
    want_again(&d);
    AWAIT(got == 1);
    got_no_more_than(1);
    ck_assert_int_eq(rows_in("deliveries"), 0);
    delivery_record_done(&d);
}
END_TEST

/* ---- a request and the end ------------------------------------------------------------------- */

/* It was found, and taken and deleted before that was told: it does not come again. */
START_TEST(taken_while_it_is_found)
{
    struct delivery_record d = delivery(1);
    put(&d);
    ck_assert(webhooks_start(w));
    AWAIT(counts().delivered == 1 && counts().busy == 0);
    ck_assert_int_eq(rows_in("deliveries"), 0);
    want_again(&d);
    got_no_more_than(1);
    delivery_record_done(&d);
}
END_TEST

/* _i 0: its host is read; 1: its body. */
START_TEST(the_end_comes_while_it_is_read)
{
    struct delivery_record d = delivery(1);
    put(&d);
    ck_assert(webhooks_start(w));
    AWAIT(_i == 0 || counts().in_flight == 1);
    end_hooks();
    close_store();
    open_store();
    ck_assert_uint_eq(got, 0);
    ck_assert_int_eq(rows_in("deliveries"), 1);
    delivery_record_done(&d);
}
END_TEST

Suite *webhooks_suite(void)
{
    Suite *s = suite_create("webhooks: reads under way");
    TCase *t = tcase_create("with a receiver");
    tcase_add_checked_fixture(t, set_up_hooks, tear_down_hooks);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, wanted_while_its_host_is_read);
    tcase_add_test(t, given_up_while_its_host_is_read);
    tcase_add_test(t, wanted_again_while_its_host_is_read);
    tcase_add_test(t, deleted_before_its_body_is_read);
    tcase_add_test(t, wanted_while_its_body_is_read);
    tcase_add_test(t, taken_while_it_is_found);
    tcase_add_loop_test(t, the_end_comes_while_it_is_read, 0, 2);
    suite_add_tcase(s, t);
    return s;
}

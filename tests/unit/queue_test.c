/* The queue: priorities, turns of clients, lanes, held clients, and looking ahead. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/core/queue.h"
#include "suites.h"

enum { MOST = 64 };

/* What waits, written as "CLIENT PRIORITY, ..." in order of arrival; how it is served, as numbers
   of arrival from 1. */
static const struct {
    const char *name;
    const char *waits;
    const char *served;
} orders[] = {
    {"one client: by arrival", "a0 a0 a0", "1 2 3"},
    {"by priority, then by arrival", "a0 a-5 a0 a9 a0 a9", "4 6 1 3 5 2"},
    {"two clients take turns", "a0 a0 a0 a0 b0 b0", "1 5 2 6 3 4"},
    {"three clients", "a0 a0 a0 b0 b0 c0", "1 4 6 2 5 3"},
    {"priority goes before turns", "a0 a0 b5 b5 b5", "3 4 5 1 2"},
    {"turns within each priority", "a0 a0 b0 a5 a5 b5", "4 6 5 1 3 2"},
    {"the ends of the range", "a-1000 b1000 a0", "2 3 1"},
};

struct waiting {
    struct queue q;
    struct queue_entry entries[MOST];
    size_t len;
};

static void push_all(struct waiting *w, const char *text, const char *lane)
{
    for (const char *at = text; *at != '\0';) {
        int priority = 0;
        int n = 0;
        char client = 0;
        ck_assert_int_eq(sscanf(at, "%c%d%n", &client, &priority, &n), 2);
        at += n;
        at += *at == ' ' ? 1 : 0;
        ck_assert_uint_lt(w->len, MOST);
        queue_push(&w->q, &w->entries[w->len], str_of(lane), (struct str){&client, 1}, priority,
                   (int64_t)w->len + 1);
        w->len++;
    }
}

static void say(char *text, size_t size, const struct queue_entry *e)
{
    const size_t n = strlen(text);
    (void)snprintf(text + n, size - n, "%s%lld", n == 0 ? "" : " ", (long long)e->seq);
}

START_TEST(jobs_are_served_in_order)
{
    struct waiting w = {.len = 0};
    char looked[512] = "";
    char served[512] = "";
    queue_init(&w.q);
    push_all(&w, orders[_i].waits, "");
    struct queue_walk walk;
    queue_walk_begin(&walk, &w.q, 0);
    for (struct queue_entry *e = queue_walk_next(&walk); e != NULL; e = queue_walk_next(&walk)) {
        say(looked, sizeof looked, e);
    }
    for (struct queue_entry *e = queue_first_of(&w.q, 0); e != NULL; e = queue_first_of(&w.q, 0)) {
        say(served, sizeof served, e);
        queue_take(&w.q, e);
    }
    ck_assert_msg(strcmp(served, orders[_i].served) == 0, "%s: %s", orders[_i].name, served);
    ck_assert_msg(strcmp(looked, orders[_i].served) == 0, "%s, looking: %s", orders[_i].name,
                  looked);
    ck_assert_uint_eq(queue_length(&w.q), 0);
    queue_done(&w.q);
}
END_TEST

START_TEST(a_new_client_does_not_wait_behind_the_rest)
{
    struct waiting w = {.len = 0};
    queue_init(&w.q);
    push_all(&w, "a0 a0 a0 a0 b0 b0 b0 b0", "");
    for (int i = 0; i < 4; i++) {
        queue_take(&w.q, queue_first_of(&w.q, 0));
    }
    push_all(&w, "c0", "");
    queue_take(&w.q, queue_first_of(&w.q, 0)); /* at most the two others go before it */
    queue_take(&w.q, queue_first_of(&w.q, 0));
    const bool served = w.entries[8].flow == NULL;
    ck_assert(served || queue_first_of(&w.q, 0) == &w.entries[8]);
    queue_done(&w.q);
}
END_TEST

/* It always has one job waiting, and brings the next one when that is served. */
START_TEST(coming_back_at_once_gains_nothing)
{
    struct waiting w = {.len = 0};
    queue_init(&w.q);
    push_all(&w, "a0 a0 a0 a0 a0 a0 a0 a0 b0", "");
    int a = 0;
    int b = 0;
    for (int i = 0; i < 8; i++) {
        struct queue_entry *e = queue_first_of(&w.q, 0);
        const bool is_b = e->seq > 8;
        queue_take(&w.q, e);
        a += is_b ? 0 : 1;
        b += is_b ? 1 : 0;
        if (is_b) {
            push_all(&w, "b0", "");
        }
    }
    ck_assert_int_eq(a, 4);
    ck_assert_int_eq(b, 4);
    queue_done(&w.q);
}
END_TEST

START_TEST(cancelled_jobs_cost_no_turns)
{
    struct waiting w = {.len = 0};
    queue_init(&w.q);
    push_all(&w, "a0 a0 a0 a0 a0 a0 b0 b0 b0", "");
    for (int i = 0; i < 5; i++) {
        queue_remove(&w.q, &w.entries[i]);
        queue_remove(&w.q, &w.entries[i]);
    }
    ck_assert_ptr_eq(queue_first_of(&w.q, 0), &w.entries[5]);
    queue_done(&w.q);
}
END_TEST

START_TEST(lanes_hold_up_nobody_else)
{
    struct waiting w = {.len = 0};
    queue_init(&w.q);
    push_all(&w, "a0", "x");
    push_all(&w, "a0", "");
    push_all(&w, "a5", "x");
    ck_assert_uint_eq(queue_length(&w.q), 3);
    ck_assert_uint_eq(w.q.lanes_len, 2);
    ck_assert_ptr_eq(queue_first_of(&w.q, 0), &w.entries[1]);
    ck_assert_ptr_eq(queue_first_of(&w.q, 1), &w.entries[2]);
    ck_assert(str_is(queue_key(&w.entries[0]), "x") && str_is(queue_key(&w.entries[1]), ""));
    queue_remove(&w.q, &w.entries[2]);
    queue_remove(&w.q, &w.entries[0]);
    ck_assert_uint_eq(w.q.lanes_len, 1);
    ck_assert_uint_eq(queue_length(&w.q), 1);
    queue_push(&w.q, &w.entries[0], STR("y"), STR("a"), 0, 1);
    queue_done(&w.q);
}
END_TEST

/* A turn taken in one lane counts in the others. */
START_TEST(turns_are_over_all_lanes)
{
    struct waiting w = {.len = 0};
    queue_init(&w.q);
    push_all(&w, "a0 a0", "");
    push_all(&w, "a0 b0", "x");
    queue_take(&w.q, queue_first_of(&w.q, 0));
    ck_assert_ptr_eq(queue_first_of(&w.q, 1), &w.entries[3]);
    queue_done(&w.q);
}
END_TEST

START_TEST(held_clients_are_passed_by)
{
    struct waiting w = {.len = 0};
    queue_init(&w.q);
    queue_hold(&w.q, STR("a"), true); /* before it waits */
    push_all(&w, "a0 a5 b0", "x");
    ck_assert_ptr_eq(queue_first_of(&w.q, 1), &w.entries[2]);
    queue_take(&w.q, &w.entries[2]);
    ck_assert_uint_eq(w.q.lanes_len, 2);
    ck_assert_ptr_null(queue_first_of(&w.q, 1));
    struct queue_walk walk;
    queue_walk_begin(&walk, &w.q, 1);
    ck_assert_ptr_null(queue_walk_next(&walk));
    queue_hold(&w.q, STR("a"), false);
    ck_assert_ptr_eq(queue_first_of(&w.q, 1), &w.entries[1]);
    queue_hold(&w.q, STR("a"), true);
    queue_remove(&w.q, &w.entries[1]);
    queue_remove(&w.q, &w.entries[0]);
    ck_assert_uint_eq(w.q.lanes_len, 1);
    queue_hold(&w.q, STR("a"), false);
    queue_hold(&w.q, STR("nobody"), false);
    queue_done(&w.q);
}
END_TEST

/* Looking ahead says what being served would say, as far as it looks. */
START_TEST(looking_is_serving)
{
    struct waiting w = {.len = 0};
    struct queue_entry *seen[QUEUE_LOOK];
    size_t n = 0;
    unsigned random = (unsigned)_i * 2654435761u + 1;
    queue_init(&w.q);
    for (; w.len < MOST; w.len++) {
        random = random * 1103515245u + 12345u;
        const char client = (char)('a' + (random >> 16) % 5);
        queue_push(&w.q, &w.entries[w.len], STR(""), (struct str){&client, 1},
                   (int)(random >> 20) % 3, (int64_t)w.len);
    }
    for (unsigned i = 0; i < (unsigned)_i % 7; i++) {
        queue_take(&w.q, queue_first_of(&w.q, 0));
    }
    struct queue_walk walk;
    queue_walk_begin(&walk, &w.q, 0);
    for (struct queue_entry *e = queue_walk_next(&walk); e != NULL; e = queue_walk_next(&walk)) {
        seen[n++] = e;
    }
    ck_assert_uint_eq(n, QUEUE_LOOK);
    for (size_t i = 0; i < n; i++) {
        struct queue_entry *e = queue_first_of(&w.q, 0);
        ck_assert_ptr_eq(e, seen[i]);
        queue_take(&w.q, e);
    }
    queue_done(&w.q);
}
END_TEST

/* Names that come once each do not stay. */
START_TEST(clients_are_forgotten)
{
    struct queue q;
    queue_init(&q);
    for (int i = 0; i < 20000; i++) {
        char name[16];
        struct queue_entry e = {.seq = 0};
        (void)snprintf(name, sizeof name, "c%d", i);
        queue_push(&q, &e, STR(""), str_of(name), 0, i);
        queue_take(&q, &e);
    }
    ck_assert_uint_le(q.clients.len, 4096);
    queue_done(&q);
}
END_TEST

Suite *queue_suite(void)
{
    Suite *s = suite_create("queue");
    TCase *c = tcase_create("queue");
    tcase_add_loop_test(c, jobs_are_served_in_order, 0, sizeof orders / sizeof *orders);
    tcase_add_test(c, a_new_client_does_not_wait_behind_the_rest);
    tcase_add_test(c, coming_back_at_once_gains_nothing);
    tcase_add_test(c, cancelled_jobs_cost_no_turns);
    tcase_add_test(c, lanes_hold_up_nobody_else);
    tcase_add_test(c, turns_are_over_all_lanes);
    tcase_add_test(c, held_clients_are_passed_by);
    tcase_add_loop_test(c, looking_is_serving, 0, 40);
    tcase_add_test(c, clients_are_forgotten);
    suite_add_tcase(s, c);
    return s;
}

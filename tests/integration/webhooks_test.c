/*
 * Webhooks, against receivers that take, refuse, hold or are not there: what comes, signed by
 * whom, how often, in what order of tries, and over ends of the daemon; and whom it may be sent to.
 */
#include "harness.h"

#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "receiver.h"
#include "suites.h"

/* base64 of 24 bytes each: no padding. */
static const char own_secret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
static const char file_secret[] = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

/* more: of the webhooks section, beginning with a comma, or "". */
static char *config_for(struct sim *s, const char *more)
{
    return text("backends:\n  - {name: s0, url: '%s'}\njobs: {retryDelayMs: 20}\n"
                "webhooks: {allow: [127.0.0.0/8]%s}\n",
                s->url, more);
}

static struct daemon *daemon_for(struct sim *s)
{
    struct daemon *d = DAEMON(.config = config_for(s, ""));
    await_ready(d);
    return d;
}

/* A job's body; more: members of the webhook, beginning with a comma, or "". */
static char *hooked(const char *tag, const struct receiver *r, const char *more)
{
    return sleep_body(tag, 1, text(",'webhook':{'url':'%s/hook'%s}", r->url, more));
}

/* ---- what came ------------------------------------------------------------------------------- */

static const char *header(json_t *request, const char *name)
{
    return str_at(request, text("headers.%s", name));
}

static json_t *body_of(json_t *request)
{
    json_t *o = json_of(str_at(request, "body"));
    CHECK(json_is_object(o), "the body is a JSON object");
    return o;
}

static json_t *nth_body(const struct receiver *r, size_t i)
{
    return body_of(receiver_got(r, i));
}

/* How many deliveries of this type it got. */
static int count_type(const struct receiver *r, const char *type)
{
    int n = 0;
    for (size_t i = 0; i < receiver_count(r); i++) {
        n += strcmp(str_at(nth_body(r, i), "type"), type) == 0;
    }
    return n;
}

/* How many of the first `most` it got for this job. */
static int count_job(const struct receiver *r, const char *id)
{
    int n = 0;
    for (size_t i = 0; i < receiver_count(r); i++) {
        n += strcmp(str_at(nth_body(r, i), "data.jobId"), id) == 0;
    }
    return n;
}

/* The webhook-signature that a secret gives, by the words of Standard Webhooks. */
static char *signature(json_t *request, const char *secret)
{
    unsigned char key[24];
    unsigned char mac[EVP_MAX_MD_SIZE];
    char encoded[EVP_MAX_MD_SIZE * 2];
    unsigned n = 0;
    CHECK(EVP_DecodeBlock(key, (const unsigned char *)secret + 6, 32) == 24);
    char *signed_text = text("%s.%s.%s", header(request, "webhook-id"),
                             header(request, "webhook-timestamp"), str_at(request, "body"));
    (void)HMAC(EVP_sha256(), key, sizeof key, (const unsigned char *)signed_text,
               strlen(signed_text), mac, &n);
    (void)EVP_EncodeBlock((unsigned char *)encoded, mac, (int)n);
    return text("v1,%s", encoded);
}

static void check_signed(json_t *request, const char *secret)
{
    const char *want = secret == NULL ? "" : signature(request, secret);
    CHECK(strcmp(header(request, "webhook-signature"), want) == 0, "'%s', not '%s'",
          header(request, "webhook-signature"), want);
}

static bool is_date(const char *text)
{
    regex_t r;
    CHECK(regcomp(&r, "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?Z$",
                  REG_EXTENDED | REG_NOSUB) == 0);
    const bool good = regexec(&r, text, 0, NULL, 0) == 0;
    regfree(&r);
    return good;
}

/* What holds for each delivery. */
static void check_delivery(json_t *request)
{
    enum { MOST_BODY = 20 << 10 };
    CHECK(strcmp(str_at(request, "method"), "POST") == 0);
    CHECK(strcmp(str_at(request, "path"), "/hook") == 0);
    CHECK(strcmp(header(request, "content-type"), "application/json") == 0);
    CHECK(*header(request, "webhook-id") != '\0');
    CHECK(fabs(atof(header(request, "webhook-timestamp")) - num_at(request, "at") / 1e3) < 5,
          "it is in seconds, and of this try");
    CHECK(strlen(str_at(request, "body")) <= MOST_BODY, "%zu bytes",
          strlen(str_at(request, "body")));
    json_t *b = body_of(request);
    CHECK(json_object_size(b) == 3 && is_date(str_at(b, "timestamp")) && *str_at(b, "type") != 0);
    CHECK(*str_at(b, "data.jobId") != '\0');
    CHECK(at(b, "data.profileStats") == NULL && at(b, "data.outputs") == NULL);
}

/* ---- what is still to come ------------------------------------------------------------------- */

static json_t *list(struct daemon *d, const char *query)
{
    struct answer *a = get(d, "/webhooks/deliveries%s", query);
    expect(a, 200, NULL);
    return at(a->json, "deliveries");
}

/* The only one that is not over; NULL: there is none. */
static json_t *the_delivery(struct daemon *d)
{
    json_t *all = list(d, "");
    CHECK(json_array_size(all) <= 1);
    return json_array_get(all, 0);
}

static bool delivery_is(struct daemon *d, const char *state)
{
    return strcmp(str_at(the_delivery(d), "state"), state) == 0;
}

static bool is_empty(struct daemon *d)
{
    return json_array_size(list(d, "")) == 0;
}

static double counted(struct daemon *d, const char *name)
{
    return num_at(get(d, "/stats")->json, text("webhooks.%s", name));
}

/* ---- what comes ------------------------------------------------------------------------------ */

START_TEST(test_delivered)
{
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    struct daemon *d = daemon_for(s);
    const char *secret = _i == 0 ? NULL : own_secret;
    json_t *j = run_job(d, hooked("a", r, secret == NULL ? "" : text(",'secret':'%s'", secret)));
    AWAIT(receiver_count(r) == 1);
    json_t *request = receiver_got(r, 0);
    check_delivery(request);
    check_signed(request, secret);
    json_t *b = body_of(request);
    CHECK(strcmp(str_at(b, "type"), "job:completed") == 0);
    CHECK(strcmp(str_at(b, "data.jobId"), str_at(j, "id")) == 0);
    CHECK(strcmp(str_at(b, "data.state"), "completed") == 0);
    CHECK(strcmp(str_at(b, "data.links.profile"), text("/jobs/%s/profile", str_at(j, "id"))) == 0);
    AWAIT(is_empty(d)); /* it was taken */
    CHECK(receiver_count(r) == 1);
    CHECK(counted(d, "delivered") == 1 && counted(d, "failed") == 0 && counted(d, "waiting") == 0);
}
END_TEST

/* webhooks.urls are told of the three ends, with the file's secret; a job's own webhook beside them
   is not signed with it. */
START_TEST(test_of_the_configuration)
{
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    struct receiver *own = receiver_start();
    (void)write_file("secret", text("%s\n", file_secret));
    struct daemon *d =
        DAEMON(.config = config_for(s, text(", urls: ['%s/hook'], secretFile: secret", r->url)));
    (void)run_job(d, hooked("a", own, ""));
    (void)run_job(d, q("{'1':{'class_type':'T_SleepOut','inputs':{'_error':'x','_tag':'b'}}}"));
    post(d, "/queue/pause", "");
    (void)cancel(d, submit(d, sleep_body("c", 1, "")));
    AWAIT(receiver_count(r) == 3 && receiver_count(own) == 1);
    CHECK(count_type(r, "job:completed") == 1 && count_type(r, "job:failed") == 1 &&
          count_type(r, "job:cancelled") == 1);
    for (size_t i = 0; i < 3; i++) {
        check_delivery(receiver_got(r, i));
        check_signed(receiver_got(r, i), file_secret);
    }
    check_delivery(receiver_got(own, 0));
    check_signed(receiver_got(own, 0), NULL);
    AWAIT(is_empty(d));
}
END_TEST

START_TEST(test_events)
{
    static const char *const names[] = {"job:queued", "job:accepted", "job:started", "job:output",
                                        "job:completed"};
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    struct daemon *d = daemon_for(s);
    const char *image = q("{'1':{'class_type':'SaveImage','inputs':{'_ms':5,'_tag':'a'}}}");
    json_t *j = run_job(d, q("{'workflow':%s,'webhook':{'url':'%s/hook','events':['job:output',"
                             "'job:queued','job:accepted','job:started','job:completed']}}",
                             image, r->url));
    AWAIT(receiver_count(r) == 5);
    for (int i = 0; i < 5; i++) {
        CHECK(count_type(r, names[i]) == 1, "%s", names[i]);
        check_delivery(receiver_got(r, (size_t)i));
    }
    CHECK(count_job(r, str_at(j, "id")) == 5);
    /* Nothing of one that wants to hear of failures only, and the three ends when nothing is said:
       in order, so what the first two mean would have come before the last one. */
    (void)run_job(d, hooked("b", r, ",'events':['job:failed']"));
    (void)run_job(d, sleep_body("c", 1, ""));
    char *last = text("%s", str_at(run_job(d, hooked("d", r, "")), "id"));
    AWAIT(receiver_count(r) == 6);
    CHECK(strcmp(str_at(nth_body(r, 5), "data.jobId"), last) == 0);
    CHECK(strcmp(str_at(nth_body(r, 5), "type"), "job:completed") == 0);
    AWAIT(is_empty(d));
    CHECK(counted(d, "delivered") == 6);
}
END_TEST

START_TEST(test_retrying)
{
    struct sim *s = sim_start("--fault", "http500@1", NULL);
    struct receiver *r = receiver_start();
    struct daemon *d = DAEMON(.config = text("%slink: {quietPollMs: 100, submitSettleMs: 100}\n",
                                             config_for(s, "")));
    json_t *j = run_job(d, hooked("a", r, ",'events':['job:retrying','job:failed']"));
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 2);
    AWAIT(receiver_count(r) == 1);
    check_delivery(receiver_got(r, 0));
    json_t *b = nth_body(r, 0);
    CHECK(strcmp(str_at(b, "type"), "job:retrying") == 0);
    CHECK(num_at(b, "data.failedAttempt.attempt") == 1 &&
          strcmp(str_at(b, "data.failedAttempt.backend"), "s0") == 0 && has(b, "data.retryAt"));
    AWAIT(is_empty(d));
}
END_TEST

/* An error text and metadata of any size: the body stays small and names its job. */
START_TEST(test_large)
{
    enum { TEXT = 60000 };
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    struct daemon *d = daemon_for(s);
    char *filler = text("%0*d", TEXT, 1);
    json_t *j = run_job(d, q("{'workflow':{'1':{'class_type':'T_SleepOut','inputs':{'_error':'%s',"
                             "'_tag':'a'}}},'webhook':{'url':'%s/hook'}}",
                             filler, r->url));
    char *names = text("%s", "");
    for (int i = 0; i < 400; i++) {
        names = text("%s%s{'filename':'%0100d.png','subfolder':'','type':'output'}", names,
                     i == 0 ? "" : ",", i);
    }
    json_t *k = run_job(d, q("{'workflow':{'1':{'class_type':'SaveImage','inputs':{'_ui':"
                             "{'images':[%s]},'_ms':1,'_tag':'b'}}},'webhook':{'url':'%s/hook',"
                             "'events':['job:output','job:completed']}}",
                             names, r->url));
    AWAIT(receiver_count(r) == 3);
    for (size_t i = 0; i < 3; i++) {
        check_delivery(receiver_got(r, i));
    }
    CHECK(strcmp(str_at(nth_body(r, 0), "type"), "job:failed") == 0);
    CHECK(count_job(r, str_at(j, "id")) == 1 && count_job(r, str_at(k, "id")) == 2);
    CHECK(count_type(r, "job:output") == 1);
}
END_TEST

/* Metadata, the error of the attempt that failed, and what escapes make of it. */
START_TEST(test_large_retrying)
{
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    struct daemon *d = daemon_for(s);
    char *filler = text("%015000d", 1);
    char *controls = text("%s", "");
    for (int i = 0; i < 3000; i++) {
        controls = text("%s\\u001b", controls);
    }
    json_t *j =
        run_job(d, text("{\"workflow\":{\"1\":{\"class_type\":\"T_SleepOut\",\"inputs\":{"
                        "\"_error\":\"%s\",\"_tag\":\"a\"}}},\"metadata\":{\"a\":\"%s\"},"
                        "\"maxAttempts\":2,\"retryOn\":[\"node_error\"],\"webhook\":{\"url\":"
                        "\"%s/hook\",\"events\":[\"job:retrying\",\"job:failed\"]}}",
                        controls, filler, r->url));
    CHECK(strcmp(str_at(j, "state"), "failed") == 0 && num_at(j, "attempts") == 2);
    AWAIT(receiver_count(r) == 2);
    check_delivery(receiver_got(r, 0));
    check_delivery(receiver_got(r, 1));
    CHECK(count_type(r, "job:retrying") == 1 && has(nth_body(r, 0), "data.failedAttempt.error"));
}
END_TEST

/* ---- tries ----------------------------------------------------------------------------------- */

START_TEST(test_tried_again)
{
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    struct daemon *d = daemon_for(s);
    receiver_answers(r, 500, NULL);
    json_t *j = run_job(d, hooked("a", r, text(",'secret':'%s'", own_secret)));
    AWAIT(delivery_is(d, "failing"));
    json_t *v = the_delivery(d);
    CHECK(strcmp(str_at(v, "jobId"), str_at(j, "id")) == 0 &&
          strcmp(str_at(v, "type"), "job:completed") == 0 &&
          strcmp(str_at(v, "url"), text("%s/hook", r->url)) == 0);
    CHECK(num_at(v, "tries") == 1 && num_at(v, "lastStatus") == 500 &&
          strcmp(str_at(v, "lastError"), "HTTP 500") == 0);
    const double pause = num_at(v, "nextAt") - num_at(receiver_got(r, 0), "at");
    CHECK(pause > 2500 && pause < 6000, "the second try is planned after %.0f ms", pause);
    receiver_answers(r, 204, NULL);
    AWAIT(receiver_count(r) == 2);
    json_t *first = receiver_got(r, 0);
    json_t *second = receiver_got(r, 1);
    CHECK(strcmp(header(first, "webhook-id"), header(second, "webhook-id")) == 0 &&
          strcmp(header(first, "webhook-id"), str_at(v, "id")) == 0);
    CHECK(strcmp(str_at(first, "body"), str_at(second, "body")) == 0);
    CHECK(atof(header(second, "webhook-timestamp")) > atof(header(first, "webhook-timestamp")));
    for (size_t i = 0; i < 2; i++) {
        check_delivery(receiver_got(r, i));
        check_signed(receiver_got(r, i), own_secret);
    }
    AWAIT(is_empty(d));
    CHECK(counted(d, "failed") == 1 && counted(d, "delivered") == 1 && counted(d, "dead") == 0);
}
END_TEST

START_TEST(test_gone_and_redelivered)
{
    static const char unknown[] = "019ab3f2-7a10-7c2e-8d4b-5e6f70819203";
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    struct daemon *d = daemon_for(s);
    receiver_answers(r, 410, NULL);
    (void)run_job(d, hooked("a", r, text(",'secret':'%s'", own_secret)));
    AWAIT(delivery_is(d, "dead"));
    json_t *v = the_delivery(d);
    CHECK(num_at(v, "tries") == 1 && num_at(v, "lastStatus") == 410 && !has(v, "nextAt"));
    CHECK(json_array_size(list(d, "?state=dead")) == 1 &&
          json_array_size(list(d, "?state=pending,failing,forbidden")) == 0);
    CHECK(counted(d, "dead") == 1);
    if (_i == 1) {
        daemon_kill(d);
        d = daemon_for(s);
        CHECK(delivery_is(d, "dead") && receiver_count(r) == 1);
    }
    receiver_answers(r, 200, NULL);
    char *again = text("/webhooks/deliveries/%s/redeliver", str_at(v, "id"));
    struct answer *a = post(d, again, "");
    expect(a, 202, NULL);
    CHECK(strcmp(str_at(a->json, "id"), str_at(v, "id")) == 0 &&
          strcmp(str_at(a->json, "state"), "pending") == 0 && num_at(a->json, "tries") == 0);
    AWAIT(receiver_count(r) == 2);
    CHECK(strcmp(header(receiver_got(r, 1), "webhook-id"), str_at(v, "id")) == 0);
    check_signed(receiver_got(r, 1), own_secret);
    AWAIT(is_empty(d));
    expect(post(d, again, ""), 404, "delivery_not_found");
    expect(post(d, text("/webhooks/deliveries/%s/redeliver", unknown), ""), 404,
           "delivery_not_found");
    CHECK(receiver_count(r) == 2);
}
END_TEST

/* Asked for while it waits for its next try: now instead. */
START_TEST(test_redelivered_early)
{
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    struct daemon *d = daemon_for(s);
    receiver_answers(r, 503, "Retry-After: 3600");
    (void)run_job(d, hooked("a", r, ""));
    AWAIT(delivery_is(d, "failing"));
    receiver_answers(r, 200, NULL);
    expect(post(d, text("/webhooks/deliveries/%s/redeliver", str_at(the_delivery(d), "id")), ""),
           202, NULL);
    AWAIT(is_empty(d));
    CHECK(receiver_count(r) == 2);
}
END_TEST

static const struct {
    const char *name;
    int date_in_s; /* not 0: as a date, instead of the text */
    const char *header;
    double least_ms, most_ms; /* of the pause */
} asked[] = {
    {"seconds", 0, "Retry-After: 100", 99000, 106000},
    {"a date", 500, NULL, 498000, 506000},
    {"less than the schedule", 0, "Retry-After: 1", 2500, 6000},
    {"a date that is over", -500, NULL, 2500, 6000},
    {"nonsense", 0, "Retry-After: soon", 2500, 6000},
    {"negative", 0, "Retry-After: -100", 2500, 6000},
    {"beyond a day", 0, "Retry-After: 99999999999", 86390e3, 86410e3},
};

START_TEST(test_retry_after)
{
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    struct daemon *d = daemon_for(s);
    char line[64];
    const time_t when = time(NULL) + asked[_i].date_in_s;
    struct tm date;
    (void)strftime(line, sizeof line, "Retry-After: %a, %d %b %Y %H:%M:%S GMT",
                   gmtime_r(&when, &date));
    receiver_answers(r, 503, asked[_i].date_in_s != 0 ? line : asked[_i].header);
    (void)run_job(d, hooked("a", r, ""));
    AWAIT(delivery_is(d, "failing"));
    const double pause = num_at(the_delivery(d), "nextAt") - num_at(receiver_got(r, 0), "at");
    CHECK(pause > asked[_i].least_ms && pause < asked[_i].most_ms, "%s: %.0f ms", asked[_i].name,
          pause);
}
END_TEST

START_TEST(test_redirect)
{
    static const int statuses[] = {301, 302, 303, 307, 308};
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    struct receiver *other = receiver_start();
    struct daemon *d = daemon_for(s);
    receiver_answers(r, statuses[_i], text("Location: %s/hook", other->url));
    (void)run_job(d, hooked("a", r, ""));
    AWAIT(delivery_is(d, "failing")); /* had it been followed, it would be taken */
    CHECK(num_at(the_delivery(d), "lastStatus") == statuses[_i]);
    CHECK(receiver_count(other) == 0);
}
END_TEST

/* ---- receivers that do not answer ------------------------------------------------------------ */

START_TEST(test_never_answers)
{
    enum { JOBS = 5 };
    struct sim *s = sim_plain();
    struct receiver *dead = receiver_start();
    struct receiver *good = receiver_start();
    struct daemon *d = daemon_for(s);
    receiver_answers(dead, 0, NULL);
    for (int i = 0; i < JOBS; i++) {
        json_t *j = run_job(d, hooked(text("a%d", i), dead, ""));
        CHECK(strcmp(str_at(j, "state"), "completed") == 0);
    }
    AWAIT(receiver_held(dead) == 1);
    (void)run_job(d, hooked("b", good, ""));
    AWAIT(receiver_count(good) == 1);
    /* One that never took anything gets one at a time. */
    AWAIT(counted(d, "inFlight") == 1 && counted(d, "waiting") == JOBS - 1);
    /* Its time is over: it is tried again, and it is told why. */
    AWAIT(json_array_size(list(d, "?state=failing")) > 0);
    json_t *v = json_array_get(list(d, "?state=failing"), 0);
    CHECK(!has(v, "lastStatus") && strcmp(str_at(v, "lastError"), "no answer within 15 s") == 0);
    receiver_answers(dead, 200, NULL);
    AWAIT(is_empty(d));
    CHECK(counted(d, "delivered") == JOBS + 1);
}
END_TEST

START_TEST(test_at_most_two_of_a_host)
{
    enum { JOBS = 6 };
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    struct receiver *other = receiver_start();
    struct daemon *d = daemon_for(s);
    receiver_answers(r, 0, NULL);
    for (int i = 0; i < JOBS; i++) { /* each URL may have one: it is the host that counts */
        (void)run_job(
            d, sleep_body(text("a%d", i), 1, text(",'webhook':{'url':'%s/hook?%d'}", r->url, i)));
    }
    AWAIT(receiver_held(r) == 2);
    (void)run_job(d, hooked("b", other, ""));
    AWAIT(receiver_count(other) == 1);
    AWAIT(counted(d, "inFlight") == 2);
    CHECK(receiver_held(r) == 2 && receiver_most(r) == 2);
    receiver_answers(r, 200, NULL);
    AWAIT(is_empty(d));
    CHECK(receiver_count(r) == JOBS && receiver_most(r) == 2);
}
END_TEST

START_TEST(test_at_most_so_many_in_all)
{
    enum { RECEIVERS = 3 };
    struct sim *s = sim_plain();
    struct receiver *r[RECEIVERS];
    struct daemon *d = DAEMON(.config = config_for(s, ", maxConcurrent: 2"));
    for (int i = 0; i < RECEIVERS; i++) {
        r[i] = receiver_start();
        receiver_answers(r[i], 0, NULL);
        (void)run_job(d, hooked(text("a%d", i), r[i], ""));
    }
    AWAIT(receiver_held(r[0]) + receiver_held(r[1]) + receiver_held(r[2]) == 2);
    CHECK(counted(d, "inFlight") == 2 && counted(d, "waiting") == 1 && receiver_count(r[2]) == 0);
    receiver_answers(r[0], 200, NULL);
    AWAIT(receiver_held(r[2]) == 1);
    receiver_answers(r[1], 200, NULL);
    receiver_answers(r[2], 200, NULL);
    AWAIT(is_empty(d));
}
END_TEST

/* The daemon ends with some that are pending, in flight or failing: each comes later, as the same
   delivery. */
START_TEST(test_over_restarts)
{
    enum { JOBS = 5, KILLED = 1, WAYS = 3 };
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    struct daemon *d = daemon_for(s);
    const int way = _i / 2;
    if (way == 0) {
        receiver_answers(r, 500, NULL);
    } else if (way == 1) {
        receiver_answers(r, 0, NULL);
    } else {
        receiver_stop(r);
    }
    char *ids[JOBS];
    for (int i = 0; i < JOBS; i++) {
        char *body = hooked(text("a%d", i), r, text(",'secret':'%s'", own_secret));
        ids[i] = text("%s", str_at(run_job(d, body), "id"));
    }
    json_t *before = list(d, "");
    CHECK(json_array_size(before) == JOBS);
    if (_i % 2 == KILLED) {
        daemon_kill(d);
    } else {
        daemon_stop(d);
    }
    if (way == 2) {
        receiver_restart(r);
    }
    const size_t came = receiver_count(r);
    receiver_answers(r, 200, NULL);
    d = daemon_for(s);
    AWAIT(is_empty(d));
    for (int i = 0; i < JOBS; i++) {
        CHECK(count_job(r, ids[i]) >= 1, "job %d", i);
    }
    CHECK(receiver_count(r) == came + JOBS, "each once more, not twice");
    for (size_t i = 0; i < receiver_count(r); i++) {
        check_signed(receiver_got(r, i), own_secret);
        const char *id = header(receiver_got(r, i), "webhook-id");
        size_t k = 0;
        while (k < JOBS && strcmp(str_at(json_array_get(before, k), "id"), id) != 0) {
            k++;
        }
        CHECK(k < JOBS, "the ids are those of before");
    }
}
END_TEST

/* ---- the list -------------------------------------------------------------------------------- */

START_TEST(test_pages)
{
    enum { JOBS = 5 };
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    struct daemon *d = daemon_for(s);
    receiver_answers(r, 410, NULL);
    for (int i = 0; i < JOBS; i++) {
        (void)run_job(d, hooked(text("a%d", i), r, ""));
    }
    AWAIT(json_array_size(list(d, "?state=dead")) == JOBS);
    char *seen = text("%s", "");
    char *path = text("%s", "/webhooks/deliveries?limit=2&state=dead,forbidden");
    size_t n = 0;
    for (int page = 0; path != NULL; page++) {
        CHECK(page < JOBS);
        struct answer *a = get(d, "%s", path);
        expect(a, 200, NULL);
        json_t *all = at(a->json, "deliveries");
        CHECK(json_array_size(all) <= 2);
        for (size_t i = 0; i < json_array_size(all); i++, n++) {
            const char *id = str_at(json_array_get(all, i), "id");
            CHECK(strstr(seen, id) == NULL, "twice");
            seen = text("%s %s", seen, id);
        }
        char *link = header_of(a, "Link");
        CHECK((*link != '\0') == has(a->json, "nextCursor"));
        path = *link == '\0' ? NULL : text("%.*s", (int)strcspn(link + 1, ">"), link + 1);
        CHECK(path == NULL || strstr(path, str_at(a->json, "nextCursor")) != NULL);
    }
    CHECK(n == JOBS);
    expect(get(d, "/webhooks/deliveries?state=lost"), 400, "query_invalid");
    expect(get(d, "/webhooks/deliveries?limit=0"), 400, "query_invalid");
    expect(get(d, "/webhooks/deliveries?cursor=x"), 400, "query_invalid");
    expect(get(d, "/webhooks/deliveries?order=up"), 400, "query_invalid");
    expect(post(d, "/webhooks/deliveries/x/redeliver", ""), 404, NULL);
}
END_TEST

/* ---- whom it may be sent to ------------------------------------------------------------------ */

static const char *const closed[] = {
    "http://127.0.0.1:1/",
    "http://localhost/",
    "http://a.localhost:8080/x",
    "http://[::1]/",
    "http://10.1.2.3/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://169.254.1.2/",
    "http://100.64.0.1/",
    "http://[fd00::1]/",
    "http://[fe80::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://224.0.0.1/",
    "http://0.0.0.0/",
    "https://127.0.0.1/",
    "http://LOCALHOST./",
    "http://[64:ff9b::7f00:1]/",
    "http://%6c%6fcalhost/",
    "http://[ff02::1]/",
    "http://255.255.255.255/",
};

START_TEST(test_closed)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    for (size_t i = 0; i < sizeof closed / sizeof *closed; i++) {
        struct answer *a =
            post(d, "/jobs", sleep_body("a", 1, text(",'webhook':{'url':'%s'}", closed[i])));
        CHECK(a->status == 403, "%s: %ld", closed[i], a->status);
        expect(a, 403, "forbidden");
        CHECK(strcmp(str_at(a->json, "pointer"), "/webhook/url") == 0, "%s", closed[i]);
    }
    CHECK(json_array_size(at(get(d, "/jobs")->json, "jobs")) == 0 && is_empty(d));
}
END_TEST

static const struct {
    const char *allow, *host;
} opened[] = {
    {"127.0.0.0/8", "127.0.0.1"}, {"127.0.0.1", "127.0.0.1"}, {"localhost", "localhost"},
    {"LocalHost", "localhost"},   {"127.0.0.1", "localhost"}, {"127.0.0.0/8", "[::ffff:127.0.0.1]"},
};

START_TEST(test_allowed)
{
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    struct daemon *d =
        DAEMON(.sims = {s}, .config = text("webhooks: {allow: ['%s']}\n", opened[_i].allow));
    (void)run_job(
        d, sleep_body("a", 1,
                      text(",'webhook':{'url':'http://%s:%d/hook'}", opened[_i].host, r->port)));
    AWAIT(receiver_count(r) == 1);
    check_delivery(receiver_got(r, 0));
}
END_TEST

/* One network is open, and another one of the same host's addresses is not: closed. */
START_TEST(test_allowed_elsewhere)
{
    struct sim *s = sim_plain();
    struct daemon *d =
        DAEMON(.sims = {s}, .config = "webhooks: {allow: [127.0.0.2, 10.0.0.0/8, a.example]}\n");
    expect(post(d, "/jobs", sleep_body("a", 1, ",'webhook':{'url':'http://127.0.0.1:1/'}")), 403,
           "forbidden");
}
END_TEST

static bool leads_to_loopback(const char *name)
{
    struct addrinfo *all = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    if (getaddrinfo(name, NULL, &hints, &all) != 0) {
        return false;
    }
    bool every = true;
    for (const struct addrinfo *a = all; a != NULL; a = a->ai_next) {
        char text[INET6_ADDRSTRLEN] = "";
        (void)getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
        every = every && (strncmp(text, "127.", 4) == 0 || strcmp(text, "::1") == 0);
    }
    freeaddrinfo(all);
    return every;
}

/* A name that is not in itself suspicious. "": this machine has none. */
static char *own_name(void)
{
    char name[256] = "";
    (void)gethostname(name, sizeof name - 1);
    const char *const names[] = {name, "ip6-localhost", "ip6-loopback"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (leads_to_loopback(names[i])) {
            return text("%s", names[i]);
        }
    }
    return text("%s", "");
}

static void check_forbidden(struct daemon *d, const struct receiver *r)
{
    AWAIT(delivery_is(d, "forbidden"));
    json_t *v = the_delivery(d);
    CHECK(num_at(v, "tries") >= 1 && !has(v, "lastStatus") && !has(v, "nextAt"));
    CHECK(strstr(str_at(v, "lastError"), "webhooks.allow") != NULL);
    CHECK(receiver_count(r) == 0 && counted(d, "forbidden") == 1);
}

/* The address is judged when it is connected to. */
START_TEST(test_forbidden_when_connected)
{
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    const char *host = _i == 0 ? "127.0.0.1" : _i == 1 ? "localhost" : own_name();
    const bool refused_early = _i < 2;
    char *body = sleep_body("a", 1, text(",'webhook':{'url':'http://%s:%d/hook'}", host, r->port));
    if (*host == '\0') {
        return;
    }
    if (refused_early) { /* the configuration changes before the delivery is tried */
        receiver_stop(r);
        struct daemon *open =
            DAEMON(.sims = {s}, .config = "webhooks: {allow: [127.0.0.1, '::1']}\n");
        (void)run_job(open, body);
        AWAIT(delivery_is(open, "failing"));
        daemon_stop(open);
        receiver_restart(r);
    }
    struct daemon *d = DAEMON(.sims = {s});
    if (!refused_early) {
        (void)run_job(d, body);
    }
    check_forbidden(d, r);
    /* Whoever asks for it again gets no further. */
    expect(post(d, text("/webhooks/deliveries/%s/redeliver", str_at(the_delivery(d), "id")), ""),
           202, NULL);
    AWAIT(counted(d, "forbidden") == 2);
    CHECK(receiver_count(r) == 0);
}
END_TEST

/* One of a name's addresses is closed, at the other one nobody listens just now: that is no
   forbidden target. */
START_TEST(test_half_forbidden)
{
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    receiver_stop(r);
    struct daemon *d = DAEMON(.sims = {s}, .config = "webhooks: {allow: [127.0.0.1]}\n");
    (void)run_job(
        d, sleep_body("a", 1, text(",'webhook':{'url':'http://localhost:%d/hook'}", r->port)));
    AWAIT(!delivery_is(d, "pending"));
    CHECK(delivery_is(d, "failing"));
    receiver_restart(r);
    AWAIT(is_empty(d));
}
END_TEST

/* ---- what is refused ------------------------------------------------------------------------- */

static const struct {
    const char *webhook; /* quotes as in q() */
    const char *pointer;
} malformed[] = {
    {"'x'", "/webhook"},
    {"[]", "/webhook"},
    {"null", "/webhook"},
    {"{}", "/webhook/url"},
    {"{'url':5}", "/webhook/url"},
    {"{'url':''}", "/webhook/url"},
    {"{'url':'ftp://a.example/'}", "/webhook/url"},
    {"{'url':'a.example/hook'}", "/webhook/url"},
    {"{'url':'http://u:p@a.example/'}", "/webhook/url"},
    {"{'url':'http://u@a.example/'}", "/webhook/url"},
    {"{'url':'http://a.example/\\n'}", "/webhook/url"},
    {"{'url':'http://a.example/','events':[]}", "/webhook/events"},
    {"{'url':'http://a.example/','events':'job:failed'}", "/webhook/events"},
    {"{'url':'http://a.example/','events':['job:nothing']}", "/webhook/events/0"},
    {"{'url':'http://a.example/','events':['job:progress']}", "/webhook/events/0"},
    {"{'url':'http://a.example/','events':['job:node']}", "/webhook/events/0"},
    {"{'url':'http://a.example/','events':['backend:state']}", "/webhook/events/0"},
    {"{'url':'http://a.example/','events':['job:failed','job:failed']}", "/webhook/events/1"},
    {"{'url':'http://a.example/','events':[1]}", "/webhook/events/0"},
    {"{'url':'http://a.example/','secret':'geheim'}", "/webhook/secret"},
    {"{'url':'http://a.example/','secret':'whsec_'}", "/webhook/secret"},
    {"{'url':'http://a.example/','secret':'whsec_!!!!'}", "/webhook/secret"},
    {"{'url':'http://a.example/','secret':7}", "/webhook/secret"},
    {"{'url':'http://a.example/','secrets':'x'}", "/webhook/secrets"},
    {"{'url':'http://a.example/','url':'http://b.example/'}", NULL},
};

START_TEST(test_malformed)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        struct answer *a =
            post(d, "/jobs", sleep_body("a", 1, text(",'webhook':%s", malformed[i].webhook)));
        CHECK(a->status == 400, "%s: %ld", malformed[i].webhook, a->status);
        CHECK(malformed[i].pointer == NULL ||
                  strcmp(str_at(a->json, "pointer"), malformed[i].pointer) == 0,
              "%s: %s", malformed[i].webhook, str_at(a->json, "pointer"));
        CHECK(strstr(a->body, "geheim") == NULL);
    }
    CHECK(json_array_size(at(get(d, "/jobs")->json, "jobs")) == 0);
}
END_TEST

START_TEST(test_secret_is_never_shown)
{
    struct sim *s = sim_plain();
    struct receiver *r = receiver_start();
    struct daemon *d = DAEMON(.config = config_for(s, ""), .arguments = {"--log-level", "debug"});
    receiver_answers(r, 410, NULL);
    struct answer *a = post(d, "/jobs?wait=60", hooked("a", r, text(",'secret':'%s'", own_secret)));
    expect(a, 200, NULL);
    AWAIT(delivery_is(d, "dead"));
    const char *id = str_at(a->json, "id");
    char *again = text("/webhooks/deliveries/%s/redeliver", str_at(the_delivery(d), "id"));
    const char *const said[] = {
        a->body,
        get(d, "/jobs/%s", id)->body,
        get(d, "/jobs")->body,
        get(d, "/jobs/%s/workflow", id)->body,
        get(d, "/jobs/%s/attempts", id)->body,
        get(d, "/jobs/%s/profile", id)->body,
        get(d, "/webhooks/deliveries")->body,
        post(d, again, "")->body,
        str_at(receiver_got(r, 0), "body"),
        get(d, "/stats")->body,
        read_file(d->err),
    };
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        CHECK(strstr(said[i], own_secret + 6) == NULL, "%zu: %s", i, said[i]);
    }
    check_signed(receiver_got(r, 0), own_secret);
}
END_TEST

Suite *webhooks_suite(void)
{
    static const struct named_test tests[] = {
        {"delivered", &test_delivered, 2},
        {"of the configuration", &test_of_the_configuration, 0},
        {"events", &test_events, 0},
        {"retrying", &test_retrying, 0},
        {"large", &test_large, 0},
        {"large, retrying", &test_large_retrying, 0},
        {"tried again", &test_tried_again, 0},
        {"gone, redelivered", &test_gone_and_redelivered, 2},
        {"redelivered early", &test_redelivered_early, 0},
        {"Retry-After", &test_retry_after, (int)(sizeof asked / sizeof *asked)},
        {"redirect", &test_redirect, 5},
        {"never answers", &test_never_answers, 0},
        {"two of a host", &test_at_most_two_of_a_host, 0},
        {"so many in all", &test_at_most_so_many_in_all, 0},
        {"over restarts", &test_over_restarts, 6},
        {"pages", &test_pages, 0},
        {"closed", &test_closed, 0},
        {"allowed", &test_allowed, (int)(sizeof opened / sizeof *opened)},
        {"allowed elsewhere", &test_allowed_elsewhere, 0},
        {"forbidden when connected", &test_forbidden_when_connected, 3},
        {"half forbidden", &test_half_forbidden, 0},
        {"malformed", &test_malformed, 0},
        {"the secret", &test_secret_is_never_shown, 0},
    };
    return SUITE("webhooks", 120, tests);
}

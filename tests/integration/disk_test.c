/*
 * A full disk, made by RLIMIT_FSIZE: each write to a file fails. Nothing is promised that cannot be
 * kept, nothing that runs is lost, and it is over by itself. Also who may read the state.
 */
#include "harness.h"

#include <dirent.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suites.h"

START_TEST(test_full_disk)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    json_t *kept = run_job(d, sleep_body("before", 1, ""));
    char *running = submit(d, sleep_body("running", 400, ""));
    AWAIT(is_at_node(d, running, "1"));
    char *queued = submit(d, sleep_body("queued", 5, ""));
    daemon_limit_files(d, 1);
    for (int i = 0; i < 3; i++) {
        struct answer *a = post(d, "/jobs", sleep_body(text("no%d", i), 1, ""));
        expect(a, 503, "store_unavailable");
        CHECK(*header_of(a, "Retry-After") != '\0');
    }
    struct answer *a = post(d, "/jobs?wait=5", sleep_body("no", 1, ""));
    expect(a, 503, "store_unavailable");
    const char *batch =
        q("{'workflow':%s,'overrides':[{'1._ms':1},{'1._ms':2}]}", sleeper("no", 1));
    for (int i = 0; i < 2; i++) {
        const double asked = now_s();
        expect(post(d, "/batches", batch), 503, "store_unavailable");
        CHECK(now_s() - asked < 10, "at once, and not when there is room again");
    }
    a = get(d, "/readyz");
    expect(a, 503, NULL);
    CHECK(*str_at(a->json, "reasons.0") != '\0');
    expect(get(d, "/healthz"), 200, NULL);
    expect(get(d, "/stats"), 200, NULL);
    a = get(d, "/jobs/%s", str_at(kept, "id"));
    CHECK(a->status == 200 && json_equal(a->json, kept), "what is stored can be read");
    /* The backend ends what runs; nobody is told before it is stored. */
    AWAIT(ledger_count(s, "success", "running") == 1);
    CHECK(is_state(d, running, "running"));
    a = get(d, "/jobs/%s?wait=1", running);
    CHECK(strcmp(str_at(a->json, "state"), "running") == 0);
    CHECK(ledger_count(s, "posted", "queued") == 0, "no POST without a stored intent");
    int wait = raw_request(d, "GET", text("/jobs/%s?wait=60", running), "");
    daemon_limit_files(d, 0);
    await_ready(d);
    a = raw_answer(wait);
    CHECK(a != NULL && strcmp(str_at(a->json, "state"), "completed") == 0);
    CHECK(is_true(a->json, "profileStats.evidence.complete"));
    CHECK(strcmp(str_at(await_end(d, queued), "state"), "completed") == 0);
    CHECK(strcmp(str_at(run_job(d, sleep_body("after", 1, "")), "state"), "completed") == 0);
    CHECK(json_array_size(at(get(d, "/jobs")->json, "jobs")) == 4, "the refused are not there");
    expect(post(d, "/batches", batch), 202, NULL);
}
END_TEST

/* SIGTERM while the disk is full: it ends, and what was not stored is found out after the restart.
 */
START_TEST(test_stop_on_a_full_disk)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *id = submit(d, sleep_body("a", 200, ""));
    AWAIT(is_at_node(d, id, "1"));
    daemon_limit_files(d, 1);
    AWAIT(ledger_count(s, "success", "a") == 1);
    daemon_stop(d);
    CHECK(d->ended_in < 6, "%.1f s", d->ended_in);
    d = DAEMON(.sims = {s});
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 1);
}
END_TEST

/* A cancel that comes while the end of an attempt, which is to be retried, waits for the disk. */
START_TEST(test_cancel_on_a_full_disk)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .config = "jobs: {retryDelayMs: 60000}\n");
    sim_control(s, "{'fault':'refuse@1:300'}");
    char *id = submit(d, sleep_body("b", 60000, ""));
    AWAIT(ledger_count(s, "posted", "b") == 1);
    daemon_limit_files(d, 1);
    /* The backend crashed and knows nothing of it: the attempt is lost, its end cannot be stored.
     */
    AWAIT(num_at(get(d, "/backends")->json, "backends.0.inFlight") == 0);
    int asked = raw_request(d, "POST", text("/jobs/%s/cancel", id), "");
    expect(get(d, "/jobs/%s", id), 200, NULL);
    daemon_limit_files(d, 0);
    struct answer *a = raw_answer(asked);
    CHECK(a != NULL && a->status == 200, "a cancel is answered");
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "cancelled") == 0, "and done");
}
END_TEST

START_TEST(test_modes)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    (void)run_job(d, sleep_body("a", 1, ""));
    struct stat st;
    CHECK(stat(d->state, &st) == 0 && (st.st_mode & 0777) == 0700, "the directory: %o",
          (unsigned)st.st_mode & 0777);
    DIR *dir = opendir(d->state);
    int files = 0;
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (*e->d_name != '.') {
            CHECK(stat(text("%s/%s", d->state, e->d_name), &st) == 0 &&
                      (st.st_mode & 0777) == (S_ISDIR(st.st_mode) ? 0700 : 0600),
                  "%s: %o", e->d_name, (unsigned)st.st_mode & 0777);
            files++;
        }
    }
    (void)closedir(dir);
    CHECK(files >= 2);
}
END_TEST

START_TEST(test_no_state_directory)
{
    struct daemon *d = DAEMON(.state = write_file("file", "x"), .may_fail = true);
    CHECK(d->port == 0 && daemon_wait(d) == 1);
    CHECK(strstr(read_file(d->err), "cannot open the store") != NULL);
    d->status = 0;
    d = DAEMON(.state = path_of("deep/er/state"));
    expect(get(d, "/healthz"), 200, NULL);
}
END_TEST

START_TEST(test_broken_database)
{
    struct daemon *d = DAEMON(.no_profile = true);
    daemon_stop(d);
    (void)write_file("state/comfypoold.db", "this is not a database, and it is long enough to be "
                                            "read as one: 16 bytes of magic are what counts.....");
    d = DAEMON(.may_fail = true);
    CHECK(d->port == 0 && daemon_wait(d) == 1, "it must say so and end");
    CHECK(strstr(read_file(d->err), "cannot open the store") != NULL);
    d->status = 0;
}
END_TEST

/* What is written to a file without a name is on no disk. */
START_TEST(test_state_directory_goes)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    (void)run_job(d, sleep_body("a", 1, ""));
    const char *moved = path_of("moved");
    CHECK(rename(d->state, moved) == 0);
    expect(post(d, "/jobs", sleep_body("b", 1, "")), 503, "store_unavailable");
    struct answer *a = get(d, "/readyz");
    expect(a, 503, NULL);
    CHECK(strstr(str_at(a->json, "reasons.0"), "removed") != NULL);
    a = ask(d, "POST", "/uploads", "Content-Type: application/octet-stream", "bytes");
    expect(a, 503, "store_unavailable");
    CHECK(strstr(str_at(a->json, "detail"), "removed") != NULL);
    CHECK(strcmp(header_of(a, "Retry-After"), "2") == 0);
    expect(get(d, "/healthz"), 200, NULL);
    /* It is back, as that of a disk that was mounted again. */
    CHECK(rename(moved, d->state) == 0);
    await_ready(d);
    (void)run_job(d, sleep_body("c", 1, ""));
    /* Nobody writes, and it is seen all the same. */
    CHECK(rename(d->state, moved) == 0);
    AWAIT(get(d, "/readyz")->status == 503);
    CHECK(rename(moved, d->state) == 0);
}
END_TEST

/* Another user could have planted one. */
START_TEST(test_planted_links)
{
    static const char *const names[] = {"lock", "uploads", "outputs", "comfypoold.db"};
    char *precious = write_file("precious", "mine");
    CHECK(mkdir(path_of("dir"), 0700) == 0 && mkdir(path_of("dir/unfinished"), 0700) == 0);
    char *inside = write_file("dir/unfinished/inside", "mine");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *state = path_of("planted%zu", i);
        const bool is_dir = i == 1 || i == 2;
        CHECK(mkdir(state, 0700) == 0);
        CHECK(symlink(is_dir ? path_of("dir") : precious, text("%s/%s", state, names[i])) == 0);
        struct daemon *d = DAEMON(.state = (char *)(uintptr_t)state, .may_fail = true);
        CHECK(d->port == 0 && daemon_wait(d) == 1, "%s", names[i]);
        CHECK(strstr(read_file(d->err), names[i]) != NULL);
        CHECK(strstr(read_file(d->err), "symbolic link") != NULL);
        d->status = 0;
    }
    CHECK(strcmp(read_file(precious), "mine") == 0 && strcmp(read_file(inside), "mine") == 0);
}
END_TEST

START_TEST(test_emptied_database)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    (void)run_job(d, sleep_body("a", 1, ""));
    daemon_stop(d);
    CHECK(unlink(text("%s/comfypoold.db", d->state)) == 0);
    for (int i = 0; i < 2; i++) { /* gone, then empty */
        d = DAEMON(.sims = {s}, .may_fail = true);
        CHECK(d->port == 0 && daemon_wait(d) == 1);
        CHECK(strstr(read_file(d->err), "--new-store") != NULL);
        d->status = 0;
        (void)write_file("state/comfypoold.db", "");
    }
    d = DAEMON(.sims = {s}, .arguments = {"--new-store"});
    CHECK(json_array_size(at(get(d, "/jobs")->json, "jobs")) == 0);
    (void)run_job(d, sleep_body("b", 1, ""));
}
END_TEST

/* Makes the database of the state directory anew, with what sql makes in it. */
static void replace_database(const struct daemon *d, const char *sql)
{
    const char *path = text("%s/comfypoold.db", d->state);
    sqlite3 *db = NULL;
    CHECK(unlink(path) == 0);
    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
    CHECK(sqlite3_close(db) == SQLITE_OK);
}

static size_t read_bytes(const char *path, char *ret, size_t size)
{
    FILE *f = fopen(path, "rb");
    CHECK(f != NULL);
    const size_t n = fread(ret, 1, size, f);
    (void)fclose(f);
    return n;
}

/* A database without a schema version passed for a new one: the jobs were gone without a word, and
   our tables stood among another program's. */
START_TEST(test_another_programs_database)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    (void)run_job(d, sleep_body("a", 1, ""));
    daemon_stop(d);
    replace_database(d, "CREATE TABLE photos (name TEXT); INSERT INTO photos VALUES ('cat');");
    const char *path = text("%s/comfypoold.db", d->state);
    char before[16384];
    char after[16384];
    const size_t n = read_bytes(path, before, sizeof before);
    for (int i = 0; i < 2; i++) {
        d = i == 0 ? DAEMON(.sims = {s}, .may_fail = true)
                   : DAEMON(.sims = {s}, .may_fail = true, .arguments = {"--new-store"});
        CHECK(d->port == 0 && daemon_wait(d) == 1);
        CHECK(strstr(read_file(d->err), "another program's") != NULL);
        CHECK(read_bytes(path, after, sizeof after) == n && memcmp(before, after, n) == 0,
              "nothing is written to it");
        d->status = 0;
    }
    /* One that has pages and no tables is as empty as a file without a byte. */
    replace_database(d, "CREATE TABLE a (b); DROP TABLE a;");
    d = DAEMON(.sims = {s}, .may_fail = true);
    CHECK(d->port == 0 && daemon_wait(d) == 1);
    CHECK(strstr(read_file(d->err), "--new-store") != NULL);
    d->status = 0;
    d = DAEMON(.sims = {s}, .arguments = {"--new-store"});
    (void)run_job(d, sleep_body("b", 1, ""));
}
END_TEST

Suite *disk_suite(void)
{
    static const struct named_test tests[] = {
        {"full disk", &test_full_disk, 1},
        {"stop on a full disk", &test_stop_on_a_full_disk, 1},
        {"cancel on a full disk", &test_cancel_on_a_full_disk, 1},
        {"modes", &test_modes, 1},
        {"no state directory", &test_no_state_directory, 1},
        {"broken database", &test_broken_database, 1},
        {"state directory goes", &test_state_directory_goes, 1},
        {"planted links", &test_planted_links, 1},
        {"emptied database", &test_emptied_database, 1},
        {"another program's database", &test_another_programs_database, 1},
    };
    return SUITE("disk", 60, tests);
}

/*
 * The configuration reader: each kind of error with its exact line, all errors of a file at once,
 * bounds, the environment, lists from flags, headers files, and the sample file against the
 * defaults. Files are written into a directory of the test's own.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "comfypool/config/settings.h"
#include "comfypool/core/event.h"

Suite *config_suite(void);

#define LEN(a) ((int)(sizeof(a) / sizeof *(a)))

static char dir[64];
static char *root;
static char sample[4096]; /* the project's config/comfypoold.yaml: tests run in its root */
static struct config c;
static struct buf errors;

static void set_up(void)
{
    root = getcwd(NULL, 0);
    (void)snprintf(sample, sizeof sample, "%s/config/comfypoold.yaml", root);
    (void)snprintf(dir, sizeof dir, "/tmp/config_test_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(chdir(dir), 0);
    config_init(&c);
    buf_init(&errors, BUF_NO_LIMIT);
}

static void tear_down(void)
{
    static const char *const files[] = {"f.yaml", "headers"};
    for (int i = 0; i < LEN(files); i++) {
        (void)unlink(files[i]);
    }
    ck_assert_int_eq(chdir(root), 0);
    free(root);
    (void)rmdir(dir);
    config_done(&c);
    buf_done(&errors);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "we");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fputs(text, f) < 0, 0);
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_int_eq(chmod(path, mode), 0);
}

static bool load(const char *text)
{
    write_file("f.yaml", text, 0600);
    return config_load_file(&c, "f.yaml", &errors);
}

/* ---- errors of a file ------------------------------------------------------------------------ */

static const struct {
    const char *name;
    const char *yaml;
    const char *errors;
} bad[] = {
    {"unknown key", "listen: [\":1\"]\nlissen: [x]\n",
     "f.yaml:2: lissen is not known; did you mean listen?\n"},
    {"unknown key in a section", "http:\n  max_body_bytes: 5\n",
     "f.yaml:2: http.max_body_bytes is not known; did you mean http.maxBodyBytes?\n"},
    {"key in the wrong section", "http:\n  days: 5\n",
     "f.yaml:2: http.days is not known; did you mean retention.days?\n"},
    {"unknown section", "loging:\n  level: info\n",
     "f.yaml:1: loging is not known; did you mean log?\n"},
    {"nothing near", "wobble: {a: [1, {b: 2}]}\nstate: s\nzork: 1\n",
     "f.yaml:1: wobble is not known\nf.yaml:3: zork is not known\n"},
    {"unknown key of a backend", "backends:\n- url: http://a:1\n  maxinflight: 2\n",
     "f.yaml:3: backends[].maxinflight is not known; did you mean backends[].maxInFlight?\n"},
    {"doubled key", "state: a\nlog: {level: info}\nstate: b\n",
     "f.yaml:3: state is given twice (first in line 1)\n"},
    {"doubled section", "http: {maxWaits: 1}\njobs: {}\nhttp:\n  maxWaits: 2\n",
     "f.yaml:3: http is given twice (first in line 1)\n"},
    {"doubled key of a backend",
     "backends:\n  - url: http://a:1\n    weight: 1\n    url: http://b:1\n",
     "f.yaml:4: backends[].url is given twice (first in line 2)\n"},
    {"a list for a value", "state: [a]\n",
     "f.yaml:1: state must be one value (directory), no list or section\n"},
    {"a value for a section", "http: 5\n",
     "f.yaml:1: http must be a section: its keys stand indented below it\n"},
    {"a value for a list", "listen: 127.0.0.1:1\n",
     "f.yaml:1: listen must be a list, such as [127.0.0.1:8189]\n"},
    {"backends no list", "backends:\n  url: http://a:1\n",
     "f.yaml:2: backends must be a list: lines that begin with \"- url: ...\"\n"},
    {"a backend no mapping", "backends:\n  - http://a:1\n",
     "f.yaml:2: a backend must be a mapping, such as {url: http://127.0.0.1:8188}\n"},
    {"no value", "state:\n", "f.yaml:1: state has no value; give it one or leave it out\n"},
    {"null", "log:\n  level: ~\n",
     "f.yaml:2: log.level has no value; give it one or leave it out\n"},
    {"no number", "jobs:\n  maxAttempts: three\n",
     "f.yaml:2: jobs.maxAttempts: must be a whole number (attempts)\n"},
    {"a fraction", "jobs: {maxAttempts: 1.5}\n",
     "f.yaml:1: jobs.maxAttempts: must be a whole number (attempts)\n"},
    {"octal", "jobs: {maxAttempts: 010}\n",
     "f.yaml:1: jobs.maxAttempts: must be a whole number (attempts)\n"},
    {"hexadecimal", "jobs: {maxAttempts: 0x10}\n",
     "f.yaml:1: jobs.maxAttempts: must be a whole number (attempts)\n"},
    {"beyond 64 bits", "retention: {count: 99999999999999999999}\n",
     "f.yaml:1: retention.count: must be a whole number (jobs)\n"},
    {"quoted number", "jobs: {maxAttempts: \"3\"}\n",
     "f.yaml:1: jobs.maxAttempts must be a number without quotes\n"},
    {"too small", "jobs:\n  maxAttempts: 0\n",
     "f.yaml:2: jobs.maxAttempts: must be from 1 to 20 (attempts)\n"},
    {"too large", "jobs:\n  maxAttempts: 21\n",
     "f.yaml:2: jobs.maxAttempts: must be from 1 to 20 (attempts)\n"},
    {"negative", "retention:\n  days: -1\n",
     "f.yaml:2: retention.days: must be from 0 to 36500 (days)\n"},
    {"no truth", "profiling:\n  enabled: yes\n",
     "f.yaml:2: profiling.enabled: must be true or false\n"},
    {"no level", "log: {level: loud}\n",
     "f.yaml:1: log.level: must be error, warning, info or debug\n"},
    {"control character", "state: \"a\\nb\"\n",
     "f.yaml:1: state: must not contain line ends or other control characters\n"},
    {"no URL", "backends:\n  - url: nonsense\n",
     "f.yaml:2: backends[].url: the scheme is missing; write http://nonsense\n"},
    {"no scheme, and a secret", "backends:\n  - url: u:secret@127.0.0.1:8188/a?token=secret\n",
     "f.yaml:2: backends[].url: the scheme is missing; write http://127.0.0.1:8188/a\n"},
    {"a scheme without a colon", "backends:\n  - url: https//gpu1:8188\n",
     "f.yaml:2: backends[].url: the scheme is not whole; write https://gpu1:8188\n"},
    {"a scheme with one slash", "backends:\n  - url: HTTP:/gpu1:8188\n",
     "f.yaml:2: backends[].url: the scheme is not whole; write http://gpu1:8188\n"},
    {"a scheme with backslashes", "backends:\n  - url: http:\\\\me:secret@gpu1:8188\n",
     "f.yaml:2: backends[].url: the scheme is not whole; write http://gpu1:8188\n"},
    {"a host called http", "backends:\n  - url: http:8188\n",
     "f.yaml:2: backends[].url: the scheme is missing; write http://http:8188\n"},
    {"several", "backends:\n  - url: http://a:1,http://b:2\n",
     "f.yaml:2: backends[].url: these are several, separated by commas: repeat --backend for each, "
     "or list them under backends: in the configuration file\n"},
    {"several with blanks", "backends:\n  - url: http://a:1 http://b:2\n",
     "f.yaml:2: backends[].url: these are several, with blanks between them: a comma separates two "
     "in COMFYPOOLD_BACKENDS; --backend takes one, and may be repeated\n"},
    {"a token", "backends:\n  - url: http://a:1/?token=secret\n",
     "f.yaml:2: backends[].url: a query or fragment makes no sense here; a token goes into a "
     "header "
     "of requests: name its file in headersFile of the backend\n"},
    {"wrong scheme", "backends:\n  - name: a\n    url: ftp://a:1\n",
     "f.yaml:3: backends[].url: the scheme must be http or https\n"},
    {"credentials are not shown", "backends:\n  - url: http://u:secret@a:1/?q\n",
     "f.yaml:2: backends[].url: a query or fragment makes no sense here; a token goes into a "
     "header "
     "of requests: name its file in headersFile of the backend\n"},
    {"no url", "backends:\n  - name: a\n  - name: b\n    url: http://b:1\n",
     "f.yaml:2: a backend needs a url, such as http://127.0.0.1:8188\n"},
    {"bad name", "backends:\n  - {name: a b, url: http://a:1}\n",
     "f.yaml:2: backends[].name: must be 1 to 100 letters, digits, dots, colons, - and _\n"},
    {"doubled name", "backends:\n  - {name: a, url: http://a:1}\n  - {name: a, url: http://b:1}\n",
     "f.yaml:3: the backend name \"a\" is taken (f.yaml:2); give each its own\n"},
    {"doubled derived name", "backends:\n  - {name: b:1, url: http://a:1}\n  - url: http://b:1\n",
     "f.yaml:3: the backend name \"b:1\" is taken (f.yaml:2); give each its own\n"},
    {"doubled server",
     "backends:\n  - {name: a, url: http://x:1}\n  - {name: b, url: http://u:p@x:1/}\n",
     "f.yaml:3: the same server as backend \"a\" (f.yaml:2)\n"},
    {"address without port", "listen:\n  - 127.0.0.1:1\n  - localhost\n",
     "f.yaml:3: listen: an address is HOST:PORT or [IPv6]:PORT\n"},
    {"bad port", "listen: [127.0.0.1:65536]\n",
     "f.yaml:1: listen: the port must be from 0 to 65535 (0: any free one)\n"},
    {"IPv6 without brackets", "listen: [\"::1:80\"]\n",
     "f.yaml:1: listen: an address is HOST:PORT or [IPv6]:PORT\n"},
    {"unix socket without a path", "listen: [\"unix:x\"]\n",
     "f.yaml:1: listen: unix: needs an absolute path of at most 107 bytes, as in "
     "unix:/run/x.sock\n"},
    {"a value for retryOn", "jobs: {retryOn: lost}\n",
     "f.yaml:1: jobs.retryOn must be a list (classes of failures), such as [a, b]\n"},
    {"no class", "jobs:\n  retryOn:\n    - lost\n    - found\n    - [lost]\n",
     "f.yaml:4: jobs.retryOn: each must be one of transient, lost, out_of_memory, timeout, "
     "node_error, server_fault, or the list empty\n"
     "f.yaml:5: jobs.retryOn: an entry must be one value\n"},
    {"host with a port", "http:\n  allowedHosts: [a.example:80]\n",
     "f.yaml:2: http.allowedHosts: must be a host name or address without a port, such as "
     "pool.example\n"},
    {"origin with a path", "http:\n  allowedOrigins: ['https://a', 'https://a/', x, 'null']\n",
     "f.yaml:2: http.allowedOrigins: must be an origin, SCHEME://HOST or SCHEME://HOST:PORT, and "
     "no path\n"
     "f.yaml:2: http.allowedOrigins: must be an origin, SCHEME://HOST or SCHEME://HOST:PORT, and "
     "no path\n"
     "f.yaml:2: http.allowedOrigins: must be an origin, SCHEME://HOST or SCHEME://HOST:PORT, and "
     "no path\n"},
    {"label", "backends:\n  - url: http://a:1\n    labels: [a, =b]\n",
     "f.yaml:3: backends[].labels: a label is 1 to 100 bytes, such as gpu=4090 or fast\n"},
    {"doubled address", "listen:\n  - a:1\n  - a:1\n", "f.yaml:3: listen: a:1 is given twice\n"},
    {"no address", "listen: []\n", "f.yaml:1: listen must name at least one address\n"},
    {"alias", "state: &s x\nlog:\n  level: *s\n",
     "f.yaml:1: anchors (&) and aliases (*) are not supported; write it out\n"
     "f.yaml:3: anchors (&) and aliases (*) are not supported; write it out\n"},
    {"tag", "state: !!str x\n", "f.yaml:1: tags (!) are not supported\n"},
    {"merge key", "http:\n  <<: {maxWaits: 1}\n", "f.yaml:2: http.<< is not known\n"},
    {"key no word", "[a]: b\nstate: x\n", "f.yaml:1: a key must be a word\n"},
    {"two documents", "state: a\n---\nstate: b\n",
     "f.yaml:2: only one document is read; remove what follows the ---\n"},
    {"no mapping", "- a\n", "f.yaml:1: the file must be a mapping: lines of KEY: VALUE\n"},
    {"just a word", "hello\n", "f.yaml:1: the file must be a mapping: lines of KEY: VALUE\n"},
    {"syntax", "state: a\nlog: {level: info\n",
     "f.yaml:3: did not find expected ',' or '}' (while parsing a flow mapping from line 2)\n"},
    {"tab", "http:\n\tmaxWaits: 5\n", "f.yaml:2: found character that cannot start any token\n"},
    {"errors before and at a syntax error", "jobs: {maxAttempts: 99}\nx: ]\n",
     "f.yaml:1: jobs.maxAttempts: must be from 1 to 20 (attempts)\n"
     "f.yaml:2: did not find expected node content\n"},
    {"not UTF-8", "# a\nstate: \xff\n", "f.yaml:2: invalid leading UTF-8 octet\n"},
    {"control byte", "# a\n# b\nstate: a\x01\n", "f.yaml:3: control characters are not allowed\n"},
    {"no switch", "sampling: {crystools: 1, systemStats: no, local: x, nvml: yes}\n",
     "f.yaml:1: sampling.crystools: must be true or false\n"
     "f.yaml:1: sampling.systemStats: must be true or false\n"
     "f.yaml:1: sampling.local: must be true or false\n"
     "f.yaml:1: sampling.nvml: must be true or false\n"},
    {"sampled too often", "sampling: {systemStatsIntervalMs: 49}\n",
     "f.yaml:1: sampling.systemStatsIntervalMs: must be from 50 to 3600000 (ms)\n"},
    {"sampled too rarely", "sampling: {systemStatsIntervalMs: 3600001}\n",
     "f.yaml:1: sampling.systemStatsIntervalMs: must be from 50 to 3600000 (ms)\n"},
    {"a GPU by its name", "backends: [{url: 'http://a:1', gpu: RTX 4090}]\n",
     "f.yaml:1: backends[].gpu: must be an index such as 0, or a UUID such as GPU-6c4b...\n"},
    {"a negative GPU", "backends: [{url: 'http://a:1', gpu: -1}]\n",
     "f.yaml:1: backends[].gpu: must be an index such as 0, or a UUID such as GPU-6c4b...\n"},
    {"a GPU of thousands", "backends: [{url: 'http://a:1', gpu: 1000}]\n",
     "f.yaml:1: backends[].gpu: must be an index such as 0, or a UUID such as GPU-6c4b...\n"},
    {"half a UUID", "backends: [{url: 'http://a:1', gpu: GPU-}]\n",
     "f.yaml:1: backends[].gpu: must be an index such as 0, or a UUID such as GPU-6c4b...\n"},
    {"a UUID with a blank", "backends: [{url: 'http://a:1', gpu: GPU-1 2}]\n",
     "f.yaml:1: backends[].gpu: must be an index such as 0, or a UUID such as GPU-6c4b...\n"},
    {"receivers", "webhooks:\n  urls:\n    - ftp://a\n    - http://u:p@a/\n    - a.example\n",
     "f.yaml:3: webhooks.urls: the scheme must be http or https\n"
     "f.yaml:4: webhooks.urls: credentials in the URL are not taken; use webhooks.secretFile\n"
     "f.yaml:5: webhooks.urls: this is no URL; write http://HOST:PORT\n"},
    {"one receiver", "webhooks: {urls: http://a}\n",
     "f.yaml:1: webhooks.urls must be a list (URLs), such as [a, b]\n"},
    {"no deliveries at all", "webhooks: {maxConcurrent: 0}\n",
     "f.yaml:1: webhooks.maxConcurrent: must be from 1 to 1000 (deliveries)\n"},
    {"too many deliveries", "webhooks: {maxConcurrent: 1001}\n",
     "f.yaml:1: webhooks.maxConcurrent: must be from 1 to 1000 (deliveries)\n"},
    {"networks", "webhooks:\n  allow:\n    - 10.0.0.0/33\n    - fd00::/8\n    - http://a\n",
     "f.yaml:3: webhooks.allow: the number behind the / must be between 0 and 32\n"
     "f.yaml:5: webhooks.allow: this is no address; write a host alone, without scheme and port\n"},
    {"a secret in the file", "webhooks: {secret: whsec_c2VjcmV0}\n",
     "f.yaml:1: webhooks.secret is not known\n"},
    {"what no hook is told of", "hooks: {events: [job:failed, job:node, backend:state, x]}\n",
     "f.yaml:1: hooks.events: must be a durable event of a job, such as job:completed\n"
     "f.yaml:1: hooks.events: must be a durable event of a job, such as job:completed\n"
     "f.yaml:1: hooks.events: must be a durable event of a job, such as job:completed\n"},
    {"no time for a hook", "hooks: {timeoutMs: 0, maxConcurrent: 0}\n",
     "f.yaml:1: hooks.timeoutMs: must be from 1 to 86400000 (ms)\n"
     "f.yaml:1: hooks.maxConcurrent: must be from 1 to 1000 (runs)\n"},
    {"a collector's query", "otlp: {endpoint: 'http://a:4318/?x'}\n",
     "f.yaml:1: otlp.endpoint: must be a base URL: /v1/traces is appended\n"},
    {"a collector's credentials", "otlp: {endpoint: 'http://u:p@a:4318'}\n",
     "f.yaml:1: otlp.endpoint: credentials belong into otlp.headersFile\n"},
    {"a collector of gRPC", "otlp: {endpoint: 'grpc://a:4317'}\n",
     "f.yaml:1: otlp.endpoint: this is no URL; write http://HOST:PORT\n"},
    {"a collector by FTP", "otlp: {endpoint: 'ftp://a:4317'}\n",
     "f.yaml:1: otlp.endpoint: the scheme must be http or https\n"},
    {"headers file missing", "backends:\n  - url: http://a:1\n    headersFile: none\n",
     "f.yaml:3: backends[].headersFile: none: No such file or directory\n"},
    {"headers file a directory", "backends:\n  - url: http://a:1\n    headersFile: /tmp\n",
     "f.yaml:3: backends[].headersFile: /tmp: this is no regular file\n"},
    {"all at once",
     "listen: [x]\nlog:\n  levle: info\n  level: loud\nbackends:\n  - url: nonsense\n    weight: "
     "0\n"
     "  - name: b\njobs:\n  maxAttempts: 21\n  maxAttempts: 3\nhttp: []\nwhat: 1\n",
     "f.yaml:1: listen: an address is HOST:PORT or [IPv6]:PORT\n"
     "f.yaml:3: log.levle is not known; did you mean log.level?\n"
     "f.yaml:4: log.level: must be error, warning, info or debug\n"
     "f.yaml:6: backends[].url: the scheme is missing; write http://nonsense\n"
     "f.yaml:7: backends[].weight: must be from 1 to 1000 (share)\n"
     "f.yaml:8: a backend needs a url, such as http://127.0.0.1:8188\n"
     "f.yaml:11: jobs.maxAttempts is given twice (first in line 10)\n"
     "f.yaml:10: jobs.maxAttempts: must be from 1 to 20 (attempts)\n"
     "f.yaml:12: http must be a section: its keys stand indented below it\n"
     "f.yaml:13: what is not known\n"},
};

/* Lines of one text as a set: the order of errors is no promise. */
static bool same_lines(const char *a, const char *b)
{
    if (strlen(a) != strlen(b)) {
        return false;
    }
    for (const char *p = a; *p != '\0'; p = strchr(p, '\n') + 1) {
        AUTO_FREE char *line = mem_copy((struct str){p, (size_t)(strchr(p, '\n') + 1 - p)});
        if (strstr(b, line) == NULL) {
            return false;
        }
    }
    return true;
}

START_TEST(a_bad_file_says_where)
{
    ck_assert_msg(!load(bad[_i].yaml), "%s: was accepted", bad[_i].name);
    const char *got = buf_text(&errors);
    ck_assert_msg(same_lines(got, bad[_i].errors), "%s:\ngot  %s\nwant %s", bad[_i].name, got,
                  bad[_i].errors);
    /* And nothing of it was taken. */
    ck_assert_int_eq(c.jobs.max_attempts, 3);
    ck_assert_ptr_null(c.state);
    ck_assert_uint_eq(c.backends_len, 0);
    ck_assert_str_eq(c.listen[0], "127.0.0.1:8189");
}
END_TEST

START_TEST(a_file_that_cannot_be_read)
{
    ck_assert(!config_load_file(&c, "nowhere.yaml", &errors));
    ck_assert_str_eq(buf_text(&errors), "nowhere.yaml: No such file or directory\n");
    buf_clear(&errors);
    ck_assert(!config_load_file(&c, "/tmp", &errors));
    ck_assert_str_eq(buf_text(&errors), "/tmp: Is a directory\n");
}
END_TEST

/* ---- good files ------------------------------------------------------------------------------ */

/* Everything but backends, as config_init leaves it. */
static void is_default(void)
{
    ck_assert_uint_eq(c.listen_len, 1);
    ck_assert_str_eq(c.listen[0], "127.0.0.1:8189");
    ck_assert_ptr_null(c.state);
    ck_assert_int_eq(c.log_level, LOG_INFO);
    ck_assert_int_eq(c.link.ping_interval_ms, 10000);
    ck_assert_int_eq(c.link.pong_timeout_ms, 10000);
    ck_assert_int_eq(c.link.connect_timeout_ms, 5000);
    ck_assert_int_eq(c.link.request_timeout_ms, 10000);
    ck_assert_int_eq(c.link.submit_timeout_ms, 15000);
    ck_assert_int_eq(c.link.submit_settle_ms, 10000);
    ck_assert_int_eq(c.link.quiet_poll_ms, 10000);
    ck_assert_int_eq(c.link.backend_lost_ms, 60000);
    ck_assert_int_eq(c.link.refused_lost_ms, 3000);
    ck_assert_int_eq(c.jobs.max_attempts, 3);
    ck_assert_int_eq(c.jobs.retry_delay_ms, 1000);
    ck_assert(!c.profiling_enabled);
    ck_assert_int_eq(c.profiling_max_progress_events, 10000);
    ck_assert_int_eq(c.retention_days, 30);
    ck_assert_int_eq(c.retention_count, 100000);
    ck_assert_int_eq(c.http_max_body_bytes, 33554432);
    ck_assert_int_eq(c.http_max_connections, 4096);
    ck_assert_int_eq(c.http_max_waits, 1000);
    ck_assert_int_eq(c.http_max_streams, 1000);
    ck_assert_int_eq(c.http_max_connections_per_address, 256);
    ck_assert_int_eq(c.http_header_timeout_ms, 10000);
    ck_assert_int_eq(c.http_body_timeout_ms, 60000);
    ck_assert_uint_eq(c.http_allowed_hosts.len + c.http_allowed_origins.len, 0);
    ck_assert_ptr_null(c.auth_tokens_file);
    ck_assert_int_eq(c.queue_limit, 10000);
    ck_assert_int_eq(c.jobs_cancel_grace_ms, 30000);
    ck_assert_int_eq(c.breaker_failures, 3);
    ck_assert_int_eq(c.breaker_open_ms, 60000);
    ck_assert_int_eq(c.quarantine_failures, 5);
    ck_assert_int_eq(c.quarantine_dead_worker_ms, 120000);
    ck_assert(c.sampling_crystools && c.sampling_system_stats);
    ck_assert_int_eq(c.sampling_system_stats_interval_ms, 500);
    ck_assert(!c.sampling_local && !c.sampling_nvml);
    ck_assert_uint_eq(c.webhooks_urls.len + c.webhooks_allow.len, 0);
    ck_assert_ptr_null(c.webhooks_secret_file);
    ck_assert_int_eq(c.webhooks_max_concurrent, 32);
    ck_assert_ptr_null(c.hooks_exec);
    ck_assert_uint_eq(c.hooks_events, EVENTS_OF_ENDS);
    ck_assert_int_eq(c.hooks_timeout_ms, 30000);
    ck_assert_int_eq(c.hooks_max_concurrent, 4);
    ck_assert_ptr_null(c.otlp_endpoint);
    ck_assert_ptr_null(c.otlp_headers_file);
    const struct job_policy want = job_policy_default();
#define X(symbol, name, member, least, most, value) ck_assert_int_eq(c.jobs.member, want.member);
    JOB_POLICY_TABLE(X)
#undef X
    ck_assert_uint_eq(c.jobs.retry_on, want.retry_on);
}

static const char *const empty[] = {
    "",
    "\n\n",
    "# nothing\n",
    "---\n",
    "---\n...\n",
    "{}\n",
    "~\n",
    "log:\nlink: ~\nhttp: {}\nbackends:\nlisten:\n",
    "backends: []\n",
    "jobs: {retryOn: ~}\nhooks:\n  events:\nhttp: {allowedHosts: null}\n",
};

START_TEST(an_empty_file_changes_nothing)
{
    ck_assert_msg(load(empty[_i]), "%s: %s", empty[_i], buf_text(&errors));
    is_default();
    ck_assert_uint_eq(c.backends_len, 0);
    ck_assert_uint_eq(errors.len, 0);
}
END_TEST

START_TEST(every_key_is_taken)
{
    write_file("headers", "# ours\n\nAuthorization:  Bearer abc \nX-Two: a: b\n", 0600);
    ck_assert_msg(
        load("listen:\n  - 127.0.0.1:0\n  - '[::1]:80'\nstate: /s\nlog: {level: debug}\n"
             "backends:\n"
             "  - {name: a, url: http://h:1, weight: 7, maxInFlight: 4, enabled: false,\n"
             "     gpu: GPU-6c4b/1, headersFile: headers, labels: [gpu=4090, \"a, b\"],\n"
             "     refusedLostMs: 0}\n"
             "  - {url: 'https://u:p@h2/comfy/', gpu: 3}\n"
             "link: {pingIntervalMs: 1, pongTimeoutMs: 2, connectTimeoutMs: 3,\n"
             "  requestTimeoutMs: 4, submitTimeoutMs: 5, submitSettleMs: 6, quietPollMs: 7,\n"
             "  backendLostMs: 8, refusedLostMs: 9}\n"
             "queue: {limit: 1}\n"
             "jobs: {maxAttempts: 20, retryDelayMs: 0, retryOn: [node_error, lost],\n"
             "  queueTimeoutMs: 1, executionStartTimeoutMs: 2, nodeExecutionTimeoutMs: 3,\n"
             "  jobTimeoutMs: 31536000000, cancelGraceMs: 4}\n"
             "breaker: {failures: 6, openMs: 7}\nquarantine: {failures: 8, deadWorkerMs: 9}\n"
             "profiling: {enabled: true, maxProgressEvents: 9}\n"
             "retention: {days: 0, count: 0}\n"
             "http: {maxBodyBytes: 1073741824, maxConnections: 10, maxWaits: 11,\n"
             "  maxConnectionsPerAddress: 0, headerTimeoutMs: 12, bodyTimeoutMs: 13,\n"
             "  maxStreams: 14, allowedHosts: [a.example, '[::2]'],\n"
             "  allowedOrigins: ['https://a:1', 'http://b', 'https://[::1]:2']}\n"
             "auth: {tokensFile: /t}\n"
             "sampling: {crystools: false, systemStats: false, systemStatsIntervalMs: 50,\n"
             "  local: true, nvml: true}\n"
             "webhooks: {urls: ['http://a/x', 'https://b'], secretFile: /s, maxConcurrent: 1000,\n"
             "  allow: [10.0.0.0/8, '::1', a.example]}\n"
             "hooks: {exec: /x, events: [job:queued, job:output], timeoutMs: 1,\n"
             "  maxConcurrent: 1}\n"
             "otlp: {endpoint: 'https://c:4318/base', headersFile: /h}\n"),
        "%s", buf_text(&errors));
    ck_assert_uint_eq(c.listen_len, 2);
    ck_assert_str_eq(c.listen[1], "[::1]:80");
    ck_assert_str_eq(c.state, "/s");
    ck_assert_int_eq(c.log_level, LOG_DEBUG);
    ck_assert_int_eq(c.link.ping_interval_ms, 1);
    ck_assert_int_eq(c.link.backend_lost_ms, 8);
    ck_assert_int_eq(c.link.refused_lost_ms, 9);
    ck_assert_int_eq(c.backends[0].refused_lost_ms, 0);
    ck_assert_int_eq(c.backends[1].refused_lost_ms, -1); /* as link has it */
    ck_assert_int_eq(c.jobs.max_attempts, 20);
    ck_assert_int_eq(c.jobs.retry_delay_ms, 0);
    ck_assert(c.profiling_enabled);
    ck_assert_int_eq(c.profiling_max_progress_events, 9);
    ck_assert_int_eq(c.retention_days, 0);
    ck_assert_int_eq(c.retention_count, 0);
    ck_assert_int_eq(c.http_max_body_bytes, 1073741824);
    ck_assert_int_eq(c.http_max_connections, 10);
    ck_assert_int_eq(c.http_max_waits, 11);
    ck_assert_int_eq(c.http_max_connections_per_address, 0);
    ck_assert_int_eq(c.http_header_timeout_ms, 12);
    ck_assert_int_eq(c.http_body_timeout_ms, 13);
    ck_assert_int_eq(c.http_max_streams, 14);
    ck_assert_uint_eq(c.http_allowed_hosts.len, 2);
    ck_assert_str_eq(c.http_allowed_hosts.items[1], "[::2]");
    ck_assert_uint_eq(c.http_allowed_origins.len, 3);
    ck_assert_str_eq(c.http_allowed_origins.items[0], "https://a:1");
    ck_assert_str_eq(c.auth_tokens_file, "/t");
    ck_assert(!c.sampling_crystools && !c.sampling_system_stats);
    ck_assert_int_eq(c.sampling_system_stats_interval_ms, 50);
    ck_assert(c.sampling_local && c.sampling_nvml);
    ck_assert_uint_eq(c.webhooks_urls.len, 2);
    ck_assert_str_eq(c.webhooks_urls.items[1], "https://b");
    ck_assert_str_eq(c.webhooks_secret_file, "/s");
    ck_assert_int_eq(c.webhooks_max_concurrent, 1000);
    ck_assert_uint_eq(c.webhooks_allow.len, 3);
    ck_assert_str_eq(c.webhooks_allow.items[1], "::1");
    ck_assert_str_eq(c.hooks_exec, "/x");
    ck_assert_uint_eq(c.hooks_events, 1u << EVENT_QUEUED | 1u << EVENT_OUTPUT);
    ck_assert_int_eq(c.hooks_timeout_ms, 1);
    ck_assert_int_eq(c.hooks_max_concurrent, 1);
    ck_assert_str_eq(c.otlp_endpoint, "https://c:4318/base");
    ck_assert_str_eq(c.otlp_headers_file, "/h");
    ck_assert_int_eq(c.queue_limit, 1);
    ck_assert_uint_eq(c.jobs.retry_on, 1u << RETRY_NODE_ERROR | 1u << RETRY_LOST);
    ck_assert_int_eq(c.jobs.queue_timeout_ms, 1);
    ck_assert_int_eq(c.jobs.start_timeout_ms, 2);
    ck_assert_int_eq(c.jobs.node_timeout_ms, 3);
    ck_assert_int_eq(c.jobs.job_timeout_ms, 31536000000);
    ck_assert_int_eq(c.jobs_cancel_grace_ms, 4);
    ck_assert_int_eq(c.breaker_failures, 6);
    ck_assert_int_eq(c.breaker_open_ms, 7);
    ck_assert_int_eq(c.quarantine_failures, 8);
    ck_assert_int_eq(c.quarantine_dead_worker_ms, 9);
    ck_assert_uint_eq(c.backends_len, 2);
    const struct config_backend *a = &c.backends[0];
    ck_assert_str_eq(a->name, "a");
    ck_assert_str_eq(a->url, "http://h:1");
    ck_assert_int_eq(a->weight, 7);
    ck_assert_int_eq(a->max_in_flight, 4);
    ck_assert(!a->enabled);
    ck_assert_uint_eq(a->labels.len, 2);
    ck_assert_str_eq(a->labels.items[1], "a, b");
    ck_assert_str_eq(a->headers_file, "headers");
    ck_assert_str_eq(a->headers[0], "Authorization: Bearer abc");
    ck_assert_str_eq(a->headers[1], "X-Two: a: b");
    ck_assert_ptr_null(a->headers[2]);
    ck_assert_str_eq(a->where, "f.yaml:7");
    ck_assert_str_eq(a->gpu, "GPU-6c4b/1");
    const struct config_backend *b = &c.backends[1];
    ck_assert_str_eq(b->name, "h2:443/comfy");
    ck_assert_int_eq(b->weight, 1);
    ck_assert_int_eq(b->max_in_flight, 1);
    ck_assert(b->enabled);
    ck_assert_str_eq(b->gpu, "3");
    ck_assert_ptr_null(b->headers);
    ck_assert(config_validate(&c, &errors));
}
END_TEST

START_TEST(the_sample_says_the_defaults)
{
    ck_assert_msg(config_load_file(&c, sample, &errors), "%s", buf_text(&errors));
    is_default();
    ck_assert_uint_eq(c.backends_len, 1);
    ck_assert_str_eq(c.backends[0].url, "http://127.0.0.1:8188");
    ck_assert_int_eq(c.backends[0].weight, 1);
    ck_assert_int_eq(c.backends[0].max_in_flight, 1);
    ck_assert(c.backends[0].enabled);
}
END_TEST

/* ---- headers files --------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *text;
    const char *errors;
} bad_headers[] = {
    {"no colon", "A: b\nnonsense\n", "headers:2: a header is Name: value\n"},
    {"bad name", "A b: c\n", "headers:1: this cannot be the name of a header\n"},
    {"blank before the colon", "A : c\n", "headers:1: this cannot be the name of a header\n"},
    {"no name", ": c\n", "headers:1: this cannot be the name of a header\n"},
    {"no value", "A:  \n", "headers:1: this header has no value\n"},
    {"carriage return", "A: b\r\n",
     "headers:1: a carriage return; save the file with Unix line "
     "ends\n"},
    {"control character", "# c\nA: b\x02\n", "headers:2: a control character\n"},
    {"ours", "host: x\nSec-WebSocket-Key: y\n",
     "headers:1: the daemon sets this header itself\n"
     "headers:2: the daemon sets this header itself\n"},
    {"no line end", "nonsense", "headers:1: a header is Name: value\n"},
};

START_TEST(a_bad_headers_file_says_where)
{
    write_file("headers", bad_headers[_i].text, 0600);
    ck_assert(!load("backends:\n  - url: http://a:1\n    headersFile: headers\n"));
    ck_assert_msg(strcmp(buf_text(&errors), bad_headers[_i].errors) == 0, "%s: %s",
                  bad_headers[_i].name, buf_text(&errors));
}
END_TEST

/* ---- environment and flags ------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *value;
    const char *errors; /* NULL: good */
} variables[] = {
    {"COMFYPOOLD_HTTP_MAX_BODY_BYTES", "2048", NULL},
    {"COMFYPOOLD_HTTP_MAX_BODY_BYTES", "1023",
     "COMFYPOOLD_HTTP_MAX_BODY_BYTES: must be from 1024 to 1073741824 (bytes)\n"},
    {"COMFYPOOLD_HTTP_MAX_BODY_BYTES", "", NULL},
    {"COMFYPOOLD_HTTP_MAX_BODY_BYTE", "x", NULL},
    {"COMFYPOOLD_CONFIG", "x", NULL},
    {"COMFYPOOLD_LISTEN", "127.0.0.1:1, [::1]:2", NULL},
    {"COMFYPOOLD_LISTEN", "a:1,b,a:1",
     "COMFYPOOLD_LISTEN: an address is HOST:PORT or [IPv6]:PORT\n"
     "COMFYPOOLD_LISTEN: the same address is given twice\n"},
    {"COMFYPOOLD_LOG_LEVEL", "warning", NULL},
    {"COMFYPOOLD_LOG_LEVEL", "warn",
     "COMFYPOOLD_LOG_LEVEL: must be error, warning, info or debug\n"},
    {"COMFYPOOLD_PROFILING_ENABLED", "true", NULL},
    {"COMFYPOOLD_LISTEN", "unix:/run/a.sock,127.0.0.1:0", NULL},
    {"COMFYPOOLD_JOBS_RETRY_ON", "lost, timeout", NULL},
    {"COMFYPOOLD_JOBS_RETRY_ON", "lost,found",
     "COMFYPOOLD_JOBS_RETRY_ON: each must be one of transient, lost, out_of_memory, timeout, "
     "node_error, server_fault, or the list empty\n"},
    {"COMFYPOOLD_HTTP_ALLOWED_HOSTS", "a.example,b.example", NULL},
    {"COMFYPOOLD_HTTP_ALLOWED_ORIGINS", "http://",
     "COMFYPOOLD_HTTP_ALLOWED_ORIGINS: must be an origin, SCHEME://HOST or SCHEME://HOST:PORT, and "
     "no path\n"},
    {"COMFYPOOLD_SAMPLING_SYSTEM_STATS_INTERVAL_MS", "100", NULL},
    {"COMFYPOOLD_SAMPLING_NVML", "on", "COMFYPOOLD_SAMPLING_NVML: must be true or false\n"},
    {"COMFYPOOLD_WEBHOOKS_URLS", "http://a/x,https://b", NULL},
    {"COMFYPOOLD_WEBHOOKS_URLS", "http://a/x,b",
     "COMFYPOOLD_WEBHOOKS_URLS: this is no URL; write http://HOST:PORT\n"},
    {"COMFYPOOLD_WEBHOOKS_ALLOW", "10.0.0.0/8, ::1, a.example", NULL},
    {"COMFYPOOLD_HOOKS_EVENTS", "job:queued,job:failed", NULL},
    {"COMFYPOOLD_HOOKS_EVENTS", "job:queued,job:progress",
     "COMFYPOOLD_HOOKS_EVENTS: must be a durable event of a job, such as job:completed\n"},
    {"COMFYPOOLD_HOOKS_EXEC", "/x", NULL},
    {"COMFYPOOLD_OTLP_ENDPOINT", "http://127.0.0.1:4318", NULL},
    {"COMFYPOOLD_BACKENDS", "a=http://h:1,http://h:2/", NULL},
    {"COMFYPOOLD_BACKENDS", "a b=http://h:1,,ftp://x",
     "COMFYPOOLD_BACKENDS: the name of a backend must be 1 to 100 letters, digits, dots, colons, - "
     "and _\n"
     "COMFYPOOLD_BACKENDS: must not be empty\n"
     "COMFYPOOLD_BACKENDS: the scheme must be http or https\n"},
};

START_TEST(a_variable_is_checked)
{
    ck_assert_int_eq(setenv(variables[_i].name, variables[_i].value, 1), 0);
    const bool good = config_load_env(&c, false, &errors);
    ck_assert_int_eq(unsetenv(variables[_i].name), 0);
    const char *want = variables[_i].errors == NULL ? "" : variables[_i].errors;
    ck_assert_int_eq(good, variables[_i].errors == NULL);
    ck_assert_str_eq(buf_text(&errors), want);
}
END_TEST

START_TEST(an_unknown_variable_is_wrong_when_asked)
{
    ck_assert_int_eq(setenv("COMFYPOOLD_BACKEND", "http://h:1", 1), 0);
    ck_assert(config_load_env(&c, false, &errors));
    ck_assert_str_eq(buf_text(&errors), "");
    ck_assert(!config_load_env(&c, true, &errors));
    ck_assert_str_eq(buf_text(&errors),
                     "the variable COMFYPOOLD_BACKEND is not known; did you mean "
                     "COMFYPOOLD_BACKENDS?\n");
    ck_assert_int_eq(unsetenv("COMFYPOOLD_BACKEND"), 0);
}
END_TEST

START_TEST(later_sources_replace_earlier_ones)
{
    ck_assert(load("backends: [{url: http://f:1}]\nlisten: [f:1]\nhttp: {maxWaits: 1}\n"));
    ck_assert_int_eq(setenv("COMFYPOOLD_BACKENDS", "e=http://e:1,http://e:2", 1), 0);
    ck_assert_int_eq(setenv("COMFYPOOLD_LISTEN", "e:1,e:2", 1), 0);
    ck_assert_int_eq(setenv("COMFYPOOLD_HTTP_MAX_WAITS", "2", 1), 0);
    ck_assert(config_load_env(&c, false, &errors));
    ck_assert_int_eq(unsetenv("COMFYPOOLD_BACKENDS"), 0);
    ck_assert_int_eq(unsetenv("COMFYPOOLD_LISTEN"), 0);
    ck_assert_int_eq(unsetenv("COMFYPOOLD_HTTP_MAX_WAITS"), 0);
    ck_assert_uint_eq(c.backends_len, 2);
    ck_assert_str_eq(c.backends[0].name, "e");
    ck_assert_str_eq(c.backends[1].name, "e:2");
    ck_assert_str_eq(c.backends[1].where, "COMFYPOOLD_BACKENDS");
    ck_assert_uint_eq(c.listen_len, 2);
    ck_assert_int_eq(c.http_max_waits, 2);
    ck_assert(config_add_backend(&c, "x=http://u:p=q@x:1", &errors));
    ck_assert(config_add_backend(&c, "http://u:p=q@y:1", &errors));
    ck_assert_uint_eq(c.backends_len, 2);
    ck_assert_str_eq(c.backends[0].url, "http://u:p=q@x:1");
    ck_assert_str_eq(c.backends[1].name, "y:1");
    ck_assert(config_set_listen(&c, "x:1", &errors));
    ck_assert(config_set_listen(&c, "x:2", &errors));
    ck_assert_uint_eq(c.listen_len, 2);
    ck_assert(config_set(&c, "http.maxWaits", "3", "--max-waits", &errors));
    ck_assert_int_eq(c.http_max_waits, 3);
    ck_assert(!config_set(&c, "http.maxWaits", "x", "--max-waits", &errors));
    ck_assert_str_eq(buf_text(&errors), "--max-waits: must be a whole number (requests)\n");
}
END_TEST

START_TEST(doubles_across_flags_are_found)
{
    ck_assert(config_add_backend(&c, "a=http://h:1", &errors));
    ck_assert(config_add_backend(&c, "a=http://h:2", &errors));
    ck_assert(config_add_backend(&c, "http://h:1", &errors));
    ck_assert(!config_validate(&c, &errors));
    ck_assert_str_eq(buf_text(&errors),
                     "--backend: the backend name \"a\" is taken (--backend); give each its own\n"
                     "--backend: the same server as backend \"a\" (--backend)\n");
}
END_TEST

START_TEST(lists_replace_lists)
{
    ck_assert(load("jobs: {retryOn: []}\nhttp: {allowedHosts: [a, b]}\n"
                   "auth: {tokensFile: t}\n"));
    ck_assert_uint_eq(c.jobs.retry_on, 0);
    ck_assert_uint_eq(c.http_allowed_hosts.len, 2);
    ck_assert(config_set(&c, "http.allowedHosts", "x, y,z", "--x", &errors));
    ck_assert_uint_eq(c.http_allowed_hosts.len, 3);
    ck_assert_str_eq(c.http_allowed_hosts.items[1], "y");
    ck_assert(config_set(&c, "jobs.retryOn", "timeout", "--x", &errors));
    ck_assert_uint_eq(c.jobs.retry_on, 1u << RETRY_TIMEOUT);
    ck_assert_str_eq(c.auth_tokens_file, "t");
    char path[128];
    (void)snprintf(path, sizeof path, "%s/f.yaml", dir);
    ck_assert(config_load_file(&c, path, &errors));
    (void)snprintf(path, sizeof path, "%s/t", dir);
    ck_assert_str_eq(c.auth_tokens_file, path); /* beside the file */
}
END_TEST

START_TEST(files_are_beside_the_file)
{
    write_file("f.yaml",
               "webhooks: {secretFile: s}\nhooks: {exec: bin/x}\notlp: {headersFile: h}\n", 0600);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/f.yaml", dir);
    ck_assert(config_load_file(&c, path, &errors));
    (void)snprintf(path, sizeof path, "%s/s", dir);
    ck_assert_str_eq(c.webhooks_secret_file, path);
    (void)snprintf(path, sizeof path, "%s/bin/x", dir);
    ck_assert_str_eq(c.hooks_exec, path);
    (void)snprintf(path, sizeof path, "%s/h", dir);
    ck_assert_str_eq(c.otlp_headers_file, path);
}
END_TEST

static const struct {
    const char *address;
    bool local;
} reach[] = {
    {"127.0.0.1:1", true},    {"127.9.9.9:0", true}, {"[::1]:1", true},  {"localhost:1", true},
    {"unix:/run/x", true},    {"0.0.0.0:1", false},  {"[::]:1", false},  {":1", false},
    {"128.0.0.1:1", false},   {"10.0.0.1:1", false}, {"[::2]:1", false}, {"pool.example:1", false},
    {"127.0.0.1.x:1", false}, {"127.1:1", false},
};

START_TEST(what_only_this_machine_can_reach)
{
    ck_assert_msg(config_address_is_local(reach[_i].address) == reach[_i].local, "%s",
                  reach[_i].address);
}
END_TEST

/* ---- tokens ---------------------------------------------------------------------------------- */

#define HASH_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define BAD_HASH                                                                                   \
    ": the SHA-256 of the token must be 64 lowercase hex digits; comfypoold --new-token prints "   \
    "such a line\n"
#define NO_TOKEN "t:1: there is no token in it; comfypoold --new-token NAME:ROLE makes one\n"

static const struct {
    const char *name;
    const char *text;
    const char *errors; /* "": good */
    size_t len;
} token_files[] = {
    {"one", "a:read:" HASH_A "\n", "", 1},
    {"no line end", "a:read:" HASH_A, "", 1},
    {"comments and blanks", "# x\n\n  a.b-c_1:submit:" HASH_A " \r\n\t# y\nb:operate:" HASH_B "\n",
     "", 2},
    {"empty", "", NO_TOKEN, 0},
    {"only comments", "# a\n", NO_TOKEN, 0},
    {"no role", "a\n", "t:1: the role must be read, submit or operate\n", 0},
    {"wrong role", "a:admin:" HASH_A "\n", "t:1: the role must be read, submit or operate\n", 0},
    {"no name", "\n:read:" HASH_A "\n",
     "t:2: a token is name:role:sha256; a name has 1 to 100 letters, digits, dots, - and _\n", 0},
    {"no hash", "a:read\n", "t:1" BAD_HASH, 0},
    {"short hash", "a:read:abc\n", "t:1" BAD_HASH, 0},
    {"long hash", "a:read:" HASH_A "a\n", "t:1" BAD_HASH, 0},
    {"upper case", "a:read:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
     "t:1" BAD_HASH, 0},
    {"doubled name and token", "a:read:" HASH_A "\na:submit:" HASH_B "\nb:read:" HASH_A "\nx\n",
     "t:2: this name was there before, in line 1\n"
     "t:3: this is the token of another name, in line 1\n"
     "t:4: the role must be read, submit or operate\n",
     0},
};

START_TEST(a_tokens_file)
{
    struct tokens t;
    const bool good = tokens_parse(str_of(token_files[_i].text), "t", &t, &errors);
    ck_assert_msg(strcmp(buf_text(&errors), token_files[_i].errors) == 0, "%s: %s",
                  token_files[_i].name, buf_text(&errors));
    ck_assert_int_eq(good, *token_files[_i].errors == '\0');
    ck_assert_uint_eq(t.len, token_files[_i].len);
    tokens_done(&t);
}
END_TEST

START_TEST(a_new_token_is_taken_by_its_line)
{
    char *text = NULL;
    size_t n = 0;
    char why[256] = "";
    struct tokens t;
    FILE *f = open_memstream(&text, &n);
    ck_assert(tokens_make("ci:operate", f, why, sizeof why));
    ck_assert_int_eq(fclose(f), 0);
    ck_assert(tokens_parse(str_of(strstr(text, "ci:operate:")), "t", &t, &errors));
    ck_assert_int_eq(t.list[0].role, ROLE_OPERATE);
    const char *token = strchr(text, '\n') + 1;
    char hash[DIGEST_HEX_SIZE];
    digest_sha256_hex((struct str){token, strcspn(token, "\n")}, hash);
    ck_assert_str_eq(hash, t.list[0].sha256);
    ck_assert_uint_eq(strcspn(token, "\n"), 44); /* 264 bits */
    tokens_done(&t);
    free(text);
    ck_assert(!tokens_make("ci", stdout, why, sizeof why));
    ck_assert(!tokens_make("ci:root", stdout, why, sizeof why));
    ck_assert(!tokens_make("c i:read", stdout, why, sizeof why));
    ck_assert_ptr_nonnull(strstr(why, "NAME:ROLE"));
}
END_TEST

START_TEST(a_tokens_file_that_cannot_be_read)
{
    struct tokens t;
    ck_assert(!tokens_read("nowhere", &t, &errors));
    ck_assert(!tokens_read("/tmp", &t, &errors));
    ck_assert_str_eq(buf_text(&errors),
                     "auth.tokensFile: nowhere: No such file or directory; comfypoold --new-token "
                     "NAME:ROLE prints the first line of one\n"
                     "auth.tokensFile: /tmp: this is no regular file\n");
}
END_TEST

/* ---- options of the pool --------------------------------------------------------------------- */

START_TEST(the_pool_is_told_what_the_file_says)
{
    struct settings s;
    struct pool_options o;
    write_file("headers", "A: old\n", 0600);
    write_file("f.yaml",
               "backends:\n"
               "  - {url: http://off:1, enabled: false}\n"
               "  - {name: on, url: http://on:1, weight: 2, labels: [fast], headersFile: headers}\n"
               "link: {submitTimeoutMs: 5, refusedLostMs: 6}\n"
               "jobs: {maxAttempts: 7, maxPerClient: 8}\nuploads: {maxAgeDays: 2}\n"
               "outputs: {keep: copy, streamClasses: [A, B]}\n"
               "routing: {learned: false, rules: [{label: fast, backends: [on], hard: true}]}\n"
               "webhooks: {urls: ['http://a/'], maxConcurrent: 9}\n"
               "otlp: {endpoint: 'http://c:4318'}\n",
               0600);
    settings_init(&s);
    ck_assert_msg(config_load_file(&s.config, "f.yaml", &errors), "%s", buf_text(&errors));
    ck_assert(config_set(&s.config, "webhooks.allow", "10.0.0.0/8", "--x", &errors));
    ck_assert_msg(settings_read_files(&s, &errors), "%s", buf_text(&errors));
    settings_fill_pool(&s, "1", &o);
    ck_assert_uint_eq(o.backends_len, 1);
    ck_assert_str_eq(o.backends[0].name, "on");
    ck_assert_str_eq(o.backends[0].labels[0], "fast");
    ck_assert_int_eq(o.timeouts.submit.us, 5000);
    ck_assert_int_eq(o.refused_lost.us, 6000);
    ck_assert_int_eq(o.policy.max_attempts, 7);
    ck_assert_uint_eq(o.max_per_client, 8);
    ck_assert_int_eq(o.uploads.age.us, INT64_C(2) * 24 * 3600 * 1000000);
    ck_assert(!o.uploads.hides_names && o.keep_outputs && !o.learned);
    ck_assert_uint_eq(o.stream_classes_len, 2);
    ck_assert_uint_eq(o.rules_len, 1);
    ck_assert_str_eq(o.rules[0].backends[0], "on");
    ck_assert_str_eq(o.webhooks.urls[0], "http://a/");
    ck_assert_ptr_nonnull(o.webhooks.rules);
    ck_assert_uint_eq(o.webhooks.concurrency, 9);
    ck_assert_str_eq(o.otlp.url, "http://c:4318/v1/traces");
    write_file("headers", "A: new\n", 0600);
    settings_reload_headers(&s);
    ck_assert_str_eq(o.backends[0].headers[0], "A: new");
    write_file("headers", "nonsense\n", 0600);
    settings_reload_headers(&s);
    ck_assert_str_eq(o.backends[0].headers[0], "A: new");
    settings_done(&s);
}
END_TEST

START_TEST(keys_are_listed)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    config_print_keys(f);
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_ptr_nonnull(strstr(text, "http.maxBodyBytes\t33554432\tbytes, 1024 to 1073741824\t"
                                       "COMFYPOOLD_HTTP_MAX_BODY_BYTES\n"));
    ck_assert_ptr_nonnull(strstr(text, "backends[].url\t-\tURL\t-\n"));
    free(text);
}
END_TEST

Suite *config_suite(void)
{
    Suite *suite = suite_create("config");
    TCase *t = tcase_create("config");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, a_bad_file_says_where, 0, LEN(bad));
    tcase_add_test(t, a_file_that_cannot_be_read);
    tcase_add_loop_test(t, an_empty_file_changes_nothing, 0, LEN(empty));
    tcase_add_test(t, every_key_is_taken);
    tcase_add_test(t, the_sample_says_the_defaults);
    tcase_add_loop_test(t, a_bad_headers_file_says_where, 0, LEN(bad_headers));
    tcase_add_loop_test(t, a_variable_is_checked, 0, LEN(variables));
    tcase_add_test(t, later_sources_replace_earlier_ones);
    tcase_add_test(t, an_unknown_variable_is_wrong_when_asked);
    tcase_add_test(t, doubles_across_flags_are_found);
    tcase_add_test(t, lists_replace_lists);
    tcase_add_test(t, files_are_beside_the_file);
    tcase_add_loop_test(t, what_only_this_machine_can_reach, 0, LEN(reach));
    tcase_add_loop_test(t, a_tokens_file, 0, LEN(token_files));
    tcase_add_test(t, a_new_token_is_taken_by_its_line);
    tcase_add_test(t, a_tokens_file_that_cannot_be_read);
    tcase_add_test(t, the_pool_is_told_what_the_file_says);
    tcase_add_test(t, keys_are_listed);
    suite_add_tcase(suite, t);
    return suite;
}

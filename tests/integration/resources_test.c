/*
 * Memory and GPU in profiles: from monitor frames, /system_stats, /proc and the fake NVML library,
 * against what the simulated nodes say that they use. Values are the simulator's own, so they are
 * compared exactly; how many samples there are is up to the machine.
 */
#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "suites.h"

static const double GIB = 1024.0 * 1024 * 1024;
static const double VRAM = 3e9;
static const double RAM = 5e9;

/* more: lines of configuration; sampling: of that section. */
static struct daemon *daemon_for(struct sim *s, const char *gpu, const char *sampling)
{
    struct daemon *d =
        DAEMON(.config = text("backends:\n  - {name: s0, url: '%s'%s}\nsampling: {%s}\n", s->url,
                              gpu == NULL ? "" : text(", gpu: %s", gpu), sampling));
    await_ready(d);
    return d;
}

/* Node "1" uses all of it for `ms`; nothing follows but an output of no length. */
static char *heavy(const char *tag, int ms)
{
    return q("{'1':{'class_type':'T_Sleep','inputs':{'_ms':%d,'_tag':'%s','_vram':3000000000,"
             "'_ram':5000000000,'_gpu':80,'_temp':70}},"
             "'2':{'class_type':'T_SleepOut','inputs':{'a':['1',0],'_ms':0}}}",
             ms, tag);
}

static json_t *profile_after(struct daemon *d, const char *graph)
{
    json_t *j = run_job(d, graph);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0);
    return at(j, "profileStats");
}

static json_t *of_node(json_t *profile, const char *id)
{
    return at(node_of(profile, id), "resources");
}

static json_t *sampling_of(struct daemon *d)
{
    return at(get(d, "/backends/s0")->json, "sampling");
}

static bool is_source(json_t *resources, const char *source)
{
    return strcmp(str_at(resources, "source"), source) == 0;
}

static bool has_no_gpu(json_t *r)
{
    return !has(r, "gpuUtilization.max") && !has(r, "gpuUtilization.avg") &&
           !has(r, "vramUsed.max") && !has(r, "vramUsed.delta") && !has(r, "gpuTemperature.max");
}

/* That many more frames came to somebody. */
static void await_frames(struct sim *s, int n)
{
    const double before = sim_says(s, "monitors");
    AWAIT(sim_says(s, "monitors") >= before + n);
}

/* ---- monitor frames -------------------------------------------------------------------------- */

START_TEST(test_crystools)
{
    struct sim *s = sim_start("--crystools", "20", NULL);
    struct daemon *d = daemon_for(s, NULL, "systemStats: false");
    AWAIT(is_source(sampling_of(d), "crystools")); /* one before it, for the delta */
    json_t *p = profile_after(d, heavy("a", 1200));
    json_t *r = of_node(p, "1");
    CHECK(is_source(r, "crystools") && num_at(r, "sampleCount") >= 5);
    CHECK(num_at(r, "gpuUtilization.max") == 80 && num_at(r, "gpuUtilization.avg") > 40);
    CHECK(num_at(r, "vramUsed.max") == VRAM && num_at(r, "vramUsed.delta") == VRAM - GIB);
    CHECK(num_at(r, "ramUsed.max") == RAM && num_at(r, "gpuTemperature.max") == 70);
    json_t *all = at(p, "resources");
    CHECK(is_source(all, "crystools") && num_at(all, "sampleCount") >= num_at(r, "sampleCount"));
    CHECK(num_at(all, "gpuUtilization.max") == 80 && num_at(all, "vramUsed.max") == VRAM &&
          num_at(all, "ramUsed.max") == RAM && num_at(all, "gpuTemperature.max") == 70);
    CHECK(num_at(all, "interval") >= 15 && num_at(all, "interval") < 300, "as measured: %f",
          num_at(all, "interval"));
    CHECK(!has(all, "diskRead") && !has(all, "diskWritten") && !has(all, "netReceived") &&
              !has(all, "netSent"),
          "sampling.local is off");
    json_t *samples = at(all, "samples");
    CHECK(json_array_size(samples) >= 5);
    for (size_t i = 0; i < json_array_size(samples); i++) {
        json_t *v = json_array_get(samples, i);
        CHECK(num_at(v, "at") >= num_at(p, "startedAt") - 1 &&
                  num_at(v, "at") <= num_at(p, "completedAt") + 1,
              "sample %zu lies outside", i);
    }
    json_t *now = sampling_of(d);
    CHECK(is_source(now, "crystools") && num_at(now, "gpu") == 0 && has(now, "interval") &&
          !has(now, "gpuUnmapped") && json_array_size(at(now, "problems")) == 0);
}
END_TEST

/* -1 is not available: null, and the rest is there. */
START_TEST(test_unavailable)
{
    struct sim *s = sim_start("--crystools", "20", NULL);
    struct daemon *d = daemon_for(s, NULL, "systemStats: false");
    json_t *p = profile_after(d, q("{'1':{'class_type':'T_SleepOut','inputs':{'_ms':600,'_gpu':-1,"
                                   "'_temp':-1,'_vram':3000000000,'_ram':-1}}}"));
    json_t *r = of_node(p, "1");
    CHECK(num_at(r, "vramUsed.max") == VRAM && num_at(r, "sampleCount") >= 3);
    CHECK(!has(r, "gpuUtilization.max") && !has(r, "gpuUtilization.avg") &&
          !has(r, "gpuTemperature.max") && !has(r, "ramUsed.max"));
    p = profile_after(d, q("{'1':{'class_type':'T_SleepOut','inputs':{'_ms':600,'_gpu':5,"
                           "'_vram':-1,'_ram':5000000000}}}"));
    r = of_node(p, "1");
    CHECK(!has(r, "vramUsed.max") && !has(r, "vramUsed.delta"));
    CHECK(num_at(r, "gpuUtilization.max") == 5 && num_at(r, "ramUsed.max") == RAM);
}
END_TEST

/* A node that nothing was measured in has nothing, and not nothing used. */
START_TEST(test_node_without_a_sample)
{
    struct sim *s = sim_start("--crystools", "20", NULL);
    struct daemon *d = daemon_for(s, NULL, "systemStats: false");
    char *id = submit(d, q("{'1':{'class_type':'T_Sleep','inputs':{'_ms':2500,'_tag':'a'}},"
                           "'2':{'class_type':'T_Sleep','inputs':{'a':['1',0],'_ms':300}},"
                           "'3':{'class_type':'T_SleepOut','inputs':{'a':['2',0],'_ms':100}}}"));
    AWAIT(is_at_node(d, id, "1"));
    await_frames(s, 3);
    sim_control(s, "{'crystools':0}");
    json_t *p = at(await_end(d, id), "profileStats");
    CHECK(has(of_node(p, "1"), "sampleCount"));
    CHECK(json_is_null(of_node(p, "2")) && json_is_null(of_node(p, "3")));
    CHECK(num_at(p, "resources.sampleCount") >= 1);
}
END_TEST

/* ---- whose GPU ------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *gpus, *own; /* of the simulator */
    const char *argv;
    const char *configured;
    int index; /* -1: nobody knows */
} maps[] = {
    {"the only one", "1", "0", "main.py", NULL, 0},
    {"nothing says it", "2", "0", "main.py", NULL, -1},
    {"nothing says it, the second", "2", "1", "main.py", NULL, -1},
    {"configured", "2", "1", "main.py", "1", 1},
    {"configured, the first", "3", "0", "main.py", "0", 0},
    {"--cuda-device", "2", "1", "main.py --cuda-device 1", NULL, 1},
    {"--cuda-device=", "3", "2", "main.py --cuda-device=2 --listen", NULL, 2},
    {"the configuration wins", "3", "2", "main.py --cuda-device 1", "2", 2},
    {"there is none of this number", "2", "1", "main.py", "5", -1},
    {"a UUID, and nobody knows UUIDs", "2", "1", "main.py --cuda-device 1", "GPU-1234", -1},
    {"a UUID of the only one", "1", "0", "main.py", "GPU-1234", -1},
};

START_TEST(test_mapping)
{
    const char *name = maps[_i].name;
    struct sim *s = sim_start("--crystools", "20", "--gpus", maps[_i].gpus, "--gpu", maps[_i].own,
                              "--argv", maps[_i].argv, NULL);
    struct daemon *d = daemon_for(s, maps[_i].configured, "systemStats: false");
    json_t *r = of_node(profile_after(d, heavy("a", 600)), "1");
    json_t *now = sampling_of(d);
    CHECK(is_source(r, "crystools") && num_at(r, "ramUsed.max") == RAM, "%s", name);
    if (maps[_i].index < 0) {
        CHECK(has_no_gpu(r) && is_true(now, "gpuUnmapped"), "%s", name);
        CHECK(num_at(now, "gpu") != 0, "%s: never the first one", name);
    } else {
        CHECK(num_at(r, "vramUsed.max") == VRAM && num_at(r, "gpuUtilization.max") == 80, "%s: %f",
              name, num_at(r, "vramUsed.max"));
        CHECK(num_at(now, "gpu") == maps[_i].index && !has(now, "gpuUnmapped"), "%s", name);
    }
}
END_TEST

/* ---- GET /system_stats ----------------------------------------------------------------------- */

static double stats_asked(struct sim *s)
{
    const double n = sim_says(s, "http.GET /system_stats");
    return isnan(n) ? 0 : n;
}

START_TEST(test_system_stats)
{
    struct sim *s = sim_start("--gpus", "1", NULL);
    struct daemon *d = daemon_for(s, NULL, "systemStatsIntervalMs: 50");
    json_t *p = profile_after(d, heavy("a", 1200));
    json_t *r = of_node(p, "1");
    CHECK(is_source(r, "system_stats") && num_at(r, "sampleCount") >= 3);
    CHECK(num_at(r, "vramUsed.max") == VRAM && num_at(r, "ramUsed.max") == RAM);
    CHECK(!has(r, "gpuUtilization.max") && !has(r, "gpuTemperature.max"));
    CHECK(is_source(at(p, "resources"), "system_stats"));
    CHECK(is_source(sampling_of(d), "system_stats"));
    /* Nothing is asked for while nothing runs: more time than many intervals passes. */
    const double asked = stats_asked(s);
    (void)run_job(d, sleep_body("b", 600, ",'profile':false"));
    CHECK(stats_asked(s) <= asked + 1, "%f, then %f", asked, stats_asked(s));
}
END_TEST

START_TEST(test_system_stats_fail)
{
    static const char *const ways[] = {"fail", "hang"};
    struct sim *s = sim_start("--gpus", "1", NULL);
    struct daemon *d = daemon_for(s, NULL, "systemStatsIntervalMs: 50");
    sim_control(s, text("{'stats':'%s'}", ways[_i]));
    json_t *p = profile_after(d, heavy("a", 800));
    CHECK(json_is_null(at(p, "resources")) && json_is_null(of_node(p, "1")));
    CHECK(strcmp(str_at(get(d, "/backends/s0")->json, "state"), "up") == 0);
    sim_control(s, "{'stats':null}");
    if (_i == 0) {
        p = profile_after(d, heavy("b", 800));
        CHECK(num_at(of_node(p, "1"), "vramUsed.max") == VRAM);
    }
}
END_TEST

/* Frames are the better source: nobody is asked while they come; what a node has is of them, or
   null, also when they end in mid-prompt and the server is asked again. */
START_TEST(test_never_mixed)
{
    struct sim *s = sim_start("--crystools", "20", NULL);
    struct daemon *d = daemon_for(s, NULL, "systemStatsIntervalMs: 50");
    AWAIT(is_source(sampling_of(d), "crystools"));
    const double before = stats_asked(s);
    char *id = submit(d, q("{'1':{'class_type':'T_Sleep','inputs':{'_ms':1500,'_tag':'a'}},"
                           "'2':{'class_type':'T_Sleep','inputs':{'a':['1',0],'_ms':4500}},"
                           "'3':{'class_type':'T_SleepOut','inputs':{'a':['2',0],'_ms':500}}}"));
    AWAIT(is_at_node(d, id, "1"));
    await_frames(s, 5);
    CHECK(stats_asked(s) == before, "the server is asked for nothing");
    sim_control(s, "{'crystools':0}");
    AWAIT(is_at_node(d, id, "3"));
    CHECK(stats_asked(s) > before + 5, "silent for 2 s: it is asked");
    json_t *p = at(await_end(d, id), "profileStats");
    CHECK(is_source(sampling_of(d), "system_stats"));
    CHECK(is_source(at(p, "resources"), "crystools"));
    CHECK(is_source(of_node(p, "1"), "crystools"));
    CHECK(json_is_null(of_node(p, "2")) && json_is_null(of_node(p, "3")));
    CHECK(num_at(p, "resources.sampleCount") ==
          (double)json_array_size(at(p, "resources.samples")));
    /* The next one has the other source from its beginning. */
    p = profile_after(d, heavy("b", 600));
    CHECK(is_source(at(p, "resources"), "system_stats") &&
          is_source(of_node(p, "1"), "system_stats"));
}
END_TEST

static const struct {
    const char *sampling;
    const char *source; /* "": nothing is sampled */
} switches[] = {
    {"crystools: false, systemStatsIntervalMs: 50", "system_stats"},
    {"systemStats: false", "crystools"},
    {"crystools: false, systemStats: false", ""},
    {"crystools: false, systemStats: false, local: true, systemStatsIntervalMs: 50", "local"},
};

START_TEST(test_switches)
{
    struct sim *s = sim_start("--crystools", "20", NULL);
    struct daemon *d = daemon_for(s, NULL, switches[_i].sampling);
    const double before = stats_asked(s);
    json_t *p = profile_after(d, heavy("a", 800));
    if (*switches[_i].source == '\0') {
        CHECK(json_is_null(at(p, "resources")) && json_is_null(of_node(p, "1")));
        CHECK(json_is_null(at(sampling_of(d), "source")));
    } else {
        CHECK(is_source(at(p, "resources"), switches[_i].source) &&
                  is_source(of_node(p, "1"), switches[_i].source),
              "%s", switches[_i].sampling);
    }
    /* One may have been on its way: the link asks for itself when it comes up. */
    const double asked = stats_asked(s) - before;
    const bool wanted = strcmp(switches[_i].source, "system_stats") == 0;
    CHECK(wanted ? asked >= 4 : asked <= 1, "%s: %f", switches[_i].sampling, asked);
}
END_TEST

START_TEST(test_not_profiled)
{
    struct sim *s = sim_start("--crystools", "20", NULL);
    struct daemon *d = daemon_for(s, NULL, "systemStatsIntervalMs: 50");
    json_t *j = run_job(d, q("{'workflow':%s,'profile':false}", heavy("a", 100)));
    CHECK(!has(j, "profileStats"));
    CHECK(is_source(sampling_of(d), "crystools"), "frames come by themselves");
}
END_TEST

/* ---- on this host ---------------------------------------------------------------------------- */

#define LOCAL "crystools: false, systemStats: false, systemStatsIntervalMs: 50, local: true"

/* ${s->pid}'s resident memory, bytes. */
static double resident(const struct sim *s)
{
    const char *line = strstr(read_file(text("/proc/%d/status", (int)s->pid)), "VmRSS:");
    return line == NULL ? NAN : strtod(line + 6, NULL) * 1024;
}

/* The process behind the port is looked for when the link comes up, which may take longer than it
   takes for a job to begin: its first account is then not known. */
static void await_process(struct daemon *d)
{
    AWAIT(has(profile_after(d, heavy("", 100)), "resources.diskRead"));
}

START_TEST(test_local)
{
    struct sim *s = sim_plain();
    struct daemon *d = daemon_for(s, NULL, LOCAL);
    await_process(d);
    json_t *p = profile_after(d, heavy("a", 1000));
    json_t *r = of_node(p, "1");
    json_t *all = at(p, "resources");
    CHECK(is_source(r, "local") && num_at(r, "sampleCount") >= 2);
    CHECK(fabs(num_at(r, "ramUsed.max") - resident(s)) < 0.5 * resident(s), "%f, not %f",
          num_at(r, "ramUsed.max"), resident(s));
    CHECK(has_no_gpu(r));
    CHECK(num_at(all, "diskRead") >= 0 && num_at(all, "diskWritten") >= 0);
    CHECK(num_at(all, "netReceived") >= 0 && num_at(all, "netSent") >= 0,
          "loopback is not counted");
    json_t *problems = at(sampling_of(d), "problems");
    CHECK(json_array_size(problems) == 0, "%s", str_at(problems, "0"));
}
END_TEST

/* Nobody can tell whose bytes they were. */
START_TEST(test_shared_network)
{
    struct sim *s[2] = {sim_plain(), sim_plain()};
    struct daemon *d = DAEMON(.sims = {s[0], s[1]}, .config = "sampling: {" LOCAL "}\n");
    await_backends_up(d, 2);
    await_process(d);
    AWAIT(!has(profile_after(d, heavy("", 100)), "resources.netSent")); /* both were found */
    json_t *p = profile_after(d, heavy("a", 500));
    CHECK(!has(p, "resources.netReceived") && !has(p, "resources.netSent"));
    CHECK(num_at(p, "resources.diskRead") >= 0 && num_at(p, "resources.ramUsed.max") > 0);
}
END_TEST

/* Another process comes to the same port in mid-prompt: its account is not the first one's. */
START_TEST(test_process_restarts)
{
    struct sim *s = sim_plain();
    struct daemon *d =
        DAEMON(.config =
                   text("backends:\n  - {name: s0, url: '%s'}\nsampling: {" LOCAL "}\n"
                        "link: {quietPollMs: 300, submitSettleMs: 500, backendLostMs: 60000}\n"
                        "jobs: {retryDelayMs: 20}\n",
                        s->url));
    await_ready(d);
    char *id = submit(d, heavy("a", 1500));
    AWAIT(is_at_node(d, id, "1"));
    char *port = text("%d", s->port);
    sim_kill(s);
    struct sim *again = sim_start("--port", port, NULL);
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && num_at(j, "attempts") == 2);
    json_t *r = of_node(at(j, "profileStats"), "1");
    CHECK(is_source(r, "local") &&
          fabs(num_at(r, "ramUsed.max") - resident(again)) < 0.5 * resident(again));
}
END_TEST

/* ---- NVML ------------------------------------------------------------------------------------ */

#define TWO_GPUS                                                                                   \
    "count=2\ngpu0.uuid=GPU-aaaa\ngpu0.utilization=11\ngpu0.temperature=31\n"                      \
    "gpu0.memory=1111/2000\ngpu0.pids=%d\n"                                                        \
    "gpu1.uuid=GPU-bbbb\ngpu1.utilization=22\ngpu1.temperature=42\n"                               \
    "gpu1.memory=2222/4000\ngpu1.pids=%d\n"

static const char one_gpu[] = "count=1\ngpu0.uuid=GPU-aaaa\ngpu0.utilization=37\n"
                              "gpu0.temperature=61\ngpu0.memory=1000/2000\ngpu0.pids=\n";

static struct daemon *with_nvml(struct sim *s, const char *gpu, const char *says)
{
    const char *lib = getenv("TEST_FAKENVML");
    CHECK(lib != NULL, "scripts/test sets TEST_FAKENVML");
    struct daemon *d =
        DAEMON(.config = text("backends:\n  - {name: s0, url: '%s'%s}\nsampling: {" LOCAL
                              ", nvml: true}\n",
                              s->url, gpu == NULL ? "" : text(", gpu: %s", gpu)),
               .environment = {text("LD_LIBRARY_PATH=%s", lib),
                               text("FAKE_NVML=%s", write_file("nvml", says))});
    await_ready(d);
    return d;
}

static void check_gpu(json_t *r, double utilization, double temperature, double vram)
{
    CHECK(is_source(r, "local") && num_at(r, "gpuUtilization.max") == utilization &&
          num_at(r, "gpuUtilization.avg") == utilization &&
          num_at(r, "gpuTemperature.max") == temperature && num_at(r, "vramUsed.max") == vram);
}

START_TEST(test_nvml)
{
    struct sim *s = sim_plain();
    struct daemon *d = with_nvml(s, NULL, one_gpu);
    json_t *r = of_node(profile_after(d, heavy("a", 1000)), "1");
    check_gpu(r, 37, 61, 1000);
    CHECK(num_at(r, "ramUsed.max") > 0, "and /proc beside it");
    CHECK(num_at(sampling_of(d), "gpu") == 0);
    /* What it does not support is null. */
    (void)write_file("nvml", "count=1\ngpu0.uuid=GPU-aaaa\ngpu0.memory=1500/2000\n");
    r = of_node(profile_after(d, heavy("b", 1000)), "1");
    CHECK(num_at(r, "vramUsed.max") == 1500 && !has(r, "gpuTemperature.max"));
}
END_TEST

static const struct {
    const char *name;
    const char *configured;
    int process_on; /* -1: on none */
    int index;      /* -1: nobody knows */
} nvml_maps[] = {
    {"its process is there", NULL, 1, 1},
    {"its process is on the first", NULL, 0, 0},
    {"its process is nowhere", NULL, -1, -1},
    {"by UUID", "GPU-bbbb", 0, 1},
    {"by index", "1", 0, 1},
    {"no such UUID", "GPU-cccc", 1, -1},
};

START_TEST(test_nvml_mapping)
{
    struct sim *s = sim_plain();
    const int on = nvml_maps[_i].process_on;
    char *says = text(TWO_GPUS, on == 0 ? (int)s->pid : 1, on == 1 ? (int)s->pid : 1);
    struct daemon *d = with_nvml(s, nvml_maps[_i].configured, says);
    json_t *r = of_node(profile_after(d, heavy("a", 1000)), "1");
    json_t *now = sampling_of(d);
    if (nvml_maps[_i].index < 0) {
        CHECK(has_no_gpu(r) && is_true(now, "gpuUnmapped"), "%s", nvml_maps[_i].name);
        CHECK(num_at(r, "ramUsed.max") > 0);
    } else {
        const int i = nvml_maps[_i].index;
        check_gpu(r, i == 0 ? 11 : 22, i == 0 ? 31 : 42, i == 0 ? 1111 : 2222);
        CHECK(num_at(now, "gpu") == i && !has(now, "gpuUnmapped"), "%s", nvml_maps[_i].name);
    }
}
END_TEST

/* The driver hangs: jobs run, requests are answered, the daemon ends; GET /backends says why. */
START_TEST(test_nvml_hangs)
{
    static const char *const calls[] = {"nvmlInit_v2", "nvmlDeviceGetTemperature"};
    struct sim *s = sim_plain();
    char *mark = path_of("hung");
    struct daemon *d = with_nvml(s, NULL, text("%s%s=hang\nhung=%s\n", one_gpu, calls[_i], mark));
    json_t *p = profile_after(d, heavy("a", 1000));
    AWAIT(access(mark, F_OK) == 0);
    CHECK(has_no_gpu(of_node(p, "1")));
    for (int i = 0; i < 3; i++) {
        (void)profile_after(d, heavy(text("b%d", i), 100));
    }
    AWAIT(json_array_size(at(sampling_of(d), "problems")) == 1);
    daemon_stop(d);
    CHECK(d->ended_in < 10, "%.1f s", d->ended_in);
}
END_TEST

/* No library: said once, where one looks for it. */
START_TEST(test_no_nvml)
{
    struct sim *s = sim_plain();
    struct daemon *d = with_nvml(s, NULL, "nvmlInit_v2=9\n");
    json_t *r = of_node(profile_after(d, heavy("a", 600)), "1");
    CHECK(is_source(r, "local") && has_no_gpu(r) && num_at(r, "ramUsed.max") > 0);
    CHECK(json_array_size(at(sampling_of(d), "problems")) == 1);
}
END_TEST

Suite *resources_suite(void)
{
    static const struct named_test tests[] = {
        {"crystools", &test_crystools, 0},
        {"unavailable", &test_unavailable, 0},
        {"node without a sample", &test_node_without_a_sample, 0},
        {"mapping", &test_mapping, (int)(sizeof maps / sizeof *maps)},
        {"system_stats", &test_system_stats, 0},
        {"system_stats fails", &test_system_stats_fail, 2},
        {"never mixed", &test_never_mixed, 0},
        {"switches", &test_switches, (int)(sizeof switches / sizeof *switches)},
        {"not profiled", &test_not_profiled, 0},
        {"local", &test_local, 0},
        {"shared network", &test_shared_network, 0},
        {"process restarts", &test_process_restarts, 0},
        {"NVML", &test_nvml, 0},
        {"NVML's mapping", &test_nvml_mapping, (int)(sizeof nvml_maps / sizeof *nvml_maps)},
        {"NVML hangs", &test_nvml_hangs, 2},
        {"no NVML", &test_no_nvml, 0},
    };
    return SUITE("resources", 120, tests);
}

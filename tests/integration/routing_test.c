/* Where a job may run, where it runs, and why. */
#include "harness.h"

#include <stdio.h>
#include <string.h>

#include "suites.h"

#define MODEL(name)                                                                                \
    "{'1':{'class_type':'CheckpointLoaderSimple','inputs':{'ckpt_name':'" name "','_ms':1}},"      \
    "'2':{'class_type':'SaveImage','inputs':{'images':['1',0]}}}"

static bool is_eligible(struct daemon *d, const char *body, int backend)
{
    json_t *a = post(d, "/jobs?dryRun=1", body)->json;
    return is_true(json_array_get(at(a, "backends"), (size_t)backend), "eligible");
}

static const char *backend_of(json_t *j)
{
    CHECK(strcmp(str_at(j, "state"), "completed") == 0);
    return str_at(j, "backend");
}

START_TEST(test_models_and_classes)
{
    struct sim *s[3] = {sim_plain(), sim_plain(), sim_plain()};
    sim_control(s[0], "{'models':['a.safetensors']}");
    sim_control(s[1], "{'models':['b.safetensors'],'missing':['T_SleepOut']}");
    sim_control(s[2], "{'models':['b.safetensors','c.safetensors']}");
    struct daemon *d = DAEMON(.sims = {s[0], s[1], s[2]});
    await_backends_up(d, 3);
    const char *a = q("{'workflow':" MODEL("a.safetensors") "}");
    AWAIT(is_eligible(d, a, 0) && !is_eligible(d, a, 1) && !is_eligible(d, a, 2));
    CHECK(ledger_count(s[0], "posted", NULL) == 0, "a dry run queues nothing");
    for (int i = 0; i < 3; i++) {
        json_t *j = run_job(d, a);
        CHECK(strcmp(backend_of(j), "s0") == 0);
        CHECK(strcmp(str_at(j, "placement.reason"), "only_able") == 0);
        CHECK(strcmp(backend_of(run_job(d, q("{'workflow':" MODEL("c.safetensors") "}"))), "s2") ==
              0);
        CHECK(strcmp(backend_of(run_job(d, sleep_body(text("x%d", i), 1, ""))), "s1") != 0);
    }
    CHECK(ledger_count(s[1], "posted", NULL) == 0);
    /* Nowhere: each backend is asked again, and says what it lacks. */
    struct answer *no = post(d, "/jobs", q("{'workflow':" MODEL("d.safetensors") "}"));
    expect(no, 422, "workflow_not_supported");
    CHECK(strstr(str_at(no->json, "detail"), "s2 lacks: d.safetensors") != NULL, "%s", no->body);
    no = post(d, "/jobs", q("{'workflow':{'1':{'class_type':'NoSuchNode','inputs':{}}}}"));
    expect(no, 422, "workflow_not_supported");
    CHECK(strstr(str_at(no->json, "detail"), "class NoSuchNode") != NULL);
    /* What many nodes lack is said once. */
    no = post(d, "/jobs",
              q("{'workflow':{'1':{'class_type':'NoSuchNode','inputs':{}},"
                "'2':{'class_type':'NoSuchNode','inputs':{}},"
                "'3':{'class_type':'NorThis','inputs':{}}},'backends':{'only':['s0']}}"));
    expect(no, 422, "workflow_not_supported");
    CHECK(strstr(str_at(no->json, "detail"), "s0 lacks: the job") == NULL &&
              strstr(str_at(no->json, "detail"), "s0 lacks: class NoSuchNode, class NorThis;") !=
                  NULL,
          "%s", no->body);
    /* A model that was copied there a minute ago. */
    sim_control(s[1], "{'models':['b.safetensors','e.safetensors'],'missing':null}");
    CHECK(strcmp(backend_of(run_job(d, q("{'workflow':" MODEL("e.safetensors") "}"))), "s1") == 0);
    /* ... and a class, which somebody says. */
    CHECK(!is_eligible(d, sleep_body("x", 1, ""), 1));
    expect(post(d, "/backends/s1/refresh", ""), 202, NULL);
    AWAIT(is_eligible(d, sleep_body("x", 1, ""), 1));
    expect(post(d, "/backends/s9/refresh", ""), 404, "backend_not_found");
}
END_TEST

/* What nobody was told of is the backend's to judge. */
START_TEST(test_unknown_counts_as_able)
{
    struct sim *s = sim_plain();
    sim_control(s, "{'secret':true}");
    struct daemon *d = DAEMON(.sims = {s});
    await_backends_up(d, 1);
    const char *body = q("{'workflow':{'1':{'class_type':'NoSuchNode','inputs':{}}}}");
    CHECK(is_eligible(d, body, 0));
    CHECK(strcmp(str_at(run_job(d, body), "error.code"), "workflow_not_supported") == 0);
}
END_TEST

START_TEST(test_the_able_one_is_down)
{
    struct sim *s[2] = {sim_plain(), sim_plain()};
    sim_control(s[0], "{'models':['a.safetensors']}");
    sim_control(s[1], "{'models':['b.safetensors']}");
    struct daemon *d = DAEMON(.sims = {s[0], s[1]});
    await_backends_up(d, 2);
    const char *a = q("{'workflow':" MODEL("a.safetensors") "}");
    AWAIT(is_eligible(d, a, 0) && !is_eligible(d, a, 1));
    sim_control(s[0], "{'crash':800}");
    AWAIT(strcmp(str_at(get(d, "/backends/s0")->json, "state"), "up") != 0);
    char *id = submit(d, a);
    const char *reason = str_at(job_now(d, id), "waitingReason");
    CHECK(strcmp(reason, "no_able_backend") == 0 || strcmp(reason, "no_backend_up") == 0 ||
              *reason == '\0',
          "%s", reason);
    json_t *j = await_end(d, id);
    CHECK(strcmp(backend_of(j), "s0") == 0 && !has(j, "waitingReason"));
}
END_TEST

#define NEW_CLASS                                                                                  \
    "{'1':{'class_type':'T_Sleep','inputs':{'_ms':1}},"                                            \
    "'2':{'class_type':'T_SleepOut','inputs':{'a':['1',0]}}}"

static void await_down(struct daemon *d, int i)
{
    AWAIT(strcmp(str_at(get(d, "/backends/s%d", i)->json, "state"), "up") != 0);
}

/* The only server is restarted since a node was installed there: what is submitted meanwhile waits
   for it, whatever it lacked before. */
START_TEST(test_who_is_down_refuses_nothing)
{
    const bool knows_it = _i == 0; /* when it is back */
    struct sim *s = sim_plain();
    sim_control(s, "{'missing':['T_Sleep']}");
    struct daemon *d = DAEMON(.sims = {s});
    await_backends_up(d, 1);
    const char *job = q("{'workflow':" NEW_CLASS "}");
    const char *batch = q("{'workflow':" NEW_CLASS ",'overrides':[{'1._ms':2},{'1._ms':3}]}");
    expect(post(d, "/jobs", job), 422, "workflow_not_supported");
    expect(post(d, "/batches", batch), 422, "workflow_not_supported");
    sim_control(s, q("{'crash':1500,'missing':[%s]}", knows_it ? "" : "'T_Sleep'"));
    await_down(d, 0);
    json_t *dry = at(post(d, "/jobs?dryRun=1", job)->json, "backends.0");
    CHECK(json_is_null(at(dry, "eligible")) && json_array_size(at(dry, "missing")) == 0,
          "nobody knows");
    char *id = submit(d, job);
    CHECK(strcmp(str_at(job_now(d, id), "waitingReason"), "no_backend_up") == 0, "%s",
          str_at(job_now(d, id), "waitingReason"));
    struct answer *a = post(d, "/batches", batch);
    expect(a, 202, NULL);
    expect(post(d, "/jobs", q("{'workflow':" NEW_CLASS ",'backends':{'only':['moon']}}")), 422,
           "workflow_not_supported");
    if (knows_it) {
        CHECK(strcmp(str_at(await_end(d, id), "state"), "completed") == 0);
        const char *of_batch = text("/batches/%s", str_at(a->json, "id"));
        AWAIT(num_at(get(d, "%s", of_batch)->json, "counts.completed") == 2);
    } else {
        AWAIT(strcmp(str_at(job_now(d, id), "waitingReason"), "no_able_backend") == 0);
        expect(post(d, "/jobs", job), 422, "workflow_not_supported");
    }
}
END_TEST

/* A server that is up and does not answer has refused nothing. */
START_TEST(test_who_does_not_answer_refuses_nothing)
{
    struct sim *s = sim_plain();
    sim_control(s, "{'missing':['T_Sleep']}");
    struct daemon *d = DAEMON(.sims = {s});
    await_backends_up(d, 1);
    const double from = now_s();
    sim_control(s, "{'mum':true}");
    AWAIT(post(d, "/jobs", q("{'workflow':" NEW_CLASS "}"))->status == 202);
    CHECK(now_s() - from < 20, "it was asked for %.1f s", now_s() - from);
}
END_TEST

/* One is up and cannot: the other one, which is down, may know it by now. Unless it is to go. */
START_TEST(test_one_is_down)
{
    struct sim *s[2] = {sim_plain(), sim_plain()};
    for (int i = 0; i < 2; i++) {
        sim_control(s[i], "{'missing':['T_Sleep']}");
    }
    struct daemon *d = DAEMON(.sims = {s[0], s[1]});
    await_backends_up(d, 2);
    const char *job = q("{'workflow':" NEW_CLASS "}");
    expect(post(d, "/jobs", job), 422, "workflow_not_supported");
    expect(post(d, "/backends/s1/drain", ""), 200, NULL);
    expect(post(d, "/jobs", job), 422, "workflow_not_supported"); /* it is up, and says no */
    sim_kill(s[1]);
    AWAIT(has(get(d, "/backends/s1")->json, "lastError"));
    char *id = submit(d, job);
    CHECK(is_state(d, id, "queued"));
    sim_control(s[0], "{'missing':null}");
    CHECK(strcmp(str_at(run_job(d, job), "state"), "completed") == 0, "it was asked again");
    CHECK(strcmp(str_at(await_end(d, id), "state"), "completed") == 0);
    expect(ask(d, "DELETE", "/backends/s1", NULL, NULL), 204, NULL);
    sim_control(s[0], "{'missing':['T_Sleep']}");
    expect(post(d, "/backends/s0/refresh", ""), 202, NULL);
    AWAIT(post(d, "/jobs", job)->status == 422);
}
END_TEST

/* A model was copied there that each override names for another class: each is asked for. */
START_TEST(test_batch_is_asked_for_each)
{
    struct sim *s = sim_plain();
    sim_control(s, "{'models':['a.safetensors']}");
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    await_backends_up(d, 1);
    const char *body =
        q("{'workflow':{"
          "'1':{'class_type':'CheckpointLoaderSimple','inputs':{'ckpt_name':'a.safetensors'}},"
          "'2':{'class_type':'UNETLoader','inputs':{'unet_name':'a.safetensors'}},"
          "'3':{'class_type':'SaveImage','inputs':{'images':['1',0],'b':['2',0]}}},"
          "'overrides':[{'1.ckpt_name':'b.safetensors'},{'2.unet_name':'b.safetensors'}]}");
    struct answer *a = post(d, "/batches", body);
    expect(a, 422, "workflow_not_supported");
    CHECK(strcmp(str_at(a->json, "pointer"), "/overrides/0") == 0);
    sim_control(s, "{'models':['a.safetensors','b.safetensors']}");
    expect(post(d, "/batches", body), 202, NULL);
}
END_TEST

static const char labelled[] = "backends:\n"
                               "  - {name: s0, url: '%s', labels: ['gpu=4090', 'vram=24']}\n"
                               "  - {name: s1, url: '%s', labels: ['gpu=4090', 'vram=48']}\n"
                               "  - {name: s2, url: '%s', labels: ['gpu=3060', 'vram=12', slow]}\n"
                               "%s";

static struct daemon *three(struct sim *s[3], const char *more)
{
    struct daemon *d = DAEMON(.config = text(labelled, s[0]->url, s[1]->url, s[2]->url, more));
    await_backends_up(d, 3);
    return d;
}

static const struct {
    const char *where;
    const char *able; /* s0 s1 s2 as 1 and 0; "": refused */
    const char *code;
} wheres[] = {
    {"'labels':['gpu=4090']", "110", ""},
    {"'labels':['gpu!=4090']", "001", ""},
    {"'labels':['vram>=24']", "110", ""},
    {"'labels':['vram>24']", "010", ""},
    {"'labels':['vram<24']", "001", ""},
    {"'labels':['slow']", "001", ""},
    {"'labels':['gpu=4090','vram>=48']", "010", ""},
    {"'backends':{'only':['s2','moon']}", "001", ""},
    {"'backends':{'exclude':['s2']}", "110", ""},
    {"'backends':{'exclude':['s2']},'labels':['vram<=24']", "100", ""},
    {"'labels':['gpu=h100']", "", "workflow_not_supported"},
    {"'backends':{'only':['moon']}", "", "workflow_not_supported"},
    {"'backends':{'only':[]}", "", "workflow_not_supported"},
    {"'backends':{'only':['s1'],'exclude':['s1']}", "", "workflow_not_supported"},
    {"'labels':['vram>>3']", "", "label_invalid"},
    {"'labels':['=']", "", "label_invalid"},
    {"'labels':['vram>=much']", "", "label_invalid"},
    {"'labels':'slow'", "", "member_invalid"},
    {"'labels':[5]", "", "member_invalid"},
    {"'backends':{'must':['s1']}", "", "member_unknown"},
    {"'backends':{'only':'s1'}", "", "member_invalid"},
    {"'backends':[]", "", "member_invalid"},
};

/* Each of its jobs must be able to run somewhere; what the workflow itself names does not matter.
 */
START_TEST(test_batch_models)
{
    struct sim *s = sim_plain();
    sim_control(s, "{'models':['a.safetensors']}");
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    await_backends_up(d, 1);
    AWAIT(json_array_size(at(post(d, "/jobs?dryRun=1", q(MODEL("none.safetensors")))->json,
                             "backends.0.missing")) == 1);
    static const char body[] = "{'workflow':{'1':{'class_type':'CheckpointLoaderSimple','inputs':"
                               "{'ckpt_name':'none.safetensors'}},'2':{'class_type':'SaveImage',"
                               "'inputs':{'images':['1',0],'_ms':1}}},'overrides':[%s]}";
    struct answer *a = post(
        d, "/batches", q(body, "{'1.ckpt_name':'a.safetensors'},{'1.ckpt_name':'b.safetensors'}"));
    expect(a, 422, "workflow_not_supported");
    CHECK(strcmp(str_at(a->json, "pointer"), "/overrides/1") == 0 &&
          strstr(str_at(a->json, "detail"), "b.safetensors") != NULL);
    CHECK(num_at(get(d, "/stats")->json, "jobs.queued") == 0);
    /* It was copied there meanwhile. */
    sim_control(s, "{'models':['a.safetensors','b.safetensors']}");
    a = ask(d, "POST", "/batches", "Idempotency-Key: m",
            q(body, "{'1.ckpt_name':'a.safetensors'},{'1.ckpt_name':'b.safetensors'}"));
    expect(a, 202, NULL);
    char *id = text("%s", str_at(a->json, "id"));
    AWAIT(num_at(get(d, "/batches/%s", id)->json, "counts.completed") == 2);
}
END_TEST

START_TEST(test_where)
{
    struct sim *s[3] = {sim_plain(), sim_plain(), sim_plain()};
    struct daemon *d = three(s, "");
    for (size_t i = 0; i < sizeof wheres / sizeof *wheres; i++) {
        const char *body = sleep_body(text("x%zu", i), 1, q(",%s", wheres[i].where));
        struct answer *a = post(d, "/jobs", body);
        if (*wheres[i].able == '\0') {
            CHECK(strcmp(str_at(a->json, "code"), wheres[i].code) == 0, "%s: %s", wheres[i].where,
                  a->body);
            continue;
        }
        expect(a, 202, NULL);
        for (int b = 0; b < 3; b++) {
            CHECK(is_eligible(d, body, b) == (wheres[i].able[b] == '1'), "%s", wheres[i].where);
        }
        const char *ran = backend_of(await_end(d, str_at(a->json, "id")));
        CHECK(wheres[i].able[ran[1] - '0'] == '1', "%s ran on %s", wheres[i].where, ran);
    }
    for (int i = 0; i < 3; i++) {
        json_t *j = run_job(d, sleep_body(text("p%d", i), 1, q(",'backends':{'prefer':['s2']}")));
        CHECK(strcmp(backend_of(j), "s2") == 0);
        CHECK(strcmp(str_at(j, "placement.reason"), "preferred") == 0);
    }
}
END_TEST

/* Jobs that wait for busy backends, all different and each for other ones, hold up nobody. */
START_TEST(test_many_lanes_wait)
{
    enum { BUSY = 7, WAITING = 100 };
    struct daemon_options o = {.no_profile = true};
    for (int b = 0; b <= BUSY; b++) {
        o.sims[b] = sim_plain();
    }
    struct daemon *d = daemon_start(&o);
    await_backends_up(d, BUSY + 1);
    for (int b = 0; b < BUSY; b++) {
        char *busy =
            submit(d, sleep_body(text("busy%d", b), 60000, q(",'backends':{'only':['s%d']}", b)));
        AWAIT(is_at_node(d, busy, "1"));
    }
    for (int i = 1; i <= WAITING; i++) {
        char *only = q("'s%d'", i % BUSY);
        for (int b = 0; b < BUSY; b++) {
            only = (i >> b & 1) != 0 && b != i % BUSY ? q("%s,'s%d'", only, b) : only;
        }
        (void)submit(d, q("{'workflow':{'1':{'class_type':'T_Sleep','inputs':{'_ms':1,'width':%d}},"
                          "'2':{'class_type':'T_SleepOut','inputs':{'a':['1',0]}}},"
                          "'backends':{'only':[%s]}}",
                          i, only));
    }
    json_t *j = run_job(d, sleep_body("x", 1, q(",'backends':{'only':['s7']}")));
    CHECK(strcmp(str_at(j, "state"), "completed") == 0);
}
END_TEST

/* Where several prompts run at a time one that runs for hours is no reason to begin no other. */
START_TEST(test_read_beside_long_runs)
{
    struct sim *s = sim_plain();
    struct daemon *d =
        DAEMON(.no_profile = true,
               .config = text("backends: [{name: s0, url: '%s', maxInFlight: 2}]\n", s->url));
    await_backends_up(d, 1);
    char *busy = submit(d, sleep_body("busy", 60000, ""));
    AWAIT(is_at_node(d, busy, "1"));
    expect(post(d, "/backends/s0/refresh", ""), 202, NULL);
    CHECK(is_true(get(d, "/backends/s0")->json, "reading"));
    char *next = submit(d, sleep_body("next", 1, ""));
    AWAIT(has(job_now(d, next), "promptId"));
    CHECK(!is_true(get(d, "/backends/s0")->json, "reading"));
    CHECK(is_state(d, busy, "running"));
}
END_TEST

/* Backends may be added later: a job waits for any of them, but for none that is named. */
START_TEST(test_no_backends)
{
    struct daemon *d = DAEMON(.no_profile = true);
    struct answer *a = post(d, "/jobs", sleep_body("a", 1, q(",'backends':{'exclude':['s1']}")));
    expect(a, 202, NULL);
    CHECK(strcmp(str_at(a->json, "waitingReason"), "no_backend_up") == 0);
    static const char *const bad[] = {
        "'backends':{'only':['s1']}",
        "'labels':['gpu=4090']",
        "'backends':{'only':[]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        a = post(d, "/jobs", sleep_body("b", 1, q(",%s", bad[i])));
        expect(a, 422, "workflow_not_supported");
        CHECK(strstr(str_at(a->json, "detail"), "no backends") != NULL);
    }
    expect(post(d, "/jobs?dryRun=1", sleep_body("c", 1, "")), 200, NULL);
}
END_TEST

START_TEST(test_rules)
{
    struct sim *s[3] = {sim_plain(), sim_plain(), sim_plain()};
    struct daemon *d = three(s, "routing:\n  rules:\n"
                                "    - {metadata: team=blue, backends: [s2], hard: true}\n"
                                "    - {label: 'gpu=4090', backends: [s1]}\n");
    for (int i = 0; i < 3; i++) {
        json_t *j = run_job(d, sleep_body(text("x%d", i), 1, q(",'metadata':{'team':'blue'}")));
        CHECK(strcmp(backend_of(j), "s2") == 0);
        j = run_job(d, sleep_body(text("y%d", i), 1, q(",'labels':['gpu=4090']")));
        CHECK(strcmp(backend_of(j), "s1") == 0);
    }
    struct answer *no = post(d, "/jobs",
                             sleep_body("z", 1,
                                        q(",'metadata':{'team':'blue'},"
                                          "'labels':['gpu=4090']")));
    expect(no, 422, "workflow_not_supported");
    CHECK(strstr(no->body, "hard rule") != NULL);
}
END_TEST

/* A whole graph that the simulated servers have; S is what a sampler is told beside its links. */
#define SAMPLE(S)                                                                                  \
    "{'1':{'class_type':'CheckpointLoaderSimple','inputs':{'ckpt_name':"                           \
    "'a.safetensors'}},'2':{'class_type':'CLIPTextEncode','inputs':{'text':'x','clip':['1',1]}},"  \
    "'3':{'class_type':'EmptyLatentImage','inputs':{'width':64,'height':64,'batch_size':1}},"      \
    "'4':{'class_type':'KSampler','inputs':{'model':['1',0],'positive':['2',0],'negative':"        \
    "['2',0],'latent_image':['3',0],'sampler_name':'euler','cfg':8,'denoise':1," S "}},"           \
    "'5':{'class_type':'VAEDecode','inputs':{'samples':['4',0],'vae':['1',2]}},"                   \
    "'6':{'class_type':'SaveImage','inputs':{'images':['5',0],'filename_prefix':'p'}}}"

/* What the first backend would refuse: "NODE: detail. NODE: detail. " */
static const char *problems(struct daemon *d, const char *body)
{
    json_t *list = at(post(d, "/jobs?dryRun=1", body)->json, "backends.0.problems");
    const char *all = "";
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *p = json_array_get(list, i);
        all = text("%s%s: %s. ", all, str_at(p, "nodeId"), str_at(p, "detail"));
    }
    return all;
}

/* What the daemon fills in itself is no problem. */
START_TEST(test_dry_run_of_what_is_filled_in)
{
    struct sim *s = sim_plain();
    sim_control(s, "{'models':['a.safetensors']}");
    struct daemon *d = DAEMON(.sims = {s});
    await_backends_up(d, 1);
    const char *told =
        problems(d, q("{'workflow':" SAMPLE("'steps':1,'scheduler':'normal','seed':-1") "}"));
    CHECK(*told == '\0', "%s", told);
    told = problems(d, q("{'workflow':" SAMPLE(
                           "'steps':1,'scheduler':'normal','seed':-1") ",'autoSeed':false}"));
    CHECK(strcmp(told, "4: seed is -1, out of range: the least is 0. ") == 0, "%s", told);
}
END_TEST

#define SAMPLED "'seed':1,'steps':1,'scheduler':'normal'"

static const struct {
    const char *inputs; /* of the sampler */
    const char *more;
    const char *told;
} dry_runs[] = {
    {SAMPLED, "", ""},
    {"'seed':1,'steps':'20','scheduler':'norml'", "",
     "4: scheduler is norml, which is not in its list; did you mean normal?. "},
    {"'seed':1,'steps':1,'scheduler':'x'", "",
     "4: scheduler is x, which is not in its list: beta, exponential, karras, normal, sgm_uniform, "
     "simple. "},
    {"'seed':1,'steps':1,'scheduler':'x'", ",'skipEligibility':true", ""},
    {"'seed':1,'steps':'twenty','scheduler':'normal'", "",
     "4: steps is \"twenty\", which is no whole number. "},
    {"'seed':'','steps':'20.0','scheduler':''", "",
     "4: seed is \"\", which is no whole number. 4: steps is \"20.0\", which is no whole number. "
     "4: scheduler is \"\", which is not in its list: beta, exponential, karras, normal, "
     "sgm_uniform, simple. "},
    {"'seed':1,'steps':null,'scheduler':null", "",
     "4: steps is null, which is no whole number. 4: scheduler is null, which is not in its list: "
     "beta, exponential, karras, normal, sgm_uniform, simple. "},
    {SAMPLED ",'model_':['1',7]", "", ""},
    {SAMPLED, ",'attachments':[{'nodeId':'1','inputName':'ckpt_name','data':'aGk='}]", ""},
    {SAMPLED, ",'attachments':[{'nodeId':'1','inputName':'ckptname','data':'aGk='}]",
     "1: a file is attached to ckptname, which is no input of CheckpointLoaderSimple; did you mean "
     "ckpt_name?. "},
};

START_TEST(test_dry_run_of_values)
{
    struct sim *s = sim_plain();
    sim_control(s, "{'models':['a.safetensors']}");
    struct daemon *d = DAEMON(.sims = {s});
    await_backends_up(d, 1);
    for (size_t i = 0; i < sizeof dry_runs / sizeof *dry_runs; i++) {
        const char *body =
            q("{'workflow':" SAMPLE("%s") "%s}", dry_runs[i].inputs, dry_runs[i].more);
        const char *told = problems(d, body);
        CHECK(strcmp(told, dry_runs[i].told) == 0, "%s: %s", dry_runs[i].inputs, told);
    }
    daemon_stop(d);
    d = DAEMON(.sims = {s}, .config = "routing: {trustedInputs: [KSampler.scheduler]}\n");
    await_backends_up(d, 1);
    const char *told =
        problems(d, q("{'workflow':" SAMPLE("'seed':1,'steps':1,'scheduler':'x'") "}"));
    CHECK(*told == '\0', "%s", told);
}
END_TEST

START_TEST(test_dry_run_of_links)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_backends_up(d, 1);
    static const struct {
        const char *link;
        const char *told;
    } links[] = {
        {"['1',0]", ""},
        {"['1',1]", "2: images links to output 1 of node 1, which gives MASK, not IMAGE. "},
        {"['1',-2]", ""},
        {"['1',2]",
         "2: images links to output 2 of node 1; LoadImage gives 2, and the first is 0. "},
        {"['3',0]", "2: images links to output 0 of node 3; SaveImage gives none. "},
        {"['4',0]", ""}, /* a custom class: it may give more than it says */
        {"['1']",
         "2: images is [\"1\"]; a link is [\"the id of a node\", the number of its output]. "},
        {"['5',0]", "6: it links to node 5, which needs it: a cycle. "},
    };
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        const char *told =
            problems(d, q("{'workflow':{'1':{'class_type':'LoadImage','inputs':{'image':'a.png'}},"
                          "'2':{'class_type':'SaveImage','inputs':{'images':%s,"
                          "'filename_prefix':'p'}},"
                          "'3':{'class_type':'SaveImage','inputs':{'images':['1',0],"
                          "'filename_prefix':'p'}},"
                          "'4':{'class_type':'T_Text','inputs':{'any':['1',0],'size':1}},"
                          "'5':{'class_type':'ImageInvert','inputs':{'image':['6',0]}},"
                          "'6':{'class_type':'ImageInvert','inputs':{'image':['5',0]}}}}",
                          links[i].link));
        CHECK(strcmp(told, links[i].told) == 0, "%s: %s", links[i].link, told);
    }
}
END_TEST

/* Each of its variants is refused where it may run: that is remembered of each. With two on one
   server the second is tried there. */
START_TEST(test_variants_are_refused)
{
    const bool apart = _i == 0;
    struct sim *s[2] = {sim_plain(), sim_plain()};
    for (int i = 0; i < 2; i++) {
        sim_control(s[i], "{'missing':['T_Sleep'],'secret':true}");
    }
    struct daemon *d = DAEMON(.sims = {s[0], s[1]});
    await_backends_up(d, 2);
    const char *other = "{'1':{'class_type':'T_Sleep','inputs':{'_ms':2}}}";
    json_t *j = run_job(d, q("{'variants':[{'workflow':" NEW_CLASS ",'backends':{'only':['s0']}},"
                             "{'workflow':%s,'backends':{'only':['%s']}}]}",
                             apart ? other : MODEL("any.safetensors"), apart ? "s1" : "s0"));
    CHECK(num_at(j, "attempts") == 2, "%g attempts", num_at(j, "attempts"));
    CHECK(strcmp(str_at(j, "error.code"), apart ? "workflow_not_supported" : "") == 0);
    CHECK(apart || num_at(j, "placement.variant") == 1);
}
END_TEST

START_TEST(test_variants)
{
    struct sim *s[2] = {sim_plain(), sim_plain()};
    sim_control(s[0], "{'models':['a.safetensors']}");
    sim_control(s[1], "{'models':['b.safetensors']}");
    struct daemon *d = DAEMON(.sims = {s[0], s[1]});
    await_backends_up(d, 2);
    const char *a = q("{'workflow':" MODEL("a.safetensors") "}");
    AWAIT(is_eligible(d, a, 0) && !is_eligible(d, a, 1));
    char *busy = submit(d, sleep_body("busy", 60000, q(",'backends':{'only':['s0']}")));
    AWAIT(is_at_node(d, busy, "1"));
    json_t *j =
        run_job(d, q("{'variants':[{'workflow':" MODEL("a.safetensors") "},{'workflow':" MODEL(
                       "b.safetensors") ",'backends':{'only':['s1']}}]}"));
    CHECK(strcmp(backend_of(j), "s1") == 0 && num_at(j, "placement.variant") == 1);
    CHECK(strstr(get(d, "/jobs/%s/workflow", str_at(j, "id"))->body, "b.safetensors") != NULL);
    expect(post(d, "/jobs", q("{'variants':[]}")), 400, "member_invalid");
    expect(post(d, "/jobs", q("{'variants':[{'labels':['x']}]}")), 400, "member_invalid");
    expect(post(d, "/jobs", q("{'variants':[{'workflow':{}}]}")), 400, "workflow_invalid");
    (void)cancel(d, busy);
}
END_TEST

/* ---- learned routing ------------------------------------------------------------------------- */

enum { SERVERS = 6, JOBS = 90, WARM_UP = 36 };

/* A load of three models: loading one takes 100 ms, a run 20 ms, times what the server is slow. */
static double run_load(struct daemon *d, int n, int from)
{
    static const char *const models[] = {"a", "b", "c"};
    char *ids[JOBS];
    unsigned random = 7;
    const double began = now_s();
    for (int i = 0; i < n; i++) {
        random = random * 1103515245u + 12345u;
        ids[i] = submit(d, q("{'workflow':{'1':{'class_type':'CheckpointLoaderSimple','inputs':"
                             "{'ckpt_name':'%s.safetensors','_ms':100}},'2':{'class_type':"
                             "'KSampler','inputs':{'model':['1',0],'seed':%d,'_ms':20,'_steps':1}},"
                             "'3':{'class_type':'SaveImage','inputs':{'images':['2',0],'_ms':0}}}}",
                             models[(random >> 16) % 3], from + i));
    }
    for (int i = 0; i < n; i++) {
        CHECK(strcmp(str_at(await_end(d, ids[i]), "state"), "completed") == 0);
    }
    return now_s() - began;
}

START_TEST(test_learned)
{
    static const double slow[SERVERS] = {1, 1, 1.5, 2, 3, 4};
    double took[2];
    for (int learned = 0; learned < 2; learned++) {
        struct sim *s[SERVERS];
        for (int i = 0; i < SERVERS; i++) {
            s[i] = sim_plain();
            sim_control(s[i], text("{'slow':%g}", slow[i]));
        }
        struct daemon *d =
            DAEMON(.sims = {s[0], s[1], s[2], s[3], s[4], s[5]},
                   .state = path_of("state%d", learned), .no_profile = true,
                   .config = text("routing: {learned: %s}\n", learned ? "true" : "false"));
        await_backends_up(d, SERVERS);
        (void)run_load(d, WARM_UP, 1000);
        took[learned] = run_load(d, JOBS, 2000);
        daemon_stop(d);
    }
    (void)printf("learned routing: %.2f s, least-loaded: %.2f s\n", took[1], took[0]);
    CHECK(took[1] <= took[0] * 0.75, "learned %.2f s, least-loaded %.2f s", took[1], took[0]);
}
END_TEST

#define MODEL_AND(name, more) "{'workflow':" MODEL(name) more "}"

/* Inputs that nodes check themselves: by the configuration, by the job, and by what was taken. */
START_TEST(test_trusted_inputs)
{
    struct sim *s = sim_plain();
    sim_control(s, "{'models':['a.safetensors'],'lenient':true}");
    struct daemon *d =
        DAEMON(.sims = {s},
               .config = "routing: {trustedInputs: [Other.*, CheckpointLoaderSimple.ckpt_name]}\n");
    await_backends_up(d, 1);
    (void)backend_of(run_job(d, q(MODEL_AND("x.safetensors", ""))));
    daemon_stop(d);
    d = DAEMON(.sims = {s}, .config = "routing: {trustedInputs: ['CheckpointLoaderSimple.*']}\n");
    await_backends_up(d, 1);
    (void)backend_of(run_job(d, q(MODEL_AND("y.safetensors", ""))));
    daemon_stop(d);
    d = DAEMON(.sims = {s}, .may_fail = true,
               .config = "routing: {trustedInputs: [CheckpointLoaderSimple]}\n");
    CHECK(daemon_wait(d) == 2);
}
END_TEST

/* What was taken is remembered, but not texts that somebody made to fill the store. */
START_TEST(test_long_values)
{
    struct sim *s = sim_plain();
    sim_control(s, "{'models':['a.safetensors'],'lenient':true}");
    struct daemon *d = DAEMON(.sims = {s});
    await_backends_up(d, 1);
    AWAIT(!is_eligible(d, q(MODEL_AND("x.safetensors", "")), 0));
    char name[6000];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    (void)backend_of(run_job(d, q(MODEL_AND("%s.safetensors", ",'skipEligibility':true"), name)));
    CHECK(!is_eligible(d, q(MODEL_AND("x.safetensors", "")), 0));
    (void)backend_of(run_job(d, q(MODEL_AND("y.safetensors", ",'skipEligibility':true"))));
    AWAIT(is_eligible(d, q(MODEL_AND("x.safetensors", "")), 0));
}
END_TEST

START_TEST(test_skip_eligibility)
{
    struct sim *s = sim_plain();
    sim_control(s, "{'models':['a.safetensors']}");
    struct daemon *d = DAEMON(.sims = {s});
    await_backends_up(d, 1);
    AWAIT(!is_eligible(d, q(MODEL_AND("x.safetensors", "")), 0));
    CHECK(is_eligible(d, q(MODEL_AND("x.safetensors", ",'skipEligibility':true")), 0));
    expect(post(d, "/jobs", q(MODEL_AND("x.safetensors", ",'skipEligibility':1"))), 400,
           "member_invalid");
    /* The server has the last word. */
    json_t *j = run_job(d, q(MODEL_AND("x.safetensors", ",'skipEligibility':true")));
    CHECK(strcmp(str_at(j, "state"), "failed") == 0 &&
          strstr(str_at(j, "error.message"), "not in") != NULL);
    expect(post(d, "/jobs", q(MODEL_AND("x.safetensors", ""))), 422, "workflow_not_supported");
    /* It waits over a restart. */
    expect(post(d, "/queue/pause", ""), 200, NULL);
    sim_control(s, "{'lenient':true}");
    char *id = submit(d, q(MODEL_AND("y.safetensors", ",'skipEligibility':true")));
    daemon_kill(d);
    d = DAEMON(.sims = {s});
    await_backends_up(d, 1);
    expect(post(d, "/queue/resume", ""), 200, NULL);
    (void)backend_of(await_end(d, id));
}
END_TEST

START_TEST(test_taken_values)
{
    struct sim *s[2] = {sim_plain(), sim_plain()};
    for (int i = 0; i < 2; i++) {
        sim_control(s[i], "{'models':['a.safetensors'],'lenient':true}");
    }
    struct daemon *d = DAEMON(.sims = {s[0], s[1]});
    await_backends_up(d, 2);
    const char *any = q(MODEL_AND("x.safetensors", ""));
    AWAIT(!is_eligible(d, any, 0) && !is_eligible(d, any, 1));
    (void)run_job(
        d, q(MODEL_AND("y.safetensors", ",'skipEligibility':true,'backends':{'only':['s0']}")));
    CHECK(is_eligible(d, any, 0) && !is_eligible(d, any, 1), "what s0 took, s0 is believed");
    CHECK(strcmp(backend_of(run_job(d, any)), "s0") == 0);
    /* It is remembered, */
    daemon_kill(d);
    d = DAEMON(.sims = {s[0], s[1]});
    await_backends_up(d, 2);
    AWAIT(!is_eligible(d, any, 1));
    CHECK(is_eligible(d, any, 0));
    /* also when the list becomes another one, until it has the value: then it is a list. */
    sim_control(s[0], "{'models':['a.safetensors','b.safetensors']}");
    expect(post(d, "/backends/s0/refresh", ""), 202, NULL);
    AWAIT(is_eligible(d, q(MODEL_AND("b.safetensors", "")), 0));
    CHECK(is_eligible(d, any, 0));
    sim_control(s[0], "{'models':['a.safetensors','y.safetensors']}");
    expect(post(d, "/backends/s0/refresh", ""), 202, NULL);
    AWAIT(!is_eligible(d, any, 0));
    CHECK(is_eligible(d, q(MODEL_AND("y.safetensors", "")), 0));
}
END_TEST

/* Windows and Linux in one pool: a file in a folder has two spellings. */
START_TEST(test_spellings)
{
    struct sim *s[2] = {sim_plain(), sim_plain()};
    sim_control(s[0],
                "{'models':['XL\\\\a.safetensors','both/b.safetensors','both\\\\b.safetensors']}");
    sim_control(s[1], "{'models':['XL/a.safetensors','both/b.safetensors']}");
    struct daemon *d = DAEMON(.sims = {s[0], s[1]});
    await_backends_up(d, 2);
    static const char *const names[] = {"XL\\\\a.safetensors", "XL/a.safetensors",
                                        "both/b.safetensors", "both\\\\b.safetensors"};
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < 2; k++) {
            json_t *j =
                run_job(d, q("{'workflow':{'1':{'class_type':'CheckpointLoaderSimple','inputs':"
                             "{'ckpt_name':'%s','_ms':1}},'2':{'class_type':'SaveImage','inputs':"
                             "{'images':['1',0]}}},'backends':{'only':['s%d']}}",
                             names[i], k));
            CHECK(strcmp(str_at(j, "state"), "completed") == 0, "%s at s%d", names[i], k);
            CHECK(strstr(get(d, "/jobs/%s/workflow", str_at(j, "id"))->body, names[i]) != NULL,
                  "as it was submitted");
        }
    }
    expect(post(d, "/jobs", q(MODEL_AND("XL/c.safetensors", ""))), 422, "workflow_not_supported");
}
END_TEST

/* Not only models lie in folders. */
START_TEST(test_spellings_of_other_files)
{
    static const struct {
        const char *submitted;
        const char *posted;
    } rows[] = {{"dark/a.yaml", "dark\\a.yaml"},
                {"dark\\\\a.yaml", "dark\\a.yaml"},
                {"light\\\\b.yaml", "light/b.yaml"},
                {"light/b.yaml", "light/b.yaml"},
                {"light/c.yaml", "light/c.yaml"}};
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_backends_up(d, 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *j = run_job(d, q("{'workflow':{'1':{'class_type':'ImageFilter','inputs':"
                                 "{'style':'%s','text':'light/b.yaml','_ms':1}},"
                                 "'2':{'class_type':'SaveImage','inputs':{'images':['1',0]}}}}",
                                 rows[i].submitted));
        const char *id = str_at(j, "promptId");
        json_t *inputs = at(sim_get(s, text("/history/%s", id)), text("%s.prompt.2.1.inputs", id));
        CHECK(strcmp(str_at(inputs, "style"), rows[i].posted) == 0, "%s: %s", rows[i].submitted,
              str_at(inputs, "style"));
    }
}
END_TEST

Suite *routing_suite(void)
{
    static const struct named_test tests[] = {
        {"trusted inputs", &test_trusted_inputs, 1},
        {"skip eligibility", &test_skip_eligibility, 1},
        {"long values", &test_long_values, 1},
        {"taken values", &test_taken_values, 1},
        {"spellings", &test_spellings, 1},
        {"spellings of other files", &test_spellings_of_other_files, 1},
        {"models of a batch", &test_batch_models, 1},
        {"models and classes", &test_models_and_classes, 1},
        {"unknown counts as able", &test_unknown_counts_as_able, 1},
        {"the able one is down", &test_the_able_one_is_down, 1},
        {"who is down refuses nothing", &test_who_is_down_refuses_nothing, 2},
        {"who does not answer", &test_who_does_not_answer_refuses_nothing, 1},
        {"one is down", &test_one_is_down, 1},
        {"a batch is asked for each", &test_batch_is_asked_for_each, 1},
        {"where", &test_where, 1},
        {"read beside long runs", &test_read_beside_long_runs, 1},
        {"many lanes wait", &test_many_lanes_wait, 1},
        {"no backends", &test_no_backends, 1},
        {"dry run of what is filled in", &test_dry_run_of_what_is_filled_in, 1},
        {"dry run of values", &test_dry_run_of_values, 1},
        {"dry run of links", &test_dry_run_of_links, 1},
        {"rules", &test_rules, 1},
        {"variants", &test_variants, 1},
        {"variants are refused", &test_variants_are_refused, 2},
        {"learned", &test_learned, 1},
    };
    return SUITE("routing", 120, tests);
}

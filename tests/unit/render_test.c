/* Jobs, profiles and outputs as bytes. The JSON of profiles is also checked on every recording. */
#include <check.h>
#include <jansson.h>
#include <stdlib.h>

#include "comfypool/render/render.h"
#include "suites.h"

START_TEST(a_job_is_rendered)
{
    struct job_record r = {
        .id = "01a204ec-7f48-7332-8199-72b2aa99b538",
        .state = JOB_FAILED,
        .priority = -5,
        .queued_at = {1795378937672735},
        .started_at = {1795378937675000},
        .completed_at = {1795378937858315},
        .backend = (char[]){"one"},
        .prompt_id = "348640bb-767c-4e19-8105-bd47ad33cb05",
        .attempts = 2,
        .policy.max_attempts = 3,
        .workflow_hash = "00",
        .metadata = (char[]){"{\"big\": 18446744073709551615, \"r\": 1.0}"},
        .error =
            {
                .code = ERR_NODE_FAILED,
                .message = (char[]){"it \"broke\""},
                .node_id = (char[]){"8"},
                .node_type = (char[]){"VAEDecode"},
                .traceback = (char[]){"[\"a\"]"},
            },
    };
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    render_job_json(&r, NULL, &out);
    ck_assert_str_eq(
        buf_text(&out),
        "{\"id\":\"01a204ec-7f48-7332-8199-72b2aa99b538\",\"state\":\"failed\",\"priority\":-5,"
        "\"queuedAt\":1795378937672.735,\"startedAt\":1795378937675,"
        "\"completedAt\":1795378937858.315,\"backend\":\"one\","
        "\"promptId\":\"348640bb-767c-4e19-8105-bd47ad33cb05\",\"attempts\":2,\"maxAttempts\":3,"
        "\"workflowHash\":\"00\",\"metadata\":{\"big\": 18446744073709551615, \"r\": 1.0},"
        "\"error\":{\"code\":\"node_failed\",\"message\":\"it \\\"broke\\\"\",\"nodeId\":\"8\","
        "\"nodeType\":\"VAEDecode\"},"
        "\"links\":{\"self\":\"/jobs/01a204ec-7f48-7332-8199-72b2aa99b538\","
        "\"profile\":\"/jobs/01a204ec-7f48-7332-8199-72b2aa99b538/profile\","
        "\"attempts\":\"/jobs/01a204ec-7f48-7332-8199-72b2aa99b538/attempts\","
        "\"workflow\":\"/jobs/01a204ec-7f48-7332-8199-72b2aa99b538/workflow\","
        "\"outputs\":\"/jobs/01a204ec-7f48-7332-8199-72b2aa99b538/outputs\","
        "\"cancel\":\"/jobs/01a204ec-7f48-7332-8199-72b2aa99b538/cancel\"}}");
    buf_clear(&out);
    const struct render_job_more more = {.traceback = true,
                                         .has_progress = true,
                                         .nodes_done = 3,
                                         .node_id = "8",
                                         .has_value = true,
                                         .value = 7,
                                         .max = 20,
                                         .waiting_reason = "no_backend_up"};
    r.state = JOB_RUNNING;
    r.cancel_requested = true;
    r.nodes_total = 7;
    r.metadata = NULL;
    render_job_json(&r, &more, &out);
    const char *text = buf_text(&out);
    ck_assert_ptr_nonnull(strstr(text, "\"traceback\":[\"a\"]"));
    ck_assert_ptr_nonnull(strstr(text, "\"cancelRequested\":true"));
    ck_assert_ptr_nonnull(strstr(text, "\"metadata\":{}"));
    ck_assert_ptr_nonnull(strstr(
        text,
        "\"progress\":{\"nodesDone\":3,\"nodesTotal\":7,\"nodeId\":\"8\",\"value\":7,\"max\":20}"));
}
END_TEST

START_TEST(outputs_are_numbered)
{
    static const char outputs[] =
        "{\"9\":{\"images\":[{\"filename\":\"a.png\",\"subfolder\":\"s\",\"type\":\"output\"},"
        "{\"filename\":\"b.JPG\",\"type\":\"temp\"}],\"animated\":[true]},"
        "\"12\":{\"text\":[\"no file\"],\"gifs\":[{\"filename\":\"c.mp4\"}],\"x\":5}}";
    size_t n = 0;
    struct render_output *list = render_outputs_read(STR(outputs), &n);
    ck_assert_uint_eq(n, 4);
    ck_assert_str_eq(list[0].subfolder, "s");
    ck_assert_str_eq(list[1].type, "temp");
    ck_assert_str_eq(list[2].text, "no file");
    ck_assert_int_eq(list[2].size, 7);
    ck_assert_str_eq(list[3].node_id, "12");
    ck_assert_str_eq(list[3].type, "output");
    ck_assert_ptr_null(list[3].text);
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    render_outputs_json("ID", list, n, &out);
    json_auto_t *parsed = json_loads(buf_text(&out), JSON_REJECT_DUPLICATES, NULL);
    const json_t *last = json_array_get(json_object_get(parsed, "outputs"), 3);
    ck_assert_str_eq(json_string_value(json_object_get(last, "kind")), "video");
    ck_assert_str_eq(json_string_value(json_object_get(last, "kept")), "no");
    ck_assert_ptr_null(json_object_get(last, "size"));
    ck_assert_str_eq(json_string_value(json_object_get(last, "url")), "/jobs/ID/outputs/3");
    render_outputs_free(list, n);
    static const char *const odd[] = {"", "{}", "[]", "{\"1\":5}", "{\"1\":{\"a\":[{\"filename\":"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        list = render_outputs_read(str_of(odd[i]), &n);
        ck_assert_uint_eq(n, 0);
        render_outputs_free(list, n);
    }
}
END_TEST

/* What nodes give, and the files in it: "name|subfolder|type|kind" each, texts as "=text". */
static const struct {
    const char *ui;
    const char *want;
} named[] = {
    {"{'images':[{'filename':'video/a.mp4','subfolder':''}]}", "a.mp4|video|output|video"},
    {"{'images':[{'filename':'deep/er/a.png','subfolder':'sub','type':'temp'}]}",
     "a.png|sub/deep/er|temp|image"},
    {"{'images':[{'filename':'./a.png','subfolder':'s/'}]}", "a.png|s/|output|image"},
    {"{'a':[{'filename':'/o/v/a.webm','subfolder':'x'}]}", "a.webm|/o/v|output|video"},
    {"{'a':[{'filename':'C:\\\\o\\\\a.EXR','subfolder':'x'}]}", "a.EXR|C:\\o|output|image"},
    {"{'a':[{'filename':'a.psd [temp]'}]}", "a.psd||temp|image"},
    {"{'a':[{'filename':'d/'}]}", "d/||output|file"},
    {"{'result':['3d/a.glb',null,{'x':[1]}]}", "a.glb|3d|output|3d"},
    {"{'result':['3','d','/','a','.','g','l','b']}", "a.glb|3d|output|3d"},
    {"{'x':{'y':{'path':'v/a.mkv'}},'z':'b.m4a'}", "a.mkv|v|output|video b.m4a||output|audio"},
    {"{'x':['a.png [output]','b.png [input]','c.png [temp]']}",
     "a.png||output|image c.png||temp|image"},
    {"{'x':['https://example.org/a.png','.png','model.safetensors','a.png\\nb.png']}", ""},
    {"{'gifs':[{'filename':'a.mp4','fullpath':'/o/a.mp4'}],'p':['/o/a.mp4','a.mp4','v/a.mp4']}",
     "a.mp4||output|video a.mp4|v|output|video"},
    {"{'a':[{'of':{'filename':'c.png'},'mask':'d.png','filename':'a.png','e':'f.png'}]}",
     "a.png||output|image"},
    {"{'a':[{'filename':'b.png'},{'of':[{'filename':'b.png','subfolder':'s'},"
     "{'filename':'b.png','subfolder':'t'}],'filename':'a.png'},{'filename':'b.png'},"
     "{'filename':'b.png','subfolder':'t'}]}",
     "b.png||output|image a.png||output|image b.png|t|output|image"},
    {"{'a':[{'filename':'b.png','subfolder':'x'}],'c':[{'filename':'x/b.png'}]}",
     "b.png|x|output|image"},
    {"{'text':['so cat.png it is','dog.mp4','v/dog.mp4']}",
     "=so cat.png it is =dog.mp4 =v/dog.mp4 dog.mp4|v|output|video"},
    {"{'text':['G','r','\\u00fc','\xc3\x9f','e']}", "=Gr\xc3\xbc\xc3\x9f"
                                                    "e"},
    {"{'text':['a']}", "=a"},
    {"{'text':'whole'}", "=whole"},
    {"{'text':['ab','c']}", "=ab =c"},
    {"{'x':[[[[[[[[['a.png']]]]]]]]]}", ""},
};

START_TEST(files_are_found_by_name)
{
    AUTO_BUF struct buf json;
    AUTO_BUF struct buf got;
    buf_init(&json, BUF_NO_LIMIT);
    buf_init(&got, BUF_NO_LIMIT);
    buf_printf(&json, "{'7':%s}", named[_i].ui);
    for (size_t i = 0; i < json.len; i++) {
        json.data[i] = json.data[i] == '\'' ? '"' : json.data[i];
    }
    size_t n = 0;
    struct render_output *list = render_outputs_read(buf_str(&json), &n);
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    render_outputs_json("ID", list, n, &out);
    json_auto_t *parsed = json_loads(buf_text(&out), 0, NULL);
    for (size_t i = 0; i < n; i++) {
        const json_t *o = json_array_get(json_object_get(parsed, "outputs"), i);
        buf_add_text(&got, i == 0 ? "" : " ");
        if (list[i].text != NULL) {
            buf_printf(&got, "=%s", list[i].text);
        } else {
            buf_printf(&got, "%s|%s|%s|%s", list[i].filename, list[i].subfolder, list[i].type,
                       json_string_value(json_object_get(o, "kind")));
        }
    }
    ck_assert_str_eq(buf_text(&got), named[_i].want);
    render_outputs_free(list, n);
}
END_TEST

static const struct {
    const char *json;
    const char *want;
} briefs[] = {
    {"{\"nodes\":[{\"nodeId\":\"3\",\"order\":1,\"progressEvents\":[{\"value\":1},{\"value\":2}],"
     "\"steps\":{}},{\"nodeId\":\"4\",\"progressEvents\":[]}],\"x\":1}",
     "{\"nodes\":[{\"nodeId\":\"3\",\"order\":1,\"steps\":{}},{\"nodeId\":\"4\"}],\"x\":1}"},
    {"{\"nodes\":[{\"nodeId\":\"progressEvents\",\"title\":\",\\\"progressEvents\\\":[1]\"}]}",
     "{\"nodes\":[{\"nodeId\":\"progressEvents\",\"title\":\",\\\"progressEvents\\\":[1]\"}]}"},
    {"{}", "{}"},
};

START_TEST(a_brief_profile_has_no_progress_events)
{
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    render_profile_brief(str_of(briefs[_i].json), &out);
    ck_assert_str_eq(buf_text(&out), briefs[_i].want);
}
END_TEST

START_TEST(files_of_a_node_are_listed)
{
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    struct js_out o = js_out_to(&out);
    js_open(&o, '{');
    render_output_files(
        STR("{\"images\":[{\"filename\":\"a.png\",\"type\":\"temp\"}],\"text\":[\"long\"]}"), &o);
    js_close(&o, '}');
    ck_assert_str_eq(
        buf_text(&out),
        "{\"files\":[{\"name\":\"a.png\",\"subfolder\":\"\",\"type\":\"temp\",\"kind\":"
        "\"image\",\"mediaType\":\"image/png\"}]}");
}
END_TEST

/* n items in the list of a node: each is its number between two pieces of text. */
static void make_list(struct buf *to, const char *const crowd[3], size_t n)
{
    buf_add_text(to, crowd[0]);
    for (size_t i = 0; i < n; i++) {
        buf_printf(to, "%s%s%zu%s", i == 0 ? "" : ",", crowd[1], i, crowd[2]);
    }
    buf_add_text(to, "]}");
}

START_TEST(a_crowd_of_outputs_is_not_listed_whole)
{
    static const char *const crowds[][3] = {
        {"{\"images\":[", "{\"filename\":\"", ".png\"}"},
        {"{\"result\":[", "\"", ".glb\""},
        {"{\"text\":[", "\"text ", "\""},
    };
    for (size_t more = 0; more < 2; more++) {
        AUTO_BUF struct buf ui;
        AUTO_BUF struct buf all;
        AUTO_BUF struct buf out;
        buf_init(&ui, BUF_NO_LIMIT);
        buf_init(&all, BUF_NO_LIMIT);
        buf_init(&out, BUF_NO_LIMIT);
        make_list(&ui, crowds[_i], RENDER_OUTPUTS_MOST + more);
        struct js_out o = js_out_to(&out);
        js_open(&o, '{');
        ck_assert_uint_eq(render_output_files(buf_str(&ui), &o), RENDER_OUTPUTS_MOST + more);
        js_close(&o, '}');
        buf_printf(&all, "{\"1\":%s,\"2\":{\"x\":[\"a.png\"]}}", buf_text(&ui));
        size_t n = 0;
        struct render_output *list = render_outputs_read(buf_str(&all), &n);
        ck_assert_uint_eq(n, RENDER_OUTPUTS_MOST);
        render_outputs_free(list, n);
    }
}
END_TEST

START_TEST(a_table_is_made_of_json)
{
    static const char profile[] =
        "{\"jobId\":\"j\",\"promptId\":\"p\",\"backend\":\"one\",\"attempt\":1,\"outcome\":"
        "\"failed\","
        "\"startedAt\":1000,\"totalDuration\":120.5,\"queueTime\":20.5,\"executionTime\":100,"
        "\"phases\":{\"waiting\":20,\"dispatch\":0.5,\"backendQueue\":0,\"planning\":1,"
        "\"executing\":99},\"nodes\":[{\"nodeId\":\"3\",\"type\":\"KSampler\",\"status\":"
        "\"completed\","
        "\"cached\":false,\"startedAt\":1001,\"duration\":50,\"order\":0,\"progressEvents\":"
        "[{\"timestamp\":1,\"value\":20,\"max\":20}],\"dependsOn\":[],\"slices\":[{},{}]},"
        "{\"nodeId\":\"a very long node id that does not fit anywhere\",\"status\":\"failed\","
        "\"error\":\"no\\nmore\",\"dependsOn\":[]}],\"summary\":{\"totalNodes\":2,"
        "\"executedNodes\":1,"
        "\"cachedNodes\":0,\"failedNodes\":1,\"pendingNodes\":0,\"slowestNodes\":[{\"nodeId\":"
        "\"3\","
        "\"type\":\"KSampler\",\"duration\":50}],\"unaccounted\":49},\"evidence\":{\"source\":"
        "\"mixed\",\"complete\":false,\"gaps\":[{}]}}";
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    ck_assert(render_profile(FORMAT_TEXT, STR(profile), &out));
    static const char *const lines[] = {
        "Prompt    p\n",
        "Total          120.500 ms\n",
        "1 of 2 nodes executed, 0 cached, 1 failed, 0 pending; 49.000 ms unaccounted",
        "1 events, last 20/20",
        "  0  3                             KSampler         completed         1.000      50.000\n",
        "a very long node id that d..",
        "\n       no?more\n",
        "Something was missed: 1 gap(s). Source: mixed.",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        ck_assert_msg(strstr(buf_text(&out), lines[i]) != NULL, "no \"%s\" in\n%s", lines[i],
                      buf_text(&out));
    }
    ck_assert(!render_profile(FORMAT_TEXT, STR("{}"), &out));
    ck_assert(!render_profile(FORMAT_TEXT, STR(""), &out));
}
END_TEST

/* Titles of any script leave the columns behind them where they are. */
START_TEST(wide_titles_bend_no_table)
{
    static const struct {
        const char *title;
        int cells;
    } titles[] = {{"plain", 5},        {"\u26a1 fast", 7}, {"\U0001f7e2 go", 5},
                  {"\u6f22\u5b57", 4}, {"cafe\u0301", 4},  {"\u26a1\U0001f7e2\u6f22", 6},
                  {"\uff21\uff71", 3}, {"\u200bx", 1}};
    AUTO_BUF struct buf json;
    AUTO_BUF struct buf out;
    buf_init(&json, BUF_NO_LIMIT);
    buf_init(&out, BUF_NO_LIMIT);
    buf_add_text(&json, "{\"jobId\":\"j\",\"attempt\":1,\"outcome\":\"completed\",\"nodes\":[");
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++) {
        buf_printf(
            &json,
            "%s{\"nodeId\":\"%zu\",\"type\":\"T\",\"title\":\"%s\",\"status\":\"completed\"}",
            i == 0 ? "" : ",", i, titles[i].title);
    }
    buf_add_text(&json, "]}");
    ck_assert(render_profile(FORMAT_TEXT, buf_str(&json), &out));
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++) {
        char want[64];
        /* The widest has 7 cells; two blanks lie between columns. */
        (void)snprintf(want, sizeof want, "%s%*scompleted", titles[i].title, 9 - titles[i].cells,
                       "");
        ck_assert_msg(strstr(buf_text(&out), want) != NULL, "no \"%s\" in\n%s", want,
                      buf_text(&out));
    }
}
END_TEST

Suite *render_suite(void)
{
    Suite *s = suite_create("render");
    TCase *c = tcase_create("render");
    tcase_add_test(c, a_job_is_rendered);
    tcase_add_test(c, outputs_are_numbered);
    tcase_add_test(c, wide_titles_bend_no_table);
    tcase_add_loop_test(c, files_are_found_by_name, 0, sizeof named / sizeof *named);
    tcase_add_loop_test(c, a_brief_profile_has_no_progress_events, 0,
                        sizeof briefs / sizeof *briefs);
    tcase_add_test(c, files_of_a_node_are_listed);
    tcase_add_loop_test(c, a_crowd_of_outputs_is_not_listed_whole, 0, 3);
    tcase_add_test(c, a_table_is_made_of_json);
    suite_add_tcase(s, c);
    return s;
}

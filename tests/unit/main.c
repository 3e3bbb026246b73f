/* Runs the unit tests: all suites, or those whose name holds a word that is given. */
#include "../runner.h"
#include "suites.h"

static const struct named_suite suites[] = {
    {"base", base_suite},
    {"net rules", net_rules_suite},
    {"json", json_suite},
    {"core", core_suite},
    {"blame", blame_suite},
    {"queue", queue_suite},
    {"labels", label_suite},
    {"catalog", catalog_suite},
    {"blobs", blobs_suite},
    {"multipart", multipart_suite},
    {"job model", job_model_suite},
    {"attempt model", attempt_model_suite},
    {"workflow", workflow_suite},
    {"clock", clock_suite},
    {"late", late_suite},
    {"nodes", nodes_suite},
    {"profiler", profiler_suite},
    {"analysis", analysis_suite},
    {"measures", measures_suite},
    {"compare", compare_suite},
    {"compare render", compare_render_suite},
    {"trace", trace_suite},
    {"comfy", comfy_suite},
    {"render", render_suite},
    {"formats", formats_suite},
    {"roll-up rules", rollup_suite},
    {"store", store_suite},
    {"store keep", store_keep_suite},
    {"store format", store_format_suite},
    {"store roll-ups", store_rollups_suite},
    {"store lists", store_lists_suite},
    {"store finds", store_finds_suite},
    {"webhooks", webhooks_suite},
    {"copies", copies_suite},
    {"otlp", otlp_suite},
    {"http", http_suite},
    {"config", config_suite},
    {"deadlines", deadlines_suite},
    {"process", process_suite},
    {"host", host_suite},
    {"gpus", gpus_suite},
    {"openapi", openapi_suite},
    {"apart", apart_suite},
    {"linear", linear_suite},
    {"fuzz", fuzz_suite},
};

enum { JOBS = 2 };

int main(int argc, char **argv)
{
    return run_suites(suites, sizeof suites / sizeof *suites, JOBS, argc - 1, argv + 1);
}

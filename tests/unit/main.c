/* Runs the unit tests: all suites, or those whose name holds the first argument. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suites.h"

static const struct {
    const char *name;
    Suite *(*make)(void);
} suites[] = {
    {"base", base_suite},
    {"net rules", net_rules_suite},
    {"json", json_suite},
    {"core", core_suite},
    {"job model", job_model_suite},
    {"workflow", workflow_suite},
    {"profiler", profiler_suite},
    {"analysis", analysis_suite},
    {"measures", measures_suite},
    {"compare", compare_suite},
    {"compare render", compare_render_suite},
    {"trace", trace_suite},
    {"comfy", comfy_suite},
    {"render", render_suite},
    {"formats", formats_suite},
    {"store", store_suite},
    {"store keep", store_keep_suite},
    {"store format", store_format_suite},
    {"store roll-ups", store_rollups_suite},
    {"store lists", store_lists_suite},
    {"http", http_suite},
    {"config", config_suite},
    {"process", process_suite},
    {"host", host_suite},
    {"gpus", gpus_suite},
    {"openapi", openapi_suite},
    {"fuzz", fuzz_suite},
};

int main(int argc, char **argv)
{
    const char *wanted = argc > 1 ? argv[1] : "";
    SRunner *runner = srunner_create(NULL);
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        if (strstr(suites[i].name, wanted) != NULL) {
            srunner_add_suite(runner, suites[i].make());
        }
    }
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

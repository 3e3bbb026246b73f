/* The suites of the unit tests, one a file. */
#ifndef COMFYPOOL_TESTS_UNIT_SUITES_H
#define COMFYPOOL_TESTS_UNIT_SUITES_H

#include <check.h>

Suite *base_suite(void);
Suite *apart_suite(void);
Suite *linear_suite(void);
Suite *json_suite(void);
Suite *core_suite(void);
Suite *label_suite(void);
Suite *catalog_suite(void);
Suite *blobs_suite(void);
Suite *multipart_suite(void);
Suite *queue_suite(void);
Suite *job_model_suite(void);
Suite *attempt_model_suite(void);
Suite *workflow_suite(void);
Suite *clock_suite(void);
Suite *late_suite(void);
Suite *nodes_suite(void);
Suite *profiler_suite(void);
Suite *analysis_suite(void);
Suite *measures_suite(void);
Suite *compare_suite(void);
Suite *compare_render_suite(void);
Suite *trace_suite(void);
Suite *comfy_suite(void);
Suite *render_suite(void);
Suite *formats_suite(void);
Suite *rollup_suite(void);
Suite *store_suite(void);
Suite *store_keep_suite(void);
Suite *store_format_suite(void);
Suite *blame_suite(void);
Suite *store_rollups_suite(void);
Suite *store_lists_suite(void);
Suite *store_finds_suite(void);
Suite *webhooks_suite(void);
Suite *copies_suite(void);
Suite *otlp_suite(void);
Suite *http_suite(void);
Suite *config_suite(void);
Suite *openapi_suite(void);
Suite *fuzz_suite(void);
Suite *net_rules_suite(void);
Suite *deadlines_suite(void);
Suite *process_suite(void);
Suite *host_suite(void);
Suite *gpus_suite(void);

#endif

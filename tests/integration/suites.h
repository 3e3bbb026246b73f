/* The suites of the integration tests; each is a file. */
#ifndef COMFYPOOL_TESTS_SUITES_H
#define COMFYPOOL_TESTS_SUITES_H

#include <check.h>

Suite *routes_suite(void);
Suite *outputs_suite(void);
Suite *ends_suite(void);
Suite *cancel_suite(void);
Suite *profiles_suite(void);
Suite *dispatch_suite(void);
Suite *restart_suite(void);
Suite *links_suite(void);
Suite *disk_suite(void);
Suite *hostile_suite(void);
Suite *twins_suite(void);
Suite *daemon_suite(void);
Suite *schema_suite(void);
Suite *retry_suite(void);
Suite *timeouts_suite(void);
Suite *operate_suite(void);
Suite *webhooks_suite(void);
Suite *hooks_suite(void);
Suite *push_suite(void);
Suite *resources_suite(void);
Suite *events_suite(void);
Suite *live_suite(void);
Suite *exports_suite(void);
Suite *numbers_suite(void);
Suite *queue_suite(void);
Suite *inputs_suite(void);
Suite *routing_suite(void);
Suite *others_suite(void);
Suite *sick_suite(void);
Suite *found_suite(void);
Suite *gateways_suite(void);
Suite *times_suite(void);
Suite *tls_suite(void);
Suite *walls_suite(void);
Suite *bodies_suite(void);
Suite *keys_suite(void);

#endif

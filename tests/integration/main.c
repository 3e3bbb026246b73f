/* Runs the integration tests: all suites, or those whose name holds a word that is given. */
#include "../runner.h"
#include "suites.h"

/* The longest first. */
static const struct named_suite suites[] = {
    {"events", events_suite},     {"numbers", numbers_suite},   {"queue", queue_suite},
    {"routing", routing_suite},   {"inputs", inputs_suite},     {"exports", exports_suite},
    {"timeouts", timeouts_suite}, {"webhooks", webhooks_suite}, {"resources", resources_suite},
    {"live", live_suite},         {"push", push_suite},         {"retry", retry_suite},
    {"operate", operate_suite},   {"links", links_suite},       {"tls", tls_suite},
    {"restart", restart_suite},   {"cancel", cancel_suite},     {"dispatch", dispatch_suite},
    {"ends", ends_suite},         {"daemon", daemon_suite},     {"profiles", profiles_suite},
    {"routes", routes_suite},     {"outputs", outputs_suite},   {"disk", disk_suite},
    {"schema", schema_suite},     {"hooks", hooks_suite},       {"others", others_suite},
    {"sick", sick_suite},         {"found", found_suite},       {"gateways", gateways_suite},
    {"times", times_suite},       {"walls", walls_suite},       {"keys", keys_suite},
    {"bodies", bodies_suite},     {"hostile", hostile_suite},   {"twins", twins_suite},
};

/* Tests mostly wait. */
enum { JOBS = 3 };

int main(int argc, char **argv)
{
    return run_suites(suites, sizeof suites / sizeof *suites, JOBS, argc - 1, argv + 1);
}

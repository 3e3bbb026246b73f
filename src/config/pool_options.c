/* The pool's options from the configuration, subject by subject. */
#include "comfypool/config/settings.h"

#include "inner.h"

static struct dur_us dur_days(int64_t days)
{
    return dur_ms(days * 24 * 3600 * 1000);
}

/* ---- lists ----------------------------------------------------------------------------------- */

size_t config_list_backends(const struct config *c, struct pool_backend_options *ret)
{
    size_t n = 0;
    for (unsigned i = 0; i < c->backends_len; i++) {
        const struct config_backend *b = &c->backends[i];
        if (b->enabled) {
            ret[n++] = (struct pool_backend_options){
                .name = b->name,
                .url = b->url,
                .weight = (double)b->weight,
                .max_in_flight = (unsigned)b->max_in_flight,
                .labels = (const char *const *)b->labels.items,
                .labels_len = b->labels.len,
                .headers = (const char *const *)b->headers,
                .gpu = b->gpu,
                .ca_file = b->ca_file,
                .refused_lost = dur_ms(b->refused_lost_ms),
            };
        }
    }
    return n;
}

static void list_rules(const struct config *c, struct pool_rule *ret)
{
    for (unsigned i = 0; i < c->routing_rules_len; i++) {
        const struct config_rule *r = &c->routing_rules[i];
        ret[i] = (struct pool_rule){
            .workflow_hash = r->workflow_hash,
            .metadata = r->metadata,
            .label = r->label,
            .backends = (const char *const *)r->backends.items,
            .backends_len = r->backends.len,
            .hard = r->hard,
        };
    }
}

/* ---- subjects -------------------------------------------------------------------------------- */

static void fill_links(const struct config *c, struct pool_options *o)
{
    o->timeouts = (struct comfy_timeouts){
        .ping_interval = dur_ms(c->link.ping_interval_ms),
        .pong_timeout = dur_ms(c->link.pong_timeout_ms),
        .connect = dur_ms(c->link.connect_timeout_ms),
        .request = dur_ms(c->link.request_timeout_ms),
        .submit = dur_ms(c->link.submit_timeout_ms),
    };
    o->submit_settle = dur_ms(c->link.submit_settle_ms);
    o->quiet_poll = dur_ms(c->link.quiet_poll_ms);
    o->backend_lost = dur_ms(c->link.backend_lost_ms);
    o->refused_lost = dur_ms(c->link.refused_lost_ms);
    o->ca_file = c->link.ca_file;
}

static void fill_jobs(const struct config *c, struct pool_options *o)
{
    o->policy = c->jobs;
    o->cancel_grace = dur_ms(c->jobs_cancel_grace_ms);
    o->queue_limit = (size_t)c->queue_limit;
    o->max_per_client = (size_t)c->jobs_max_per_client;
    o->max_running_per_client = (size_t)c->jobs_max_running_per_client;
    o->keep_for = dur_days(c->retention_days);
    o->keep_count = c->retention_count;
}

static void fill_files(const struct settings *s, struct pool_options *o)
{
    const struct config *c = &s->config;
    o->uploads = (struct uploads_options){
        .file_bytes = (uint64_t)c->uploads_max_file_bytes,
        .bytes = (uint64_t)c->uploads_max_bytes,
        .age = dur_days(c->uploads_max_age_days),
        .hides_names = !c->auth_shared && s->tokens.len > 0,
    };
    o->upload_subfolder = c->uploads_subfolder;
    o->keep_outputs = c->outputs_keep == CONFIG_KEEP_COPY;
    o->copies = (struct copies_options){
        .bytes = (uint64_t)c->outputs_max_bytes,
        .age = dur_days(c->outputs_max_age_days),
    };
    o->check_modified = c->outputs_check_modified;
    o->stream_classes = (const char *const *)c->outputs_stream_classes.items;
    o->stream_classes_len = c->outputs_stream_classes.len;
}

static void fill_routing(const struct settings *s, struct pool_options *o)
{
    const struct config *c = &s->config;
    o->learned = c->routing_learned;
    o->rules = s->rules;
    o->rules_len = c->routing_rules_len;
    o->trusted_inputs = (const char *const *)c->routing_trusted_inputs.items;
    o->trusted_inputs_len = c->routing_trusted_inputs.len;
}

static void fill_health(const struct config *c, struct pool_options *o)
{
    o->breaker_failures = (unsigned)c->breaker_failures;
    o->breaker_open = dur_ms(c->breaker_open_ms);
    o->quarantine_failures = (unsigned)c->quarantine_failures;
    o->dead_worker = dur_ms(c->quarantine_dead_worker_ms);
}

static void fill_profiling(const struct config *c, struct pool_options *o)
{
    o->profiling = c->profiling_enabled;
    o->max_progress_events = (unsigned)c->profiling_max_progress_events;
    o->sampling = (struct sampling_options){
        .crystools = c->sampling_crystools,
        .system_stats = c->sampling_system_stats,
        .interval = dur_ms(c->sampling_system_stats_interval_ms),
        .local = c->sampling_local,
        .nvml = c->sampling_nvml,
    };
}

static void fill_webhooks(const struct settings *s, const char *version, struct pool_options *o)
{
    const struct config *c = &s->config;
    o->webhooks = (struct webhooks_options){
        .urls = (const char *const *)c->webhooks_urls.items,
        .urls_len = c->webhooks_urls.len,
        .secret = s->receivers.secret,
        .rules = s->receivers.rules,
        .concurrency = (unsigned)c->webhooks_max_concurrent,
        .version = version,
    };
}

static void fill_hooks(const struct config *c, struct pool_options *o)
{
    o->hooks = (struct hooks_options){
        .exec = c->hooks_exec,
        .events = c->hooks_events,
        .timeout = dur_ms(c->hooks_timeout_ms),
        .concurrency = (unsigned)c->hooks_max_concurrent,
    };
}

static void fill_otlp(const struct settings *s, const char *version, struct pool_options *o)
{
    o->otlp = (struct otlp_options){
        .url = s->receivers.otlp_url,
        .headers = (const char *const *)s->receivers.otlp_headers,
        .version = version,
    };
}

void settings_fill_pool(struct settings *s, const char *version, struct pool_options *ret)
{
    const struct config *c = &s->config;
    s->backends = mem_zero(c->backends_len + 1, sizeof *s->backends);
    s->rules = mem_zero(c->routing_rules_len + 1, sizeof *s->rules);
    list_rules(c, s->rules);
    *ret = (struct pool_options){.backends = s->backends};
    ret->backends_len = config_list_backends(c, s->backends);
    fill_links(c, ret);
    fill_jobs(c, ret);
    fill_files(s, ret);
    fill_routing(s, ret);
    fill_health(c, ret);
    fill_profiling(c, ret);
    fill_webhooks(s, version, ret);
    fill_hooks(c, ret);
    fill_otlp(s, version, ret);
}

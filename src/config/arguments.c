/*
 * The command line. Arguments are walked twice: first for those that decide how the rest is read,
 * then, after file and environment, for the flags that override their values.
 */
#include "comfypool/config/arguments.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/config/tokens.h"

enum option_id {
    OPT_BACKEND = 'b',
    OPT_LISTEN = 'l',
    OPT_STATE = 's',
    OPT_CONFIG = 'c',
    OPT_PROFILE = 'p',
    OPT_HELP = 'h',
    OPT_VERSION = 'V',
    OPT_CHECK = 256,
    OPT_LOG_LEVEL,
    OPT_PRINT_KEYS,
    OPT_NEW_TOKEN,
    OPT_INSECURE,
    OPT_NEW_STORE,
};

static const struct {
    const char *name;
    const char *argument; /* NULL: none */
    int id;
    const char *help;
} options[] = {
    {"backend", "URL", OPT_BACKEND,
     "a ComfyUI server, http://HOST:PORT; name=URL names it; may be repeated"},
    {"listen", "ADDR:PORT", OPT_LISTEN,
     "where clients connect (127.0.0.1:8189), or unix:/path; port 0 picks one; may be repeated"},
    {"state", "DIR", OPT_STATE,
     "where jobs are kept ($STATE_DIRECTORY, else $XDG_STATE_HOME/comfypoold)"},
    {"config", "FILE", OPT_CONFIG, "read this YAML file first"},
    {"check-config", NULL, OPT_CHECK, "say what is wrong with the configuration, and exit"},
    {"profile", NULL, OPT_PROFILE, "profile every job unless the job says otherwise"},
    {"log-level", "LEVEL", OPT_LOG_LEVEL, "error, warning, info (the default) or debug"},
    {"new-token", "NAME:ROLE", OPT_NEW_TOKEN,
     "print a new token and its line for auth.tokensFile, and exit; roles: read, submit, operate"},
    {"insecure-no-auth", NULL, OPT_INSECURE,
     "let whoever can connect do everything, from other machines too"},
    {"new-store", NULL, OPT_NEW_STORE,
     "make a new, empty store where the database of one is missing or empty"},
    {"print-config-keys", NULL, OPT_PRINT_KEYS, "list every key of the configuration, and exit"},
    {"version", NULL, OPT_VERSION, "print the version, and exit"},
    {"help", NULL, OPT_HELP, "print this, and exit (-h, too)"},
};

enum { OPTIONS = sizeof options / sizeof *options };

/* What people try first. */
static const char shorts[] = "hV";

static void print_help(void)
{
    puts("comfypoold: one HTTP API in front of many ComfyUI servers.\n"
         "It queues workflows durably, runs each on a free server and profiles it node by node.\n\n"
         "usage: comfypoold --backend http://127.0.0.1:8188 [options]\n");
    for (size_t i = 0; i < OPTIONS; i++) {
        char left[48];
        (void)snprintf(left, sizeof left, "--%s%s%s", options[i].name,
                       options[i].argument == NULL ? "" : " ",
                       options[i].argument == NULL ? "" : options[i].argument);
        printf("  %-22s %s\n", left, options[i].help);
    }
    puts("\nThen: curl -d @workflow.json 'http://127.0.0.1:8189/jobs?wait=60'");
}

static bool complain(const struct buf *errors)
{
    (void)fwrite(errors->data, 1, errors->len, stderr);
    return false;
}

/* ---- the first walk -------------------------------------------------------------------------- */

/* Handles options that print something and end the program. False: none. */
static bool print(int option, const char *version)
{
    if (option == OPT_HELP) {
        print_help();
    } else if (option == OPT_VERSION) {
        printf("comfypoold %s\n", version);
    } else if (option == OPT_PRINT_KEYS) {
        config_print_keys(stdout);
    } else {
        return false;
    }
    return true;
}

static void note(int option, struct arguments *a)
{
    if (option == OPT_CONFIG) {
        a->config_file = optarg;
    } else if (option == OPT_CHECK) {
        a->check_only = true;
    } else if (option == OPT_NEW_TOKEN) {
        a->new_token = optarg;
    } else if (option == OPT_INSECURE) {
        a->insecure = true;
    } else if (option == OPT_NEW_STORE) {
        a->new_store = true;
    }
}

static bool read_first(int argc, char **argv, const struct option *longs, const char *version,
                       struct arguments *a)
{
    for (int o = getopt_long(argc, argv, shorts, longs, NULL); o != -1;
         o = getopt_long(argc, argv, shorts, longs, NULL)) {
        if (o == '?') {
            fputs("see comfypoold --help\n", stderr);
            return false;
        }
        a->done = print(o, version) || a->done;
        note(o, a);
    }
    if (optind < argc) {
        fprintf(stderr, "%s: no such argument; see comfypoold --help\n", argv[optind]);
        return false;
    }
    return true;
}

/* ---- the second walk ------------------------------------------------------------------------- */

static bool read_flags(int argc, char **argv, const struct option *longs, struct config *c,
                       struct buf *errors)
{
    bool good = true;
    optind = 1;
    for (int o = getopt_long(argc, argv, shorts, longs, NULL); o != -1;
         o = getopt_long(argc, argv, shorts, longs, NULL)) {
        if (o == OPT_BACKEND) {
            good = config_add_backend(c, optarg, errors) && good;
        } else if (o == OPT_LISTEN) {
            good = config_set_listen(c, optarg, errors) && good;
        } else if (o == OPT_STATE) {
            good = config_set(c, "state", optarg, "--state", errors) && good;
        } else if (o == OPT_PROFILE) {
            good = config_set(c, "profiling.enabled", "true", "--profile", errors) && good;
        } else if (o == OPT_LOG_LEVEL) {
            good = config_set(c, "log.level", optarg, "--log-level", errors) && good;
        }
    }
    return good;
}

static bool print_token(struct arguments *a)
{
    char why[256];
    a->done = true;
    if (!tokens_make(a->new_token, stdout, why, sizeof why)) {
        fprintf(stderr, "--new-token: %s\n", why);
        return false;
    }
    return true;
}

static bool read_sources(int argc, char **argv, const struct option *longs, struct config *c,
                         const struct arguments *a)
{
    AUTO_BUF struct buf errors;
    buf_init(&errors, BUF_NO_LIMIT);
    bool good = a->config_file == NULL || config_load_file(c, a->config_file, &errors);
    good = config_load_env(c, a->check_only, &errors) && good;
    good = read_flags(argc, argv, longs, c, &errors) && good;
    good = good && config_validate(c, &errors);
    return good || complain(&errors);
}

bool arguments_read(int argc, char **argv, const char *version, struct config *c,
                    struct arguments *ret)
{
    struct option longs[OPTIONS + 1] = {{0}};
    for (size_t i = 0; i < OPTIONS; i++) {
        longs[i] = (struct option){options[i].name,
                                   options[i].argument == NULL ? no_argument : required_argument,
                                   NULL, options[i].id};
    }
    *ret = (struct arguments){.config_file = getenv("COMFYPOOLD_CONFIG")};
    if (!read_first(argc, argv, longs, version, ret)) {
        return false;
    }
    if (ret->new_token != NULL && !ret->done) {
        return print_token(ret);
    }
    return ret->done || read_sources(argc, argv, longs, c, ret);
}

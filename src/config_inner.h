/*
 * What the files of the configuration reader share: the one table of keys and the checks made from
 * it. Adding a key is adding a row and a member of struct config.
 */
#ifndef COMFYPOOL_SRC_CONFIG_INNER_H
#define COMFYPOOL_SRC_CONFIG_INNER_H

#include "config.h"

enum config_kind {
    CONFIG_INT,
    CONFIG_BOOL,
    CONFIG_TEXT,
    CONFIG_LEVEL,
    CONFIG_KEEP, /* none or copy */
    CONFIG_NAME,
    CONFIG_URL,
    CONFIG_PATH,
    CONFIG_BESIDE, /* a path; in the file a relative one is beside it */
    CONFIG_GPU,
    CONFIG_ENDPOINT,
    CONFIG_CLASSES, /* a list that is kept as a mask of enum retry_class */
    CONFIG_EVENTS,  /* ... of enum event_type */
    CONFIG_LABELS,
    CONFIG_HOSTS,
    CONFIG_ORIGINS,
    CONFIG_RECEIVERS,
    CONFIG_NETWORKS,
    CONFIG_ADDRESSES,
    CONFIG_BACKENDS,
    CONFIG_HASH,
    CONFIG_PAIR,  /* KEY=VALUE */
    CONFIG_LABEL, /* a selector */
    CONFIG_NAMES,
    CONFIG_NODE_CLASSES,
    CONFIG_INPUTS, /* "Class.input" or "Class.*" each */
    CONFIG_RULES,
};

/* The section of a backend's keys; their offsets are into struct config_backend. */
#define CONFIG_ITEM "backends[]"
/* ... and of a rule's, into struct config_rule. */
#define CONFIG_RULE "routing.rules[]"

struct config_key {
    const char *section; /* "": top level */
    const char *name;
    enum config_kind kind;
    int64_t min; /* of a CONFIG_INT */
    int64_t max;
    const char *fallback; /* the default as text; NULL: none */
    const char *unit;
    size_t offset;
};

enum { CONFIG_KEY_COUNT = 80 + POLICY_MEMBER_COUNT, CONFIG_SECTION_COUNT = 17 };
enum { CONFIG_WHY_SIZE = 256, CONFIG_PATH_SIZE = 96 };

extern const struct config_key config_keys[CONFIG_KEY_COUNT];
extern const char *const config_sections[CONFIG_SECTION_COUNT];

/* "http.maxBodyBytes". */
void config_key_path(const struct config_key *k, char ret[CONFIG_PATH_SIZE]);
/* The key of this section and name; NULL when there is none. */
const struct config_key *config_key_find(const char *section, struct str name);
/* The known key or section nearest to an unknown name of a section; false when none is near. */
bool config_key_suggest(const char *section, struct str name, char ret[CONFIG_PATH_SIZE]);

/* A list of plain values: all lists but listen and backends. */
bool config_key_is_list(const struct config_key *k);
/* Such a list that is kept as a mask. */
bool config_key_is_mask(const struct config_key *k);
/* Checks one entry of such a list. */
bool config_entry_check(const struct config_key *k, struct str text,
                        char why[CONFIG_WHY_SIZE]) MUST_CHECK;
/* Checks the value of a key; such a list is comma-separated. False with a message for people. */
bool config_value_check(const struct config_key *k, struct str text,
                        char why[CONFIG_WHY_SIZE]) MUST_CHECK;
bool config_address_check(struct str text, char why[CONFIG_WHY_SIZE]) MUST_CHECK;
/* Stores a checked value; base is the struct that the offset of the key counts from. */
void config_value_store(const struct config_key *k, void *base, const char *text);

void config_backend_done(struct config_backend *b);
void config_rule_done(struct config_rule *r);
/* The name of a backend that was given none. Owner: the caller. */
char *config_backend_derive_name(const char *url);
/* Doubled names and servers. Appends to errors; false when there is one. */
bool config_backends_check(const struct config_backend *b, size_t len,
                           struct buf *errors) MUST_CHECK;

/* Reads a file of headers; see config_headers.c. False with lines in errors. */
bool config_headers_read(const char *path, const char *where, char ***ret,
                         struct buf *errors) MUST_CHECK;
void config_headers_free(char **headers);
/* Whether it is a regular file; warns when everybody may read it. False with a message. */
bool config_file_look(const char *path, char why[CONFIG_WHY_SIZE]) MUST_CHECK;
/* The whole file, at most max bytes. False with a message for people. */
bool config_file_read(const char *path, size_t max, struct buf *ret,
                      char why[CONFIG_WHY_SIZE]) MUST_CHECK;

#endif

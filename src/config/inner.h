/*
 * Shared by the files of the room: the table of keys, the table of kinds of values, and the lists
 * that every source fills. A new key is a row of the table and a member of struct config.
 */
#ifndef COMFYPOOL_SRC_CONFIG_INNER_H
#define COMFYPOOL_SRC_CONFIG_INNER_H

#include "comfypool/config/config.h"

#include "checks.h"

/* Kinds of values; rows of config_kinds. */
enum config_kind {
    CONFIG_INT,
    CONFIG_BOOL,
    CONFIG_LEVEL,
    CONFIG_KEEP, /* none or copy */
    CONFIG_NAME,
    CONFIG_URL,
    CONFIG_PATH,
    CONFIG_BESIDE,  /* a path; in the file, relative to its directory */
    CONFIG_HEADERS, /* CONFIG_BESIDE of a backend's headers, read with it */
    CONFIG_GPU,
    CONFIG_ENDPOINT,
    CONFIG_HASH,
    CONFIG_PAIR,    /* KEY=VALUE */
    CONFIG_LABEL,   /* a selector */
    CONFIG_CLASSES, /* a list stored as a mask of enum retry_class */
    CONFIG_EVENTS,  /* a list stored as a mask of enum event_type */
    CONFIG_LABELS,
    CONFIG_HOSTS,
    CONFIG_ORIGINS,
    CONFIG_RECEIVERS,
    CONFIG_NETWORKS,
    CONFIG_NAMES,
    CONFIG_NODE_CLASSES,
    CONFIG_INPUTS, /* "Class.input" or "Class.*" each */
    CONFIG_ADDRESSES,
    CONFIG_BACKENDS,
    CONFIG_RULES,
    CONFIG_KIND_COUNT,
};

/* The section of a backend's keys; their offsets are into struct config_backend. */
#define CONFIG_ITEM "backends[]"
/* The section of a rule's keys; their offsets are into struct config_rule. */
#define CONFIG_RULE "routing.rules[]"

struct config_key {
    const char *section; /* "": top level */
    const char *name;
    enum config_kind kind;
    int64_t min; /* for CONFIG_INT */
    int64_t max;
    const char *fallback; /* the default as text; NULL: none */
    const char *unit;
    size_t offset;
};

/* Capacities of arrays by key or section; keys.c checks that the tables fit. */
enum { CONFIG_KEYS_MOST = 128, CONFIG_SECTIONS_MOST = 32 };
enum { CONFIG_PATH_SIZE = 96 };

extern const struct config_key config_keys[];
extern const size_t config_keys_len;
extern const char *const config_sections[];
extern const size_t config_sections_len;

#define CONFIG_VARIABLE_PREFIX "COMFYPOOLD_"

/* ---- keys: keys.c ---------------------------------------------------------------------------- */

/* Returns "http.maxBodyBytes". */
void config_key_path(const struct config_key *k, char ret[CONFIG_PATH_SIZE]);
/* Finds a key by section and name; NULL: none. */
const struct config_key *config_key_find(const char *section, struct str name);
const struct config_key *config_key_find_path(const char *path);
/* True for a member of list entries: of backends or of rules. */
bool config_key_is_of_entry(const struct config_key *k);
/* Returns "COMFYPOOLD_HTTP_MAX_BODY_BYTES"; "" when only a file can set it. */
void config_key_variable(const struct config_key *k, char ret[CONFIG_PATH_SIZE * 2]);
/* Finds the known key or section nearest to an unknown name of a section; false: none near. */
bool config_key_suggest(const char *section, struct str name, char ret[CONFIG_PATH_SIZE]);

/* Returns the place of a key's value in the struct that its offset refers to. */
static inline void *config_place(const struct config_key *k, void *base)
{
    return (char *)base + k->offset;
}

/* ---- kinds of values: kinds.c ---------------------------------------------------------------- */

/* Operations on values of a kind. */
struct config_kind_row {
    size_t size;
    config_check_fn *check; /* NULL: read reports errors */
    /* Reads a text; an entry is appended to a list. NULL: not settable by a single text. */
    bool (*read)(const struct config_key *k, struct str text, void *to, char why[CONFIG_WHY_SIZE]);
    void (*free)(void *value); /* frees what it owns; NULL: nothing */
    const char *unquoted;      /* what must be unquoted in the file; NULL: quotes are fine */
    bool is_list;              /* of plain values, or of words stored as a mask */
};

extern const struct config_kind_row config_kinds[CONFIG_KIND_COUNT];

/* Checks a text and stores it in `to`, which is empty; appends an entry to a list. False with a
   message for people; `to` is unchanged. */
bool config_value_read(const struct config_key *k, struct str text, void *to,
                       char why[CONFIG_WHY_SIZE]) MUST_CHECK;
/* Like config_value_read, replacing the value; a list is comma-separated. */
bool config_value_set(const struct config_key *k, struct str text, void *to,
                      char why[CONFIG_WHY_SIZE]) MUST_CHECK;
/* Frees a value and empties it. */
void config_value_clear(const struct config_key *k, void *value);
/* Moves *from to *to, which is freed before; *from is then empty. */
void config_value_move(const struct config_key *k, void *to, void *from);
/* Replaces a value by the key's default; without one it is emptied. */
void config_value_reset(const struct config_key *k, void *value);
/* Cuts the next entry off a comma-separated list; false at the end. */
bool config_next_entry(struct str *rest, struct str *ret);

/* ---- a configuration: config.c --------------------------------------------------------------- */

/* Reset and clear the members of a section's keys in the struct that their offsets refer to; NULL:
   of all keys in struct config itself. */
void config_members_reset(const char *section, void *base);
void config_members_clear(const char *section, void *base);
/* Sets one value. `where` begins the message. */
bool config_set_key(struct config *c, const struct config_key *k, const char *value,
                    const char *where, struct buf *errors) MUST_CHECK;
/* Adds "WHERE: WHY". Always false. */
bool config_complain(struct buf *errors, const char *where, const char *why);
/* Adds an empty rule. */
struct config_rule *config_rule_add(struct config *c);

/* ---- backends.c ------------------------------------------------------------------------------ */

/* Adds a backend with the defaults of its keys. */
struct config_backend *config_backend_add(struct config *c);
void config_backends_clear(struct config *c);
/* Derives a name for a backend from its URL. Owner: the caller. */
char *config_backend_derive_name(const char *url);
/* Adds backends from the environment: "URL" or "name=URL", comma-separated. */
bool config_backends_add_text(struct config *c, const char *text, const char *where,
                              struct buf *errors) MUST_CHECK;
/* Looks for duplicate names and servers among the backends with a URL. */
bool config_backends_check(const struct config_backend *b, size_t len,
                           struct buf *errors) MUST_CHECK;

/* ---- listen.c -------------------------------------------------------------------------------- */

/* Adds an address. False for duplicates; port 0 may be repeated. */
bool config_listen_add(struct config *c, struct str address);
/* Checks and adds comma-separated addresses, replacing those of an earlier source. */
bool config_listen_add_text(struct config *c, const char *text, enum config_source from,
                            const char *where, struct buf *errors) MUST_CHECK;
void config_listen_clear(struct config *c);

/* ---- files: headers.c, text_file.c ----------------------------------------------------------- */

/* Reads a file of headers; `where` begins messages about the file itself. */
bool config_headers_read(const char *path, const char *where, char ***ret,
                         struct buf *errors) MUST_CHECK;
void config_headers_free(char **headers);
/* True for a regular file; warns when world-readable. False with a message. */
bool config_file_look(const char *path, char why[CONFIG_WHY_SIZE]) MUST_CHECK;
/* Reads the whole file, at most max bytes. False with a message. */
bool config_file_read(const char *path, size_t max, struct buf *ret,
                      char why[CONFIG_WHY_SIZE]) MUST_CHECK;

/* ---- pool_options.c -------------------------------------------------------------------------- */

struct pool_backend_options;
/* Lists the enabled backends for the pool. ret has room for all of them; returns how many. */
size_t config_list_backends(const struct config *c, struct pool_backend_options *ret);

#endif

/*
 * What must hold for the formats of any profile, by the rules of each format and by the profile
 * itself: read back and held against it, exactly. Fails the running test.
 */
#ifndef COMFYPOOL_TESTS_UNIT_FORMAT_RULES_H
#define COMFYPOOL_TESTS_UNIT_FORMAT_RULES_H

#include <jansson.h>

#include "comfypool/render/render.h"

/* Renders the profile in every format and holds each against it. name: of the case, for messages.
   The profile must be one that can be: slices of a node do not overlap, times are in order. */
void check_formats(const char *name, struct str profile_json);

/* One by one, of text that is there already. */
void check_text(const json_t *profile, struct str text);
void check_csv(const json_t *profile, bool exported, struct str text);
void check_chrome(const json_t *profile, struct str text);
void check_speedscope(const json_t *profile, struct str text);
void check_folded(const json_t *profile, struct str text);

/* A body with the spans of one job; parent: the caller's span id, "" for none. */
void check_otlp(const struct render_trace *job, const json_t *profiles, struct str text);

#endif

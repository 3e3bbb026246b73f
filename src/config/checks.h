/*
 * Checks of single texts: of a value, or of one entry of a list. False with a message for people,
 * to follow the name of the key.
 */
#ifndef COMFYPOOL_SRC_CONFIG_CHECKS_H
#define COMFYPOOL_SRC_CONFIG_CHECKS_H

#include <stdbool.h>

#include "comfypool/base/err.h"
#include "comfypool/base/str.h"

enum { CONFIG_WHY_SIZE = 256 };

typedef bool config_check_fn(struct str text, char why[CONFIG_WHY_SIZE]);

/* Puts a message into why. Always false. */
bool config_say(char why[CONFIG_WHY_SIZE], const char *text);

MUST_CHECK config_check_fn config_check_text;
MUST_CHECK config_check_fn config_check_name;
MUST_CHECK config_check_fn config_check_url; /* backend URL */
MUST_CHECK config_check_fn config_check_endpoint;
MUST_CHECK config_check_fn config_check_receiver;
MUST_CHECK config_check_fn config_check_address; /* listen address */
MUST_CHECK config_check_fn config_check_host;    /* without a port */
MUST_CHECK config_check_fn config_check_origin;
MUST_CHECK config_check_fn config_check_network;
MUST_CHECK config_check_fn config_check_gpu;
MUST_CHECK config_check_fn config_check_label;
MUST_CHECK config_check_fn config_check_hash;
MUST_CHECK config_check_fn config_check_pair;     /* KEY=VALUE */
MUST_CHECK config_check_fn config_check_selector; /* label selector */
MUST_CHECK config_check_fn config_check_input;    /* "Class.input" or "Class.*" */

#endif

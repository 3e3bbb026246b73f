/*
 * Every error that has a name outside, in one table: symbol, public code, HTTP status (0: only in a
 * Job or an attempt), whether the same thing may succeed later or elsewhere, and the title for
 * people. The codes are part of the API and never change.
 */
#ifndef COMFYPOOL_BASE_ERR_H
#define COMFYPOOL_BASE_ERR_H

#include <stdbool.h>

#include "comfypool/base/str.h"

/* clang-format off */
#define ERR_TABLE(X) \
    /* symbol                    code                      HTTP  retry  title */ \
    X(ERR_JSON_INVALID,           "json_invalid",            400, false, "The body is not valid JSON") \
    X(ERR_BODY_TOO_LARGE,         "body_too_large",          413, false, "The body is too large") \
    X(ERR_MEMBER_UNKNOWN,         "member_unknown",          400, false, "The body has a member that is not known") \
    X(ERR_MEMBER_INVALID,         "member_invalid",          400, false, "A member of the body is not valid") \
    X(ERR_WORKFLOW_INVALID,       "workflow_invalid",        400, false, "The workflow is not valid") \
    X(ERR_WORKFLOW_FORMAT_UI,     "workflow_format_ui",      400, false, "The workflow is in the editor's format") \
    X(ERR_WORKFLOW_NOT_SUPPORTED, "workflow_not_supported",  422, false, "No backend can run the workflow") \
    X(ERR_JOB_NOT_FOUND,          "job_not_found",           404, false, "There is no such job") \
    X(ERR_BACKEND_NOT_FOUND,      "backend_not_found",       404, false, "There is no such backend") \
    X(ERR_OUTPUT_NOT_FOUND,       "output_not_found",        404, false, "The job has no such output") \
    X(ERR_OUTPUT_UNAVAILABLE,     "output_unavailable",      404, true,  "The output cannot be had") \
    X(ERR_PROFILING_DISABLED,     "profiling_disabled",      404, false, "The job was not profiled") \
    X(ERR_BATCH_NOT_FOUND,        "batch_not_found",         404, false, "There is no such batch") \
    X(ERR_DEPENDENCY_NOT_FOUND,   "dependency_not_found",    404, false, "A job that the job is to follow does not exist") \
    X(ERR_LABEL_INVALID,          "label_invalid",           400, false, "A selector of labels is not valid") \
    X(ERR_OVERRIDE_INVALID,       "override_invalid",        400, false, "An override names no input of the workflow") \
    X(ERR_RANGE_NOT_SATISFIABLE,  "range_not_satisfiable",   416, false, "The file has no such part") \
    X(ERR_UPLOAD_NOT_FOUND,       "upload_not_found",        404, false, "There is no such upload") \
    X(ERR_UPLOAD_HASH_MISMATCH,   "upload_hash_mismatch",    422, false, "The bytes have another hash") \
    X(ERR_UPLOAD_EMPTY,           "upload_empty",            400, false, "The file is empty") \
    X(ERR_UPLOAD_TOO_LARGE,       "upload_too_large",        413, false, "The file is too large") \
    X(ERR_ATTACHMENT_NAME_INVALID, "attachment_name_invalid", 400, false, "The name of an attachment is not valid") \
    X(ERR_ATTACHMENT_DATA_INVALID, "attachment_data_invalid", 400, false, "The data of an attachment is no base64") \
    X(ERR_ATTACHMENT_PART_MISSING, "attachment_part_missing", 400, false, "The body has no part of this name") \
    X(ERR_ATTACHMENT_NODE_NOT_FOUND, "attachment_node_not_found", 400, false, "The workflow has no such node") \
    X(ERR_JOB_NOT_FINISHED,       "job_not_finished",        409, true,  "The job has not ended yet") \
    X(ERR_JOB_ACTIVE,             "job_active",              409, true,  "The job is still active") \
    X(ERR_JOB_NOT_QUEUED,         "job_not_queued",          409, false, "The job is not queued") \
    X(ERR_JOB_NOT_RETRIABLE,      "job_not_retriable",       409, false, "The job cannot be tried again") \
    X(ERR_CREDENTIALS_GONE,       "credentials_gone",        409, false, "The account keys of the job are not kept any more") \
    X(ERR_ATTEMPT_NOT_FOUND,      "attempt_not_found",       404, false, "The job has no such attempt") \
    X(ERR_PROFILE_NOT_FOUND,      "profile_not_found",       404, false, "There is no such profile") \
    X(ERR_DELIVERY_NOT_FOUND,     "delivery_not_found",      404, false, "There is no such delivery") \
    X(ERR_BACKEND_EXISTS,         "backend_exists",          409, false, "This backend is there already") \
    X(ERR_ROUTE_NOT_FOUND,        "route_not_found",         404, false, "There is nothing at this path") \
    X(ERR_METHOD_NOT_ALLOWED,     "method_not_allowed",      405, false, "The method is not allowed here") \
    X(ERR_MEDIA_TYPE_UNSUPPORTED, "media_type_unsupported",  415, false, "The content type is not supported") \
    X(ERR_NOT_ACCEPTABLE,         "not_acceptable",          406, false, "No format that the client accepts is available") \
    X(ERR_QUERY_INVALID,          "query_invalid",           400, false, "The request is not valid") \
    X(ERR_STORE_UNAVAILABLE,      "store_unavailable",       503, true,  "The store cannot be written") \
    X(ERR_TOO_MANY_WAITS,         "too_many_waits",          503, true,  "Too many requests are waiting") \
    X(ERR_QUEUE_FULL,             "queue_full",              429, true,  "The queue is full") \
    X(ERR_IDEMPOTENCY_KEY_REUSED, "idempotency_key_reused",  422, false, "The idempotency key belongs to another body") \
    X(ERR_IDEMPOTENCY_IN_PROGRESS, "idempotency_in_progress", 409, true, "A request with this idempotency key is under way") \
    X(ERR_UNAUTHORIZED,           "unauthorized",            401, false, "A token is needed") \
    X(ERR_FORBIDDEN,              "forbidden",               403, false, "This is not allowed") \
    X(ERR_FORBIDDEN_ORIGIN,       "forbidden_origin",        403, false, "Requests from this origin are not allowed") \
    X(ERR_HOST_NOT_ALLOWED,       "host_not_allowed",        421, false, "This host name is not served here") \
    /* Ends of jobs and attempts. */ \
    X(ERR_NODE_FAILED,            "node_failed",             0,   false, "A node failed") \
    X(ERR_OUT_OF_MEMORY,          "out_of_memory",           0,   true,  "The backend ran out of memory") \
    X(ERR_BACKEND_ERROR,          "backend_error",           0,   true,  "The backend failed") \
    X(ERR_SERVER_FAULT,           "server_fault",            0,   true,  "The backend has a fault of its own") \
    X(ERR_BACKEND_REFUSED,        "backend_refused",         0,   true,  "The backend, or a gateway before it, takes no prompt") \
    X(ERR_LOST,                   "lost",                    0,   true,  "The backend lost the prompt") \
    X(ERR_INTERRUPTED,            "interrupted",             0,   false, "The prompt was interrupted") \
    X(ERR_QUEUE_TIMEOUT,          "queue_timeout",           0,   true,  "It waited in the queue for too long") \
    X(ERR_START_TIMEOUT,          "start_timeout",           0,   true,  "The backend did not begin with it in time") \
    X(ERR_NODE_TIMEOUT,           "node_timeout",            0,   true,  "A node gave no sign for too long") \
    X(ERR_JOB_TIMEOUT,            "job_timeout",             0,   true,  "The job took too long") \
    X(ERR_UPLOAD_FAILED,          "upload_failed",           0,   true,  "An input could not be sent to the backend") \
    X(ERR_DEPENDENCY_FAILED,      "dependency_failed",       0,   false, "A job that the job was to follow did not complete")
/* clang-format on */

enum err {
    ERR_NONE = 0,
#define X(symbol, code, http, retry, title) symbol,
    ERR_TABLE(X)
#undef X
        ERR_COUNT
};

#define MUST_CHECK __attribute__((warn_unused_result))

/* The public code, such as "job_not_found"; "" for ERR_NONE. Static. */
const char *err_code(enum err e);
/* Returns its title, for people. Static. */
const char *err_title(enum err e);
/* The HTTP status, 500 for errors that have none. */
unsigned err_http_status(enum err e);
/* True when a retry may succeed later or on another backend. */
bool err_is_retryable(enum err e);
/* The error with this public code; ERR_NONE when there is none (or code is empty). */
enum err err_from_code(struct str code);

#endif

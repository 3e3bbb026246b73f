/* The bodies of POST /jobs, POST /batches and POST /jobs/{id}/retry. */
#ifndef COMFYPOOL_SRC_API_SUBMISSION_H
#define COMFYPOOL_SRC_API_SUBMISSION_H

#include <stdbool.h>

#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/core/submission.h"
#include "comfypool/core/workflow.h"
#include "comfypool/http/http.h"
#include "comfypool/http/problem.h"

#include "body_members.h"

/* Checks the body of POST /jobs. Owner of *ret: the caller, by submission_done. */
bool submission_parse(struct str body, struct submission *ret, struct problem *p) MUST_CHECK;
/* Checks the body of POST /jobs/{id}/retry: fills extra_data alone. */
bool submission_parse_retry(struct str body, struct submission *ret, struct problem *p) MUST_CHECK;
/* Checks the body of POST /batches; *ret as in submission_parse. */
bool submission_parse_batch(struct str body, struct submission *ret, struct problem *p) MUST_CHECK;
/* Reads a graph; NULL: p says why. Owner: the caller. */
struct workflow *submission_graph(struct str text, struct problem *p);

bool submission_backends(struct value *v, void *ret, struct problem *p);
bool submission_labels(struct value *v, void *ret, struct problem *p);
bool submission_variants(struct value *v, void *ret, struct problem *p);
bool submission_attachments(struct value *v, void *ret, struct problem *p);
/* Makes the job come after the jobs whose outputs it attaches. */
void submission_follow_attached(struct submission *s);
/* Checks that each attachment names a node of the workflow. */
bool submission_attached_known(const struct workflow *w, const struct submission *s,
                               struct problem *p) MUST_CHECK;
/* Checks that each part named by an attachment was received, and gives the attachment its file. */
bool submission_attach_parts(struct submission *s, const struct http_request *rq,
                             struct problem *p) MUST_CHECK;
bool submission_outputs(struct value *v, void *ret, struct problem *p);
bool submission_include(const struct member *m, struct value *v, void *ret);
bool submission_auto_seed(const struct member *m, struct value *v, void *ret);
bool submission_skip_eligibility(const struct member *m, struct value *v, void *ret);
bool submission_client(const struct member *m, struct value *v, void *ret);
bool submission_not_before(const struct member *m, struct value *v, void *ret);
bool submission_after(const struct member *m, struct value *v, void *ret);
bool submission_on_failure(const struct member *m, struct value *v, void *ret);
/* Checks that all of includeOutputs are nodes of the workflow. */
bool submission_include_known(const struct workflow *w, const struct job_options *s,
                              struct problem *p) MUST_CHECK;
/* Reads the overrides of a batch; w was parsed from ret->workflow. */
bool submission_overrides(struct str value, const struct workflow *w, struct submission *ret,
                          struct problem *p) MUST_CHECK;

#endif

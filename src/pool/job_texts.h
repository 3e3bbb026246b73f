/*
 * The texts of jobs (workflow, extra_data) in memory: made when needed, spared when there are too
 * many.
 */
#ifndef COMFYPOOL_SRC_POOL_JOB_TEXTS_H
#define COMFYPOOL_SRC_POOL_JOB_TEXTS_H

#include "comfypool/base/err.h"

struct job;
struct store_active;
struct submission;

/* A new job's texts, of its submission or of its row; taken. Not counted yet. */
void job_take_texts(struct job *j, struct submission *take);
void job_take_stored_texts(struct job *j, struct store_active *take);
/* What a job holds of texts is counted from now on; or not any more. */
void job_count_texts(struct job *j);
void job_drop_texts(struct job *j);
/* Cuts the account keys out of extra data. *ret_keys: an object of them, or NULL; owner: the
   caller. Returns which there were, as in job_record. */
unsigned job_cut_credentials(char **extra_data, char **ret_keys);
/* The account keys in extra data are the job's own from now on; none: those that it has stay. */
void job_take_credentials(struct job *j, char **extra_data);
/* The workflow of the variant that its placement names is its own from now on. */
void job_become_variant(struct job *j);
/* It waits, durably: its texts leave memory when there are too many. */
void job_spare_texts(struct job *j);
/* TEXTS_COMING: they are read from the store; pool_ops.texts_came follows. TEXTS_LOST: that has
   failed; the next call reads again. */
enum texts { TEXTS_HERE, TEXTS_COMING, TEXTS_LOST };
enum texts job_want_texts(struct job *j) MUST_CHECK;

#endif

/*
 * The texts of jobs (workflow, extra_data) in memory: read when needed, dropped when there are too
 * many.
 */
#ifndef COMFYPOOL_SRC_POOL_JOB_TEXTS_H
#define COMFYPOOL_SRC_POOL_JOB_TEXTS_H

#include "comfypool/base/err.h"

struct job;
struct store_active;
struct submission;

/* Takes a job's texts from its submission or its row. They are not counted yet. */
void job_take_texts(struct job *j, struct submission *take);
void job_take_stored_texts(struct job *j, struct store_active *take);
/* Counts the job's texts in the pool's total; or drops and uncounts them. */
void job_count_texts(struct job *j);
void job_drop_texts(struct job *j);
/* Cuts the account keys out of extra data. *ret_keys: an object of them, or NULL; owner: the
   caller. Returns which keys there were, as in job_record. */
unsigned job_cut_credentials(char **extra_data, char **ret_keys);
/* Moves the account keys in extra data to the job. If there are none, the job keeps those that it
   has. */
void job_take_credentials(struct job *j, char **extra_data);
/* Replaces the job's workflow by that of the variant in its placement. */
void job_become_variant(struct job *j);
/* Drops the texts of a job that waits and is durable, if there are too many. */
void job_spare_texts(struct job *j);
/* Asks for the job's texts. TEXTS_COMING: they are being read; pool_ops.texts_came follows.
   TEXTS_LOST: the read failed; the next call reads again. */
enum texts { TEXTS_HERE, TEXTS_COMING, TEXTS_LOST };
enum texts job_want_texts(struct job *j) MUST_CHECK;

#endif

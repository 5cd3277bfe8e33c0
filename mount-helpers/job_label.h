/* SPDX-License-Identifier: MIT */
/*
 * What tells a job its connections: a label NAME=conn_id becomes two variables
 * of the environment, LAVA_CONN_<NAME> with the connection's `sql` and
 * LAVA_CONNID_<NAME> with the conn_id. Before any thread is started.
 */
#ifndef CONNFS_MOUNT_HELPERS_JOB_LABEL_H
#define CONNFS_MOUNT_HELPERS_JOB_LABEL_H

struct err;

struct job_label {
	char *name;          /* owned; as in the variables: upper case */
	const char *conn_id; /* of the text it was made of */
};

/* 0; -EINVAL when text is no NAME=conn_id; -ENOMEM. */
int job_label_init(struct job_label *out, const char *text, struct err *err);

/*
 * Sets the variables, when the connection is there below the mount at and this
 * process may use it. Nothing logs in anywhere. 0 or a negative errno.
 */
int job_label_set(const struct job_label *label, const char *at,
		  struct err *err);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What there is once in a daemon. Made by main.c; thread of the loop.
 */
#ifndef CONNFS_FS_MOUNT_H
#define CONNFS_FS_MOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "fs/config.h"
#include "fs/reload.h"

struct connection;
struct env_reader;
struct handle;
struct jobs;
struct loop;
struct node_table;
struct request_table;
struct spool_pool;

struct mount {
	struct loop *loop;
	struct request_table *requests;
	struct node_table *nodes;
	struct spool_pool *spools;
	struct jobs *disk;     /* what waits for the spool's disk */
	struct jobs *encoding; /* of results, into other formats */
	struct env_reader *env;
	struct config *config;
	const char *source;
	const char *mountpoint;     /* absolute, in the daemon's namespace */
	const char *const *options; /* of the command line, for a reload */
	struct connection *connections; /* also those that are removed */
	struct handle *handles;         /* all open files */
	int64_t started_wall;           /* ms */
	int64_t read_wall;              /* ms; SOURCE was read, and taken */
	int64_t refused_wall; /* ms; the last reload failed; 0: it did not */
	uint64_t n_requests;
	struct reload reload;
	struct err reload_error; /* code 0: the last reload was taken */
	unsigned n_threads;      /* of mount_start_thread() */
	bool ending;
};

/*
 * Makes connections of the specs that are enabled; at a reload keeps those
 * that are still there, under their new spec, and removes the others. 0 or
 * -ENOMEM.
 */
int mount_apply_config(struct mount *m);

/*
 * For what may block and is no statement. The thread's last act is to post an
 * event, whose run() counts it off m->n_threads: until then the mount is not
 * quiet. 0 or a negative errno.
 */
int mount_start_thread(struct mount *m, void *(*run)(void *arg), void *arg);

/*
 * Ends conversations whose Unix session has no process left, and drops removed
 * connections of which nothing is left.
 */
void mount_check_conversations(struct mount *m);

/* Drops the connections: the nodes have gone before. */
void mount_finish(struct mount *m);

/*
 * Ends every conversation; true once their sessions are closed and no thread
 * is left.
 */
void mount_end_all(struct mount *m);
bool mount_is_quiet(void *mount);

#endif

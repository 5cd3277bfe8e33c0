/* SPDX-License-Identifier: MIT */
#include "fs/caller.h"

#include <errno.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "fs/caller_text.h"
#include "fs/cgroup.h"
#include "fs/proc_file.h"

enum {
	COMM_MAX = 64,
	CACHED_USERS = 16,
	PASSWD_LINE = 4096, /* bytes */
};

static const char passwd_file[] = "/etc/passwd";

struct user {
	uid_t uid;
	char name[64]; /* "": it has none */
};

static struct {
	pthread_mutex_t mutex;
	struct user users[CACHED_USERS]; /* mutex */
	size_t n;                        /* mutex; ever put in */
	struct timespec changed;         /* mutex; of the file they are from */
	ino_t inode;                     /* mutex */
} cache = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void look_up(struct user *user)
{
	/* "e" is close-on-exec. */
	auto_fclose FILE *file = fopen(passwd_file, "re");
	char line[PASSWD_LINE];
	struct passwd entry;
	struct passwd *found;

	user->name[0] = '\0';
	while (file != NULL &&
	       fgetpwent_r(file, &entry, line, sizeof(line), &found) == 0) {
		if (entry.pw_uid != user->uid)
			continue;
		(void)caller_text(user->name, sizeof(user->name), entry.pw_name,
				  strlen(entry.pw_name), "");
		return;
	}
}

/* Forgets everything when the file is another one. */
static void check_cache(void)
{
	struct stat st;

	if (stat(passwd_file, &st) < 0)
		st = (struct stat){0};
	if (st.st_ino == cache.inode &&
	    st.st_mtim.tv_sec == cache.changed.tv_sec &&
	    st.st_mtim.tv_nsec == cache.changed.tv_nsec)
		return;
	cache.inode = st.st_ino;
	cache.changed = st.st_mtim;
	cache.n = 0;
}

static void user_name(char *out, size_t size, uid_t uid)
{
	auto_lock(&cache.mutex);
	struct user *user = NULL;

	check_cache();
	for (size_t i = 0; i < cache.n && i < CACHED_USERS; i++) {
		if (cache.users[i].uid == uid)
			user = &cache.users[i];
	}
	if (user == NULL) {
		user = &cache.users[cache.n++ % CACHED_USERS];
		user->uid = uid;
		look_up(user);
	}
	if (user->name[0] != '\0')
		(void)snprintf(out, size, "%s", user->name);
}

static void describe_user(const struct caller *c, struct caller_names *out)
{
	(void)snprintf(out->user, sizeof(out->user), "%u", c->uid);
	if (caller_in_own_user_ns(c))
		user_name(out->user, sizeof(out->user), c->uid);
}

/* Of the process: a thread's is often the name of a pool. */
static void describe_comm(const struct caller *c, struct caller_names *out)
{
	struct buf text;

	buf_init(&text, COMM_MAX);
	if (proc_file_read(&text, c->self.pid, "comm") == 0)
		(void)caller_text(out->comm, sizeof(out->comm), text.data,
				  text.len, "");
	buf_finish(&text);
}

static void describe_exe(const struct caller *c, struct caller_names *out)
{
	char path[64];
	char exe[4096];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", c->tid);
	n = readlink(path, exe, sizeof(exe));
	if (n > 0)
		(void)caller_text(out->exe, sizeof(out->exe), exe, (size_t)n,
				  "");
}

static int parse_groups(gid_t **groups, size_t *n_groups, const char *status)
{
	const char *p = proc_status_find(status, "Groups");
	const char *end = p != NULL ? strchr(p, '\n') : NULL;
	size_t cap;

	if (end == NULL)
		return -ESRCH;
	/* Each number has a space behind it. */
	cap = (size_t)(end - p) / 2 + 1;
	*groups = calloc(cap, sizeof(**groups));
	if (*groups == NULL)
		return -ENOMEM;
	while (*n_groups < cap) {
		char *next;
		gid_t gid = (gid_t)strtoul(p, &next, 10);

		if (next == p || next > end)
			break;
		(*groups)[(*n_groups)++] = gid;
		p = next;
	}
	return 0;
}

int caller_groups(gid_t **groups, size_t *n_groups, const struct caller *c)
{
	const char *status = NULL;
	struct buf text;
	int rc;

	*groups = NULL;
	*n_groups = 0;
	buf_init(&text, PROC_STATUS_MAX);
	rc = proc_file_read(&text, c->tid, "status");
	if (rc == 0) {
		status = buf_cstr(&text);
		rc = status != NULL ? parse_groups(groups, n_groups, status)
				    : -ENOMEM;
	}
	buf_finish(&text);
	return rc;
}

void caller_describe(const struct caller *c, struct caller_names *out)
{
	*out = (struct caller_names){0};
	describe_user(c, out);
	describe_comm(c, out);
	describe_exe(c, out);
	(void)caller_groups(&out->groups, &out->n_groups, c);
}

void caller_names_finish(struct caller_names *names)
{
	free(names->groups);
	cgroup_unref(names->cgroup);
	*names = (struct caller_names){0};
}

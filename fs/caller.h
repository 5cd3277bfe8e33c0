/* SPDX-License-Identifier: MIT */
/*
 * Who is behind a FUSE request, as the kernel tells it; docs/identity.md says
 * what is looked at and how.
 *
 * caller_identify(), caller_describe() and caller_trusts_size() are called at
 * LOOKUP and OPEN only, before the reply, while the caller is blocked in the
 * kernel: that makes its pid stable. Under READ, WRITE, FLUSH and RELEASE
 * nothing but procstat.h may be asked: other files of a process that is inside
 * exec or a page fault block until this daemon answers it.
 *
 * Any thread, after caller_init().
 */
#ifndef CONNFS_FS_CALLER_H
#define CONNFS_FS_CALLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cgroup;
struct err;

/* A process, told from any other that had or will have its number. */
struct process {
	pid_t pid;      /* thread group id, in the daemon's pid namespace */
	uint64_t birth; /* means something to this daemon only; 0: not known */
};

enum { CALLER_MAX_CHAIN = 24 };

struct caller {
	uid_t uid; /* as the kernel gave it, in the daemon's user namespace */
	gid_t gid;
	pid_t tid;
	struct process self;
	pid_t pgid;
	/*
	 * When the session's leader is outside our pid namespace: the topmost
	 * process of the session inside.
	 */
	pid_t sid;
	uint64_t leader_birth; /* of process sid; 0: it is gone */
	uint64_t mnt_ns;       /* inode numbers; 0: not known */
	uint64_t pid_ns;
	uint64_t user_ns;
	/*
	 * chain[0] is self, then its parent, and so on within the same Unix
	 * session; the last is the leader, if it is alive. Of a longer chain
	 * those before the leader are left out; depth counts them as well.
	 */
	struct process chain[CALLER_MAX_CHAIN];
	size_t n_chain;
	size_t depth;
};

/*
 * Once, before the first request and after the daemon has become what it stays
 * (fork, user): the daemon's own user and namespaces, and what the kernel can
 * do. On kernels before 6.9 one descriptor is kept for every process seen, up
 * to a quarter of the soft limit of them: raise that limit before.
 */
int caller_init(struct err *err);

/*
 * After it, when the mount was made by another process, in namespaces of that
 * one: these are taken for the daemon's own. 0 or a negative errno.
 */
int caller_take_ns(pid_t pid, struct err *err);

/*
 * tid, uid and gid are those of the request. 0, or -EACCES when the caller
 * cannot be known (pid 0: it is in a pid namespace the daemon does not see).
 */
int caller_identify(struct caller *out, pid_t tid, uid_t uid, gid_t gid);

/* Alive and not yet a zombie: by number and birth. */
bool process_alive(const struct process *p);

/*
 * How many processes, counted from the session leader, the two share: the
 * depth of their nearest common ancestor; b->depth when that is b itself.
 * 0: none. For one b and several a, more is nearer. In chains longer than
 * CALLER_MAX_CHAIN it is found when it is among the first CALLER_MAX_CHAIN - 1
 * of both, else only the leader counts.
 */
size_t caller_common_ancestors(const struct caller *a, const struct caller *b);

/*
 * True when every process of a's chain that is still alive is in b's chain as
 * well, so that whoever is related to a is as nearly related to b.
 */
bool caller_superseded_by(const struct caller *a, const struct caller *b);

/*
 * A process of the session that a caller with this sid and leader_birth was in
 * is alive. Quick while its leader lives; then all of /proc is gone through.
 */
bool session_alive(pid_t sid, uint64_t leader_birth);

/*
 * The same for what of c's session is in c's namespaces: a container shares
 * the session of whoever started it, and ends before that.
 */
bool caller_session_alive(const struct caller *c);

/*
 * The mounting user in the daemon's own user and pid namespace. Never one
 * whose namespaces the daemon may not look at.
 */
bool caller_is_owner(const struct caller *c);

/* It sees the mount where the daemon has made it. */
bool caller_in_own_mount_ns(const struct caller *c);

/* Its uid means what it means on this host. */
bool caller_in_own_user_ns(const struct caller *c);

/*
 * busybox, toybox, uutils, tar, rsync, git, file or curl: they (of the first
 * three cat, cp and tar, of curl uploads) take a file of size 0 for empty and
 * call it success. The file name of /proc/<tid>/exe decides; GNU's tools in one
 * binary are called coreutils, as uutils, and count too: they only wait longer.
 */
bool caller_trusts_size(const struct caller *c);

/* What client.json shows and application_name is made of. */
struct caller_names {
	char user[64]; /* login name, or the uid in digits */
	char comm[32];
	char exe[256]; /* "" when it cannot be read */
	gid_t *groups; /* supplementary */
	size_t n_groups;
	struct cgroup *cgroup; /* null: not read, or not to be read */
};

/*
 * Login names are those of /etc/passwd: no name service that may wait for the
 * network is asked. A uid of another user namespace stays a number. What
 * cannot be read is left empty. The control group is left to cgroup_read().
 */
void caller_describe(const struct caller *c, struct caller_names *out);
void caller_names_finish(struct caller_names *names);

/*
 * The supplementary groups alone. The caller is held in any request. 0, -ESRCH
 * or -ENOMEM; *groups is for free().
 */
int caller_groups(gid_t **groups, size_t *n_groups, const struct caller *c);

/* Values a caller may set itself: they name it, and never authorise it. */
struct caller_env {
	char realm[64];   /* LAVA_REALM, "" when not set or not readable */
	char job_id[256]; /* LAVA_JOB_ID */
};

struct env_reader; /* reads environ on threads of its own */

typedef void (*env_reader_done)(void *arg, const struct caller_env *env);

struct env_reader *env_reader_create(void); /* null: no memory */

/*
 * Reads the environment of the caller and calls done() once, from another
 * thread, with what was found; with empty strings when no answer came within
 * 50 ms or when too many threads hang in callers that do not let them read.
 * The caller must be held in its request until then. Only when there is no
 * memory at all is done() called before this returns.
 */
void env_reader_request(struct env_reader *r, pid_t tid, env_reader_done done,
			void *arg);

/* Answers what is still asked, then joins what does not hang. Null is fine. */
void env_reader_destroy(struct env_reader *r);

/* What the configuration says of a client's name. */
struct app_name_rule {
	const char *template; /* {realm} {job_id} {user} {comm} {conn_id} */
	const char *realm;    /* goes before the caller's own; null: none */
	const char *conn_id;
};

/*
 * Fills the template; when realm or job_id is asked for and not known:
 * connfs-{user}-{comm}. Quotes and backslashes are left out, as are control
 * characters; cut at max bytes, at a character. out has max + 1 bytes.
 */
void caller_app_name(char *out, size_t max, const struct app_name_rule *rule,
		     const struct caller_names *names,
		     const struct caller_env *env);

#endif

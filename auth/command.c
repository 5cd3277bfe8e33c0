/* SPDX-License-Identifier: MIT */
/* password_command: the first line that a program prints. */
#include "auth/provider.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/trust.h"

enum {
	STEP = 4096,     /* bytes of one read */
	COMPLAINT = 200, /* bytes of stderr that are shown */
	LOOK_MS = 100,   /* how often a wait looks whether it is to end */
};

unsigned auth_command_limit_ms = 30000;
static atomic_bool stopping;

void auth_stop(void)
{
	atomic_store(&stopping, true);
}

struct command {
	char **argv;
};

/* One run of the program. */
struct run {
	pid_t pid;
	int pidfd;
	int out; /* our ends of its stdout and stderr */
	int err;
	struct secret text; /* room for a line, its end, and two reads */
	size_t len;
	bool out_done; /* the line is complete, too long, or stdout ended */
	char complaint[COMPLAINT + 1];
	size_t complaint_len;
	bool err_done;
};

static void command_destroy(void *state)
{
	struct command *c = state;

	for (size_t i = 0; c->argv != NULL && c->argv[i] != NULL; i++)
		free(c->argv[i]);
	free(c->argv);
	free(c);
}

static int copy_argv(struct command *c, const char *const *argv)
{
	size_t n = 0;

	while (argv[n] != NULL)
		n++;
	c->argv = calloc(n + 1, sizeof(*c->argv));
	for (size_t i = 0; c->argv != NULL && i < n; i++) {
		c->argv[i] = strdup(argv[i]);
		if (c->argv[i] == NULL)
			return -ENOMEM;
	}
	return c->argv != NULL ? 0 : -ENOMEM;
}

/* What could be changed by others would run with the daemon's rights. */
static int check_program(const char *path, struct err *err)
{
	auto_close int fd = -1;
	struct err why = {0};
	struct stat st;

	if (path == NULL || path[0] != '/')
		return err_set(err, EINVAL,
			       "password_command: must begin with the absolute "
			       "path of a program");
	fd = trust_open(path, O_PATH, &why);
	if (fd < 0)
		return err_set(err, why.code, "password_command: %s", why.msg);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
		return err_set(err, EACCES,
			       "password_command: %s is not a program that can "
			       "be run",
			       path);
	return 0;
}

static int command_create(void **state, const struct auth_config *config,
			  struct err *err)
{
	struct command *c;
	int rc = check_program(config->argv[0], err);

	if (rc < 0)
		return rc;
	c = calloc(1, sizeof(*c));
	if (c == NULL || copy_argv(c, config->argv) < 0) {
		if (c != NULL)
			command_destroy(c);
		return err_set(err, ENOMEM, "password_command: out of memory");
	}
	*state = c;
	return 0;
}

/* A session of its own: no terminal to ask on, one group to kill. */
static int set_attributes(posix_spawnattr_t *attr)
{
	sigset_t all, none;

	(void)sigfillset(&all);
	(void)sigemptyset(&none);
	(void)posix_spawnattr_setsigdefault(attr, &all);
	(void)posix_spawnattr_setsigmask(attr, &none);
	return posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGDEF |
						      POSIX_SPAWN_SETSIGMASK |
						      POSIX_SPAWN_SETSID);
}

/*
 * out was made before err, so that neither of the two moves overwrites the
 * other's source, whatever low numbers were free.
 */
static int set_files(posix_spawn_file_actions_t *files, int out, int err)
{
	int rc = posix_spawn_file_actions_addopen(files, STDIN_FILENO,
						  "/dev/null", O_RDONLY, 0);

	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(files, out,
						      STDOUT_FILENO);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(files, err,
						      STDERR_FILENO);
	if (rc == 0)
		rc = posix_spawn_file_actions_addclosefrom_np(files, 3);
	return rc;
}

/* 0 or a positive errno, as posix_spawn() has it. */
static int spawn(const struct command *c, pid_t *pid, int out, int err)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int rc;

	rc = posix_spawn_file_actions_init(&files);
	if (rc != 0)
		return rc;
	rc = posix_spawnattr_init(&attr);
	if (rc == 0) {
		rc = set_files(&files, out, err);
		if (rc == 0)
			rc = set_attributes(&attr);
		if (rc == 0) {
			auth_environ_lock();
			rc = posix_spawn(pid, c->argv[0], &files, &attr,
					 c->argv, environ);
			auth_environ_unlock();
		}
		(void)posix_spawnattr_destroy(&attr);
	}
	(void)posix_spawn_file_actions_destroy(&files);
	return rc;
}

/* A pipe whose reading end never waits. */
static int make_pipe(int ends[2])
{
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

static int start(struct run *r, const struct command *c, struct err *err)
{
	auto_close int out = -1;
	auto_close int complaints = -1;
	int ends[2] = {-1, -1};
	int rc;

	rc = make_pipe(ends);
	r->out = ends[0];
	out = ends[1];
	if (rc == 0) {
		ends[0] = ends[1] = -1;
		rc = make_pipe(ends);
		r->err = ends[0];
		complaints = ends[1];
	}
	if (rc < 0)
		return err_sys(err, -rc, "password_command: pipe");
	rc = spawn(c, &r->pid, out, complaints);
	if (rc != 0)
		return err_sys(err, rc,
			       "password_command: %s cannot be started",
			       c->argv[0]);
	r->pidfd = pidfd_open(r->pid, 0);
	if (r->pidfd < 0)
		return err_sys(err, errno, "password_command: pidfd_open");
	return 0;
}

/*
 * Reads what is there of stdout: 1, 0 when there is nothing for now, -1 at its
 * end. What comes after the line is taken as well, so that the program need
 * not wait.
 */
static int read_out(struct run *r)
{
	char *to = r->text.data + r->len;
	ssize_t n = read(r->out, to, STEP);

	if (n < 0)
		return 0;
	if (n == 0)
		r->out_done = true;
	if (r->out_done)
		return n == 0 ? -1 : 1;
	r->len += (size_t)n;
	if (memchr(to, '\n', (size_t)n) != NULL || r->len > AUTH_LINE_MAX + 1)
		r->out_done = true;
	return 1;
}

/* The same of stderr, of which the first line that is not empty is kept. */
static int read_err(struct run *r)
{
	char text[STEP];
	ssize_t n = read(r->err, text, sizeof(text));

	if (n < 0)
		return 0;
	for (ssize_t i = 0; i < n && !r->err_done; i++) {
		if (text[i] != '\n')
			r->complaint[r->complaint_len++] = text[i];
		r->err_done = r->complaint_len == COMPLAINT ||
			      (text[i] == '\n' && r->complaint_len > 0);
	}
	return n == 0 ? -1 : 1;
}

/* Until the program has ended. 0, -ETIMEDOUT, or -ECANCELED by auth_stop(). */
static int collect(struct run *r)
{
	uint64_t deadline = clock_mono_ms() + auth_command_limit_ms;
	struct pollfd fds[] = {
		{.fd = r->pidfd, .events = POLLIN},
		{.fd = r->out, .events = POLLIN},
		{.fd = r->err, .events = POLLIN},
	};

	while (fds[0].revents == 0) {
		uint64_t now = clock_mono_ms();

		if (now >= deadline)
			return -ETIMEDOUT;
		if (atomic_load(&stopping))
			return -ECANCELED;
		if (poll(fds, 3, LOOK_MS) < 0)
			continue;
		if (fds[1].revents != 0 && read_out(r) < 0)
			fds[1].fd = -1;
		if (fds[2].revents != 0 && read_err(r) < 0)
			fds[2].fd = -1;
	}
	/* What it left in the pipes; a child of its may hold them open. */
	while (!r->out_done && read_out(r) > 0)
		;
	while (!r->err_done && read_err(r) > 0)
		;
	return 0;
}

/* Ends what still runs, with its children, and takes the exit status. */
static int reap(struct run *r, bool kill_it, siginfo_t *info)
{
	/* Not waited for yet, so the number is still its own. */
	if (kill_it)
		(void)kill(-r->pid, SIGKILL);
	while (waitid(P_PID, (id_t)r->pid, info, WEXITED) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static int judge(struct run *r, const struct command *c, const siginfo_t *info,
		 struct err *err)
{
	const char *colon = r->complaint_len > 0 ? ": " : "";
	const char *how = "exit status";

	if (info->si_code == CLD_EXITED && info->si_status == 0)
		return 0;
	if (info->si_code != CLD_EXITED)
		how = "signal";
	return err_set(err, EKEYREJECTED,
		       "password_command: %s ended with %s %d%s%s "
		       "(run it by hand as the user who mounted)",
		       c->argv[0], how, info->si_status, colon, r->complaint);
}

static int finish(struct run *r, const struct command *c, struct err *err)
{
	siginfo_t info = {0};
	int rc = collect(r);

	if (reap(r, rc < 0, &info) < 0)
		return err_sys(err, EKEYREJECTED,
			       "password_command: %s: the exit status is lost",
			       c->argv[0]);
	if (rc == -ECANCELED)
		return err_set(err, EKEYREJECTED,
			       "password_command: %s was killed: connfs ends",
			       c->argv[0]);
	if (rc < 0)
		return err_set(err, EKEYREJECTED,
			       "password_command: %s was killed: it had not "
			       "ended after %u s",
			       c->argv[0], auth_command_limit_ms / 1000);
	return judge(r, c, &info, err);
}

static int command_issue(void *state, struct credential *out, struct err *err)
{
	const struct command *c = state;
	struct run r = {.pid = -1, .pidfd = -1, .out = -1, .err = -1};
	int rc;

	if (secret_alloc(&r.text, AUTH_LINE_MAX + 2 + 2 * STEP) < 0)
		return err_set(err, ENOMEM, "password_command: out of memory");
	rc = start(&r, c, err);
	if (rc == 0) {
		rc = finish(&r, c, err);
	} else if (r.pid > 0) {
		siginfo_t info;

		(void)reap(&r, true, &info);
	}
	if (rc == 0)
		rc = auth_first_line(&out->password, r.text.data, r.len,
				     "password_command", err);
	secret_finish(&r.text);
	cleanup_close(&r.pidfd);
	cleanup_close(&r.out);
	cleanup_close(&r.err);
	return rc;
}

const struct auth_provider auth_command_provider = {
	.source = "command",
	.create = command_create,
	.issue = command_issue,
	.destroy = command_destroy,
};

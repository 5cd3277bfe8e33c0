/* SPDX-License-Identifier: MIT */
#include "auth/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/env.h"
#include "common/cleanup.h"
#include "common/clock.h"

enum {
	STEP = 4096,     /* bytes of one read */
	COMPLAINT = 200, /* bytes of stderr that are shown */
	LOOK_MS = 100,   /* how often a wait looks whether it is to end */
};

static atomic_bool stopping;

void program_stop(void)
{
	atomic_store(&stopping, true);
}

/* One run of the program. */
struct run {
	const struct program *program;
	pid_t pid;
	int pidfd;
	int out; /* our ends of its stdout and stderr */
	int err;
	struct secret text; /* room for what is kept, and a read */
	size_t len;
	bool out_done; /* as much as is kept is there, or stdout ended */
	char complaint[COMPLAINT + 1];
	size_t complaint_len;
	bool err_done;
};

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

/* 0 or a positive errno, as posix_spawnp() has it. */
static int spawn(struct run *r, int out, int err)
{
	char *const *argv = r->program->argv;
	posix_spawn_file_actions_t files;
	struct auth_environ environment;
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
		if (rc == 0)
			rc = -auth_environ_enter(&environment);
		if (rc == 0) {
			rc = posix_spawnp(&r->pid, argv[0], &files, &attr, argv,
					  environment.vars);
			auth_environ_leave(&environment);
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

static int start(struct run *r, struct err *err)
{
	const struct program *p = r->program;
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
		return err_sys(err, -rc, "%s: pipe", p->what);
	rc = spawn(r, out, complaints);
	if (rc != 0)
		return err_sys(err, rc, "%s: %s cannot be started", p->what,
			       p->argv[0]);
	r->pidfd = pidfd_open(r->pid, 0);
	if (r->pidfd < 0)
		return err_sys(err, errno, "%s: pidfd_open", p->what);
	return 0;
}

/*
 * Reads what is there of stdout: 1, 0 when there is nothing for now, -1 at its
 * end. What is not kept is taken as well, so that the program need not wait.
 */
static int read_out(struct run *r)
{
	ssize_t n = read(r->out, r->text.data + r->len, STEP);

	if (n < 0)
		return 0;
	if (n == 0)
		r->out_done = true;
	if (r->out_done)
		return n == 0 ? -1 : 1;
	r->len += (size_t)n;
	if (r->len >= r->program->max) {
		r->len = r->program->max;
		r->out_done = true;
	}
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

/*
 * Until the program has ended. 0, -ETIMEDOUT, or -ECANCELED by program_stop().
 */
static int collect(struct run *r)
{
	uint64_t deadline = clock_mono_ms() + r->program->limit_ms;
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

static int judge(struct run *r, const siginfo_t *info, struct err *err)
{
	const char *colon = r->complaint_len > 0 ? ": " : "";
	const char *how = "exit status";

	if (info->si_code == CLD_EXITED && info->si_status == 0)
		return 0;
	if (info->si_code != CLD_EXITED)
		how = "signal";
	return err_set(err, EKEYREJECTED,
		       "%s: %s ended with %s %d%s%s "
		       "(run it by hand as the user who mounted)",
		       r->program->what, r->program->argv[0], how,
		       info->si_status, colon, r->complaint);
}

static int finish(struct run *r, struct err *err)
{
	const struct program *p = r->program;
	siginfo_t info = {0};
	int rc = collect(r);

	if (reap(r, rc < 0, &info) < 0)
		return err_sys(err, EKEYREJECTED,
			       "%s: %s: the exit status is lost", p->what,
			       p->argv[0]);
	if (rc == -ECANCELED)
		return err_set(err, EKEYREJECTED,
			       "%s: %s was killed: connfs ends", p->what,
			       p->argv[0]);
	if (rc < 0)
		return err_set(err, EKEYREJECTED,
			       "%s: %s was killed: it had not ended after %u s",
			       p->what, p->argv[0], p->limit_ms / 1000);
	return judge(r, &info, err);
}

int program_run(struct secret *out, const struct program *program,
		struct err *err)
{
	struct run r = {
		.program = program,
		.pid = -1,
		.pidfd = -1,
		.out = -1,
		.err = -1,
	};
	int rc;

	if (secret_alloc(&r.text, program->max + STEP) < 0)
		return err_set(err, ENOMEM, "%s: out of memory", program->what);
	rc = start(&r, err);
	if (rc == 0) {
		rc = finish(&r, err);
	} else if (r.pid > 0) {
		siginfo_t info;

		(void)reap(&r, true, &info);
	}
	if (rc == 0 && secret_set(out, r.text.data, r.len) < 0)
		rc = err_set(err, ENOMEM, "%s: out of memory", program->what);
	secret_finish(&r.text);
	cleanup_close(&r.pidfd);
	cleanup_close(&r.out);
	cleanup_close(&r.err);
	return rc;
}

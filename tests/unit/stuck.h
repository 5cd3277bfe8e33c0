/* SPDX-License-Identifier: MIT */
/*
 * Processes that are inside exec and stay there: it closes a file of a
 * filesystem that does not answer.
 */
#ifndef CONNFS_TESTS_UNIT_STUCK_H
#define CONNFS_TESTS_UNIT_STUCK_H

#define FUSE_USE_VERSION 34

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <sys/mount.h>

#include "tests/unit/check.h"
#include "tests/unit/children.h"

static char stuck_file[1024]; /* all of the filesystem */
static int stuck_flushes[2];  /* a byte for each FLUSH */

static inline void stuck_getattr(fuse_req_t req, fuse_ino_t ino,
				 struct fuse_file_info *fi)
{
	struct stat st = {.st_ino = ino, .st_mode = S_IFREG | 0400};

	(void)fi;
	(void)fuse_reply_attr(req, &st, 0);
}

static inline void stuck_open(fuse_req_t req, fuse_ino_t ino,
			      struct fuse_file_info *fi)
{
	(void)ino;
	(void)fuse_reply_open(req, fi);
}

static inline void stuck_flush(fuse_req_t req, fuse_ino_t ino,
			       struct fuse_file_info *fi)
{
	(void)req, (void)ino, (void)fi;
	CHECK(write(stuck_flushes[1], "f", 1) == 1);
}

static inline void run_stuck_server(int ready, void *arg)
{
	static const struct fuse_lowlevel_ops ops = {
		.getattr = stuck_getattr,
		.open = stuck_open,
		.flush = stuck_flush,
	};
	char name[] = "test";
	char *argv[] = {name, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct fuse_session *session =
		fuse_session_new(&args, &ops, sizeof(ops), NULL);
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char text[128];

	(void)arg;
	CHECK(session != NULL);
	CHECK(fd >= 0);
	(void)snprintf(text, sizeof(text),
		       "fd=%d,rootmode=100000,user_id=0,group_id=0", fd);
	CHECK(mount("test", stuck_file, "fuse", MS_NOSUID | MS_NODEV, text) ==
	      0);
	(void)snprintf(text, sizeof(text), "/dev/fd/%d", fd);
	CHECK(fuse_session_mount(session, text) == 0);
	child_says(ready, getpid());
	(void)fuse_session_loop(session);
}

/* Whoever is stuck goes on. */
static inline void stuck_unmount(void)
{
	(void)umount2(stuck_file, MNT_FORCE | MNT_DETACH);
}

/* The server, which ends at stuck_unmount(); that is called at exit too. */
static inline pid_t stuck_mount(void)
{
	pid_t server;

	check_write("stuck", 0600, "");
	(void)snprintf(stuck_file, sizeof(stuck_file), "%s",
		       check_path("stuck"));
	CHECK(pipe2(stuck_flushes, O_CLOEXEC) == 0);
	server = child_start(run_stuck_server, NULL);
	CHECK(atexit(stuck_unmount) == 0);
	return server;
}

/* Does not return: waits inside exec, and then for ever. */
static inline void stick(void)
{
	CHECK(open(stuck_file, O_RDONLY | O_CLOEXEC) >= 0);
	(void)execl("/bin/sh", "sh", "-c", "kill -STOP $$", NULL);
	_exit(1);
}

static inline void run_stuck_in_exec(int ready, void *arg)
{
	(void)arg;
	child_says(ready, getpid());
	stick();
}

/* Starts a child that says a number and then calls stick(). */
static inline pid_t stuck_start_as(pid_t *said, child_fn run)
{
	pid_t child = child_start_as(0, said, run, NULL);
	char byte;

	CHECK(read(stuck_flushes[0], &byte, 1) == 1);
	return child;
}

static inline pid_t stuck_start(child_fn run)
{
	return stuck_start_as(NULL, run);
}

static inline void stuck_end(pid_t server)
{
	stuck_unmount();
	CHECK(waitpid(server, NULL, 0) == server);
	(void)close(stuck_flushes[0]);
	(void)close(stuck_flushes[1]);
}

#endif

/* SPDX-License-Identifier: MIT */
#include "mount-helpers/job_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "mount-helpers/job_namespace.h"

enum {
	EXIT_MOUNT = 2,
	DEVICE_FD = 3, /* where connfs gets the FUSE device */
};

#define DEVICE "/dev/fuse"

struct daemon {
	char program[PATH_MAX];
	const char *source;
	const char *at;
	pid_t job;
};

static bool is_program(char out[PATH_MAX], const char *directory,
		       const char *name)
{
	int n = snprintf(out, PATH_MAX, "%s/%s", directory, name);

	return n < PATH_MAX && access(out, X_OK) == 0;
}

/* The caller's PATH has no say in what runs as root. */
static int find_program(char out[PATH_MAX], struct err *err)
{
	char own[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
	char *slash;

	if (n < 0)
		return err_sys(err, errno, "/proc/self/exe");
	own[n] = '\0';
	slash = strrchr(own, '/');
	if (slash != NULL)
		*slash = '\0';
	if (is_program(out, own, "connfs") ||
	    is_program(out, own, "../bin/connfs") ||
	    is_program(out, CONNFS_BINDIR, "connfs"))
		return 0;
	return err_set(err, ENOENT, "no connfs in %s, %s/../bin or %s", own,
		       own, CONNFS_BINDIR);
}

/* One descriptor, in both directions. */
struct parcel {
	char byte;
	struct iovec data;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct msghdr message;
};

static struct msghdr *parcel_init(struct parcel *p)
{
	*p = (struct parcel){0};
	p->data = (struct iovec){&p->byte, 1};
	p->message = (struct msghdr){
		.msg_iov = &p->data,
		.msg_iovlen = 1,
		.msg_control = p->control,
		.msg_controllen = sizeof(p->control),
	};
	return &p->message;
}

static int send_device(int sock, int device)
{
	struct parcel p;
	struct msghdr *message = parcel_init(&p);
	struct cmsghdr *c = CMSG_FIRSTHDR(message);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &device, sizeof(int));
	return sendmsg(sock, message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* -1: the job has ended, or said why there is none. */
static int receive_device(int sock)
{
	struct parcel p;
	struct msghdr *message = parcel_init(&p);
	struct cmsghdr *c;
	int device;
	ssize_t n;

	n = TEMP_FAILURE_RETRY(recvmsg(sock, message, MSG_CMSG_CLOEXEC));
	c = n == 1 ? CMSG_FIRSTHDR(message) : NULL;
	if (c == NULL || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof(int)))
		return -1;
	memcpy(&device, CMSG_DATA(c), sizeof(int));
	return device;
}

/*
 * In the child, still in the namespaces of the caller. Nothing that the job
 * inherited stays open in the daemon, be it a pipe or a lock.
 */
__attribute__((noreturn)) static void become_connfs(const struct daemon *d,
						    int sock)
{
	int device = receive_device(sock);
	char fd[16], until[16];

	if (device < 0)
		_exit(EXIT_MOUNT);
	(void)snprintf(fd, sizeof(fd), "%d", DEVICE_FD);
	(void)snprintf(until, sizeof(until), "%d", (int)d->job);
	if ((device == DEVICE_FD ? fcntl(device, F_SETFD, 0)
				 : dup2(device, DEVICE_FD)) >= 0 &&
	    close_range(DEVICE_FD + 1, ~0U, 0) == 0)
		(void)execl(d->program, "connfs", "--until", until, "--fd", fd,
			    "--", d->source, d->at, (char *)NULL);
	(void)fprintf(stderr, "connfs-job: %s: %m\n", d->program);
	_exit(EXIT_MOUNT);
}

static int open_device(struct err *err)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	const char *hint = "is the kernel's fuse module loaded?";

	if (fd >= 0)
		return fd;
	if (errno == EACCES)
		hint = "its mode must let every user read and write it (0666)";
	else if (errno == EPERM)
		hint = "the container must be given the device";
	else if (errno == ENOENT)
		hint = "load the kernel's fuse module, or give the container "
		       "the device";
	return err_set(err, errno, DEVICE ": %s; %s", strerrordesc_np(errno),
		       hint);
}

/* The device is opened where the mount is made: the kernel insists on it. */
static int make_mount(int *device, const struct daemon *d, struct err *err)
{
	char options[128];
	bool own_users;
	int rc = job_namespace(&own_users, err);

	if (rc < 0)
		return rc;
	*device = open_device(err);
	if (*device < 0)
		return *device;
	/* In a user namespace of one user there is nobody else. */
	(void)snprintf(options, sizeof(options),
		       "fd=%d,rootmode=40000,user_id=%u,group_id=%u%s", *device,
		       geteuid(), getegid(), own_users ? "" : ",allow_other");
	if (mount(d->source, d->at, "fuse.connfs", MS_NOSUID | MS_NODEV,
		  options) < 0)
		return job_namespace_refused(errno, d->at, err);
	return 0;
}

static int wait_for_connfs(pid_t child, struct err *err)
{
	int status;

	if (TEMP_FAILURE_RETRY(waitpid(child, &status, 0)) < 0)
		return err_sys(err, errno, "connfs");
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	return err_set(err, EIO, "connfs ended by signal %d", WTERMSIG(status));
}

int job_mount(const char *source, const char *at, struct err *err)
{
	struct daemon d = {.source = source, .at = at, .job = getpid()};
	auto_close int sock = -1;
	auto_close int other = -1;
	auto_close int device = -1;
	int socks[2];
	pid_t child;
	int rc = find_program(d.program, err);

	if (rc < 0)
		return rc;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0)
		return err_sys(err, errno, "socketpair");
	sock = socks[0];
	other = socks[1];
	child = fork();
	if (child < 0)
		return err_sys(err, errno, "fork");
	if (child == 0) {
		(void)close(sock);
		become_connfs(&d, other);
	}
	(void)close(take_fd(&other));
	rc = make_mount(&device, &d, err);
	if (rc == 0) {
		rc = send_device(sock, device);
		if (rc < 0)
			(void)err_sys(err, -rc, "connfs");
	}
	if (rc < 0) {
		(void)close(take_fd(&sock));
		(void)TEMP_FAILURE_RETRY(waitpid(child, NULL, 0));
		return rc;
	}
	return wait_for_connfs(child, err);
}

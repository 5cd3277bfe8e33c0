/* SPDX-License-Identifier: MIT */
#include "fs/ready.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/log.h"
#include "common/mountinfo.h"
#include "fs/config.h"
#include "fs/mount_at.h"
#include "fs/pathname.h"
#include "fs/probe.h"

enum {
	EXIT_USAGE = 1,
	EXIT_NOT_READY = 2,
	MOUNT_MS = 5000,  /* for the mount to answer, without --wait */
	LOGIN_MS = 15000, /* for a connection: connect_timeout and an answer */
	LAST_MS = 1000,   /* what the last attempt has at the least */
	PAUSE_MS = 100, /* after the first attempt; twice that after the next */
	PAUSE_MAX_MS = 5000,
	PATH_TEXT_MAX =
		4096,   /* of conn_id in the tree: each byte may be three */
	TEXT_MAX = 1024 /* of an answer */
};

/* How far an attempt has come. */
enum step { STEP_MOUNT, STEP_READY, STEP_LOGIN };

/* In memory that the probe shares: it tells what it has found. */
struct attempt {
	const char *mountpoint;
	const char *conn; /* null: none is asked for */
	enum step step;
	struct err err;
};

/* "/conn: not mounted: what is there". */
static int tell_place(const struct attempt *a, const struct mount_at *at,
		      struct err *err)
{
	if (at->is_connfs)
		return err_set(err, ENOTCONN,
			       "%s: not a mount point, but below the one of %s",
			       a->mountpoint, at->mountpoint);
	if (at->is_root)
		return err_set(err, ENOTCONN,
			       "%s: not mounted: %s is, of type %s",
			       a->mountpoint, at->source, at->type);
	return err_set(err, ENOTCONN,
		       "%s: not mounted: it is a directory on %s, of type %s",
		       a->mountpoint, at->mountpoint, at->type);
}

static int tell_failure(const struct attempt *a, const struct mount_at *at,
			int code, struct err *err)
{
	switch (code) {
	case ENOTCONN:
	case ECONNABORTED:
		return err_sys(err, code,
			       "%s: the connfs there, of %s, has ended",
			       a->mountpoint, at->source);
	case EACCES:
		return err_sys(err, code,
			       "%s: mounted, but without allow_other, and by "
			       "another user",
			       a->mountpoint);
	default:
		return err_sys(err, code, "%s: .connfs/ready", a->mountpoint);
	}
}

static int check_ready(const struct attempt *a, const struct mount_at *at,
		       struct err *err)
{
	auto_close int fd =
		openat(at->fd, ".connfs/ready", O_RDONLY | O_CLOEXEC);
	char text[TEXT_MAX];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));

	if (n < 0)
		return tell_failure(a, at, errno, err);
	while (n > 0 && text[n - 1] == '\n')
		n--;
	if (n == 5 && memcmp(text, "ready", 5) == 0)
		return 0;
	return err_set(err, EAGAIN, "%s: .connfs/ready: %.*s", a->mountpoint,
		       (int)n, text);
}

/* conn_id, or the names that it has in the tree. */
static int tree_path(struct buf *out, const char *conn)
{
	const char *component;
	size_t len;

	while (pathname_next(&conn, &component, &len)) {
		char name[PATHNAME_MAX + 1], shown[PATHNAME_MAX + 1];

		if (len > PATHNAME_MAX)
			return -ENAMETOOLONG;
		memcpy(shown, component, len);
		shown[len] = '\0';
		if (pathname_decode(name, shown) == 0)
			buf_puts(out, shown);
		else if (pathname_encode(name, component, len) == 0)
			buf_puts(out, name);
		else
			return -ENAMETOOLONG;
		buf_putc(out, '/');
	}
	buf_puts(out, "query.sql");
	return buf_cstr(out) != NULL ? 0 : -ENAMETOOLONG;
}

static int open_exchange(const struct attempt *a, int root, struct err *err)
{
	struct buf path;
	int rc, fd = -1;

	buf_init(&path, PATH_TEXT_MAX);
	rc = tree_path(&path, a->conn);
	if (rc == 0) {
		fd = openat(root, buf_cstr(&path), O_RDWR | O_CLOEXEC);
		rc = fd < 0 ? -errno : 0;
	}
	buf_finish(&path);
	if (rc == -ENOENT)
		return err_set(err, ENOENT,
			       "%s: %s: no such connection, or none that this "
			       "user may use",
			       a->mountpoint, a->conn);
	return rc < 0 ? err_sys(err, -rc, "%s: %s", a->mountpoint, a->conn)
		      : fd;
}

/* In the server's words, as far as there are any: their first line. */
static int tell_refusal(const struct attempt *a, int fd, int code,
			struct err *err)
{
	char text[XATTR_SIZE_MAX + 1];
	ssize_t n = fgetxattr(fd, "user.connfs.error", text, XATTR_SIZE_MAX);

	if (n <= 0)
		return err_sys(err, code, "%s: %s: select 1", a->mountpoint,
			       a->conn);
	text[n] = '\0';
	return err_set(err, code, "%s: %s: select 1: %.*s", a->mountpoint,
		       a->conn, (int)strcspn(text, "\n"), text);
}

/* An exchange: nobody's files change, and its session is its own. */
static int check_login(const struct attempt *a, int root, struct err *err)
{
	static const char sql[] = "select 1;";
	auto_close int fd = open_exchange(a, root, err);
	char rows[TEXT_MAX];
	ssize_t n;

	if (fd < 0)
		return fd;
	if (write(fd, sql, sizeof(sql) - 1) < 0)
		return tell_refusal(a, fd, errno, err);
	do
		n = read(fd, rows, sizeof(rows));
	while (n > 0);
	return n < 0 ? tell_refusal(a, fd, errno, err) : 0;
}

/* In the probe. */
static int ask(int fd, void *arg)
{
	struct attempt *a = arg;
	auto_mount_at struct mount_at at;

	(void)fd;
	a->step = STEP_MOUNT;
	if (mount_at_open(&at, a->mountpoint, O_DIRECTORY, &a->err) < 0)
		return EXIT_NOT_READY;
	if (!at.is_connfs || !at.is_root) {
		(void)tell_place(a, &at, &a->err);
		return EXIT_NOT_READY;
	}
	a->step = STEP_READY;
	if (check_ready(a, &at, &a->err) < 0)
		return EXIT_NOT_READY;
	if (a->conn == NULL)
		return EXIT_SUCCESS;
	a->step = STEP_LOGIN;
	return check_login(a, at.fd, &a->err) < 0 ? EXIT_NOT_READY
						  : EXIT_SUCCESS;
}

static void tell_timeout(struct attempt *a, unsigned ms)
{
	double s = ms / 1000.0;

	if (a->step == STEP_LOGIN)
		(void)err_set(&a->err, ETIMEDOUT,
			      "%s: %s: no answer to select 1 within %g s",
			      a->mountpoint, a->conn, s);
	else
		(void)err_set(&a->err, ETIMEDOUT,
			      "%s: %s does not answer within %g s",
			      a->mountpoint,
			      a->step == STEP_READY ? "the connfs there"
						    : "what is there",
			      s);
}

static bool try_once(struct attempt *a, unsigned ms)
{
	int rc = probe_run(ask, -1, a, ms);

	if (rc == -ETIMEDOUT)
		tell_timeout(a, ms);
	else if (rc < 0)
		(void)err_sys(&a->err, -rc, "%s", a->mountpoint);
	return rc == 0;
}

/*
 * A mount is seen when it comes. A server is not asked again because somebody
 * mounts something, and less and less often.
 */
static void pause_after(const struct attempt *a, int mounts, unsigned *again,
			unsigned left)
{
	bool dials = a->step == STEP_LOGIN;
	unsigned ms = dials ? *again : PAUSE_MAX_MS;
	struct pollfd change = {
		.fd = dials ? -1 : mounts,
		.events = POLLPRI,
	};

	*again = dials && *again < PAUSE_MAX_MS ? *again * 2 : *again;
	(void)poll(&change, 1, (int)(ms < left ? ms : left));
}

static unsigned left_until(uint64_t deadline)
{
	return (unsigned)clock_poll_timeout(deadline);
}

static bool try_until(struct attempt *a, uint64_t deadline)
{
	auto_close int mounts = open(MOUNTINFO_SELF, O_RDONLY | O_CLOEXEC);
	unsigned again = PAUSE_MS, left = left_until(deadline);

	while (!try_once(a, left > LAST_MS ? left : LAST_MS)) {
		left = left_until(deadline);
		if (left == 0)
			return false;
		pause_after(a, mounts, &again, left);
		left = left_until(deadline);
	}
	return true;
}

static int parse(struct attempt *a, uint64_t *wait_ms, int argc, char **argv,
		 struct err *err)
{
	static const struct option long_options[] = {
		{"wait", required_argument, NULL, 'w'},
		{0},
	};
	struct err why;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
		if (c != 'w')
			return err_set(err, EINVAL,
				       "unknown option or missing value: %s",
				       argv[optind - 1]);
		if (!config_duration(wait_ms, optarg) || *wait_ms > INT_MAX)
			return err_set(err, EINVAL,
				       "--wait %s: must be seconds, or a text "
				       "like \"15m\" (ms s m h d w)",
				       optarg);
	}
	if (argc - optind < 1)
		return err_set(err, EINVAL, "MOUNTPOINT is missing");
	if (argc - optind > 2)
		return err_set(err, EINVAL, "too many arguments");
	a->mountpoint = argv[optind];
	a->conn = argv[optind + 1];
	if (a->conn != NULL && pathname_check(a->conn, &why) < 0)
		return err_set(err, EINVAL, "CONN %s", why.msg);
	return 0;
}

int ready_main(int argc, char **argv)
{
	struct attempt *a = mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t wait_ms = 0;
	struct err err;
	bool ready;

	if (a == MAP_FAILED) {
		log_error("out of memory");
		return EXIT_NOT_READY;
	}
	if (parse(a, &wait_ms, argc, argv, &err) < 0) {
		log_error("%s; see connfs --help", err.msg);
		return EXIT_USAGE;
	}
	if (wait_ms > 0)
		ready = try_until(a, clock_mono_ms() + wait_ms);
	else
		ready = try_once(a, a->conn != NULL ? LOGIN_MS : MOUNT_MS);
	if (!ready)
		log_error("%s", a->err.msg);
	return ready ? EXIT_SUCCESS : EXIT_NOT_READY;
}

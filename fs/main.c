/* SPDX-License-Identifier: MIT */
/*
 * Starting and ending the daemon, as a list of stages.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "auth/auth.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/secret.h"
#include "common/secret_heap.h"
#include "fs/attach.h"
#include "fs/background.h"
#include "fs/caller.h"
#include "fs/config.h"
#include "fs/file.h"
#include "fs/jobs.h"
#include "fs/loop.h"
#include "fs/mount.h"
#include "fs/mount_watch.h"
#include "fs/mountpoint.h"
#include "fs/node.h"
#include "fs/ops.h"
#include "fs/ops_init.h"
#include "fs/options.h"
#include "fs/ready.h"
#include "fs/reload.h"
#include "fs/request.h"
#include "fs/service.h"
#include "fs/spool.h"
#include "fs/unmount.h"
#include "fs/version.h"

enum {
	EXIT_USAGE = 1,
	EXIT_MOUNT = 2,
	CHECK_MS = 1000, /* how often ended Unix sessions are looked for */
	END_MS = 4000,   /* for database sessions to log out */
};

struct daemon {
	struct mount mount;
	struct fuse_session *se;
	struct loop_timer check_timer;
	struct mount_watch mounted; /* is it still? */
	struct loop_watch until;    /* of a process: its pidfd */
	int ready_fd;               /* -1: in the foreground */
};

/*
 * Neither a core dump nor another process of ours shows what is in memory, and
 * no PG* variable that somebody left in the environment steers a login.
 */
static void close_up(void)
{
	const struct rlimit no_core = {0, 0};
	struct rlimit files;
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	const struct sigaction normal = {.sa_handler = SIG_DFL};
	char **var = environ;

	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)setrlimit(RLIMIT_CORE, &no_core);
	/* Callers are held by descriptors, see caller.h. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	(void)sigaction(SIGPIPE, &ignore, NULL);
	/* password_command is waited for: its end must not be ignored. */
	(void)sigaction(SIGCHLD, &normal, NULL);
	while (*var != NULL) {
		auto_free char *name = strndup(*var, strcspn(*var, "="));

		if (name != NULL && strncmp(name, "PG", 2) == 0 &&
		    unsetenv(name) == 0)
			continue; /* what came after it has moved up */
		var++;
	}
}

/*
 * Where the caller has closed one of them, what is opened next would get its
 * number, and lose it when the daemon lets go of the caller's.
 */
static void open_stdio(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	cleanup_close(&fd);
}

/* The kernel would abort the whole mount over one long statement. */
static void warn_of_timeout(void)
{
	auto_fclose FILE *f =
		fopen("/proc/sys/fs/fuse/max_request_timeout", "re");
	char line[32];
	unsigned long seconds = 0;

	if (f != NULL && fgets(line, sizeof(line), f) != NULL)
		seconds = strtoul(line, NULL, 10);
	if (seconds > 0)
		log_warn("fs.fuse.max_request_timeout is %lu s: the kernel "
			 "will end this mount when a statement takes longer; "
			 "set it to 0",
			 seconds);
}

/* libfuse says a line in pieces. From the loop's thread alone. */
__attribute__((format(printf, 2, 0))) static void on_fuse_log(
	enum fuse_log_level level, const char *fmt, va_list ap)
{
	enum log_level ours = LOG_LEVEL_INFO;
	static char line[512];
	size_t len = strlen(line);

	if (level <= FUSE_LOG_ERR)
		ours = LOG_LEVEL_ERROR;
	else if (level <= FUSE_LOG_WARNING)
		ours = LOG_LEVEL_WARN;
	(void)vsnprintf(line + len, sizeof(line) - len, fmt, ap);
	len = strcspn(line, "\n");
	if (line[len] == '\0' && len + 1 < sizeof(line))
		return; /* not at its end yet */
	line[len] = '\0';
	log_write(ours, NULL, "%s", line);
	line[0] = '\0';
}

static void show_spec_errors(const struct config *config)
{
	for (size_t i = 0; i < config->n_errors; i++)
		log_warn("%s", config->errors[i].text);
}

static void on_hup(void *arg)
{
	reload_request(arg);
}

static void after_each(void *arg)
{
	struct mount *m = arg;

	request_table_check(m->requests);
}

static void on_check_timer(struct loop_timer *timer)
{
	struct daemon *d =
		(struct daemon *)((char *)timer -
				  offsetof(struct daemon, check_timer));

	mount_check_conversations(&d->mount);
	(void)loop_timer_start(d->mount.loop, timer, CHECK_MS);
}

static void on_init(void *arg)
{
	struct daemon *d = arg;

	service_ready(&d->mount);
	if (d->ready_fd >= 0)
		background_ready(take_fd(&d->ready_fd));
	log_info("mounted, %zu connections", d->mount.config->n_specs);
}

static int create_parts(struct mount *m, struct err *err)
{
	const struct settings *s = &m->config->settings;
	const struct spool_limits limits = {
		.dir = s->spool_dir,
		.memory = s->spool_memory,
		.memory_total = s->spool_memory_total,
		.disk_total = s->spool_disk,
	};
	int rc = loop_create(&m->loop, err);

	/* Before threads and the mount: none of them is left to a signal. */
	if (rc == 0)
		rc = loop_signals(m->loop, on_hup, m, err);
	if (rc < 0)
		return rc;
	m->started_wall = clock_wall_ms();
	m->requests = request_table_create(m->loop);
	m->spools = spool_pool_create(&limits);
	m->disk = jobs_create(m->loop);
	m->encoding = jobs_create(m->loop);
	m->nodes = node_table_create(m);
	m->env = env_reader_create();
	if (m->requests == NULL || m->spools == NULL || m->disk == NULL ||
	    m->encoding == NULL || m->nodes == NULL || m->env == NULL ||
	    mount_apply_config(m) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return caller_init(err);
}

static void destroy_parts(struct mount *m)
{
	env_reader_destroy(m->env);
	jobs_destroy(m->encoding);
	jobs_destroy(m->disk);
	node_table_destroy(m->nodes);
	mount_finish(m);
	/* Events that were posted last hold what they speak of. */
	loop_drain(m->loop, 0, mount_is_quiet, m);
	spool_pool_destroy(m->spools);
	request_table_destroy(m->requests);
	loop_destroy(m->loop);
	config_destroy(m->config);
}

static int add_arg(struct fuse_args *args, const char *option)
{
	return fuse_opt_add_arg(args, "-o") < 0 ||
			       fuse_opt_add_arg(args, option) < 0
		       ? -ENOMEM
		       : 0;
}

/* A comma in SOURCE's name is one, and not the end of the option. */
static int add_names(struct fuse_args *args, const char *source)
{
	char *options = NULL, *name;
	int rc = -ENOMEM;

	if (asprintf(&name, "fsname=%s", source) < 0)
		return -ENOMEM;
	if (fuse_opt_add_opt(&options, "subtype=connfs") == 0 &&
	    fuse_opt_add_opt_escaped(&options, name) == 0)
		rc = add_arg(args, options);
	free(name);
	free(options);
	return rc;
}

static struct fuse_session *create_session(struct daemon *d,
					   const struct options *o)
{
	struct fuse_args args = {0};
	struct fuse_session *se = NULL;
	int rc = fuse_opt_add_arg(&args, "connfs");

	if (rc == 0)
		rc = add_names(&args, o->source);
	for (size_t i = 0; i < o->n_fuse && rc == 0; i++)
		rc = add_arg(&args, o->fuse[i]);
	/* Last: whatever was asked for. */
	if (rc == 0)
		rc = add_arg(&args, "nosuid,nodev");
	if (rc == 0)
		se = fuse_session_new(&args, &connfs_ops, sizeof(connfs_ops),
				      &d->mount);
	fuse_opt_free_args(&args);
	return se;
}

/* The process that the mount is for has ended. */
static void on_until(struct loop_watch *watch)
{
	struct daemon *d = (struct daemon *)((char *)watch -
					     offsetof(struct daemon, until));

	log_info("ending with the process it is for");
	loop_unwatch(d->mount.loop, watch);
	loop_stop(d->mount.loop);
}

static int watch_until(struct daemon *d, pid_t pid, struct err *err)
{
	int rc;

	d->until.run = on_until;
	d->until.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (d->until.fd < 0)
		return err_sys(err, errno, "--until %d", pid);
	rc = loop_watch_start(d->mount.loop, &d->until, EPOLLIN);
	return rc < 0 ? err_sys(err, -rc, "--until %d", pid) : 0;
}

/* The mount, or the device of one that is there and is not in our sight. */
static int mount_or_take(struct fuse_session *se, const struct options *o)
{
	char device[32];

	if (o->fd < 0)
		return fuse_session_mount(se, o->mountpoint);
	(void)fcntl(o->fd, F_SETFD, FD_CLOEXEC);
	(void)snprintf(device, sizeof(device), "/dev/fd/%d", o->fd);
	return fuse_session_mount(se, device);
}

/* EXIT_SUCCESS, or the exit status; libfuse has said why. */
static int mount_session(struct daemon *d, const struct options *o)
{
	/* One for a process is in its own mount namespace, most likely. */
	bool is_shared = o->until == 0;
	__attribute__((unused)) auto_close int lock =
		is_shared ? mountpoint_lock(o->mountpoint) : -1;
	struct err err;

	if ((o->fd >= 0 && caller_take_ns(o->until, &err) < 0) ||
	    (o->fd < 0 && mountpoint_clear(o->mountpoint, &err) < 0) ||
	    (o->until != 0 && watch_until(d, o->until, &err) < 0)) {
		log_error("%s", err.msg);
		return EXIT_MOUNT;
	}
	if (is_shared)
		mountpoint_prepare(o->mountpoint, o->source);
	fuse_set_log_func(on_fuse_log);
	d->se = create_session(d, o);
	if (d->se == NULL)
		return EXIT_USAGE; /* an option it does not know */
	if (mount_or_take(d->se, o) < 0) {
		mountpoint_explain(o->mountpoint);
		return EXIT_MOUNT;
	}
	ops_on_init(on_init, d);
	if (ops_patch_session(d->se, &err) == 0 &&
	    (o->fd >= 0 || mount_watch_start(&d->mounted, d->mount.loop,
					     o->mountpoint, &err) == 0))
		return EXIT_SUCCESS;
	log_error("%s", err.msg);
	fuse_session_unmount(d->se);
	return EXIT_MOUNT;
}

static int serve(struct daemon *d)
{
	struct mount *m = &d->mount;
	struct unmount off;
	int rc;

	d->check_timer.run = on_check_timer;
	(void)loop_timer_start(m->loop, &d->check_timer, CHECK_MS);
	rc = loop_run(m->loop, d->se, after_each, m);
	if (rc < 0)
		log_error("the FUSE device failed: %s", strerrordesc_np(-rc));
	loop_timer_stop(m->loop, &d->check_timer);
	mount_watch_stop(&d->mounted);
	loop_unwatch(m->loop, &d->until);
	service_stopping(m);
	/*
	 * Nobody finds the mount, nobody is left waiting, then nothing is left
	 * running.
	 */
	auth_stop();
	unmount_begin(&off, d->se, d->mounted.dev);
	request_table_fail_all(m->requests, ENOTCONN);
	mount_end_all(m);
	unmount_finish(&off, d->se);
	handle_release_all(m);
	loop_drain(m->loop, END_MS, mount_is_quiet, m);
	return rc < 0 ? EXIT_MOUNT : EXIT_SUCCESS;
}

static int run(struct daemon *d, const struct options *o)
{
	struct mount *m = &d->mount;
	struct err err = {0};
	int rc;

	m->source = o->source;
	m->mountpoint = o->mountpoint;
	m->options = (const char *const *)o->settings;
	/* Here, as what is locked does not survive the fork before. */
	if (auth_take_aws_env() < 0) {
		log_error("out of memory");
		return EXIT_MOUNT;
	}
	if (config_load(&m->config, o->source, m->options, &err) < 0) {
		log_error("%s", err.msg);
		return EXIT_USAGE;
	}
	secret_wipe_stack();
	show_spec_errors(m->config);
	warn_of_timeout();
	if (create_parts(m, &err) < 0) {
		log_error("%s", err.msg);
		return EXIT_MOUNT;
	}
	rc = mount_session(d, o);
	if (rc == EXIT_SUCCESS)
		rc = serve(d);
	if (d->se != NULL)
		fuse_session_destroy(d->se);
	/* A worker that a dead server holds must not hold us. */
	if (!mount_is_quiet(m)) {
		log_warn("a database session, or what reads a password or "
			 "SOURCE, did not end in time");
		_exit(rc);
	}
	destroy_parts(m);
	cleanup_close(&d->until.fd);
	return rc;
}

static int check(const struct options *o)
{
	struct config *config;
	struct err err;
	int rc;

	if (config_load(&config, o->source, (const char *const *)o->settings,
			&err) < 0) {
		log_error("%s", err.msg);
		return EXIT_USAGE;
	}
	rc = config_check(config);
	config_destroy(config);
	return rc;
}

/* What is done without a daemon; null: argv is not one of these. */
static int (*command(int argc, char **argv))(int argc, char **argv)
{
	static const struct {
		const char *word;
		int (*run)(int argc, char **argv);
	} commands[] = {
		{"--ready", ready_main},
		{"attach", attach_main},
		{"detach", detach_main},
	};

	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (argc > 1 && strcmp(argv[1], commands[i].word) == 0)
			return commands[i].run;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int (*run_command)(int argc, char **argv) = command(argc, argv);
	struct daemon d = {.ready_fd = -1, .until.fd = -1};
	struct options o;
	struct err err;
	int rc = EXIT_SUCCESS;

	log_find_journal();
	if (run_command != NULL)
		return run_command(argc - 1, argv + 1);
	secret_heap_init();
	if (options_parse(&o, argc, argv, &err) < 0) {
		log_error("%s", err.msg);
		options_finish(&o);
		return EXIT_USAGE;
	}
	if (o.debug)
		log_enable_debug();
	open_stdio();
	close_up();
	/* In the background it is part of what its starter runs. */
	notify_take_env(o.foreground);
	if (o.help) {
		(void)fputs(options_help, stdout);
	} else if (o.version) {
		(void)puts("connfs " CONNFS_VERSION);
	} else if (o.check) {
		rc = check(&o);
	} else {
		if (!o.foreground)
			d.ready_fd = background_start();
		(void)chdir("/");
		rc = run(&d, &o);
	}
	options_finish(&o);
	return rc;
}

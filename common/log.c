/* SPDX-License-Identifier: MIT */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

static bool use_syslog;
static bool use_journal;
static bool debug;

void log_find_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char name[64];
	struct stat st;

	/* It may be inherited, and stderr be something else by now. */
	if (stream == NULL || fstat(STDERR_FILENO, &st) < 0)
		return;
	(void)snprintf(name, sizeof(name), "%ju:%ju", (uintmax_t)st.st_dev,
		       (uintmax_t)st.st_ino);
	use_journal = strcmp(stream, name) == 0;
}

void log_to_syslog(void)
{
	openlog("connfs", LOG_PID | LOG_NDELAY, LOG_DAEMON);
	use_syslog = true;
}

void log_enable_debug(void)
{
	debug = true;
}

void log_write(enum log_level level, const char *conn_id, const char *fmt, ...)
{
	static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO,
					 LOG_DEBUG};
	static const char *const names[] = {"error: ", "warning: ", "",
					    "debug: "};
	char prefix[16] = "connfs: ";
	int saved = errno;
	char line[1024];
	va_list ap;

	if (level == LOG_LEVEL_DEBUG && !debug)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	for (char *p = line; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	}
	/* The journal adds the name itself. */
	if (use_journal)
		(void)snprintf(prefix, sizeof(prefix), "<%d>",
			       priorities[level]);
	if (use_syslog)
		syslog(priorities[level], "%s%s%s%s", names[level],
		       conn_id != NULL ? conn_id : "",
		       conn_id != NULL ? ": " : "", line);
	else
		(void)fprintf(stderr, "%s%s%s%s%s\n", prefix, names[level],
			      conn_id != NULL ? conn_id : "",
			      conn_id != NULL ? ": " : "", line);
	errno = saved;
}

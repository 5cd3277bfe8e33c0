/* SPDX-License-Identifier: MIT */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

static bool use_syslog;
static bool debug;

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
	if (use_syslog)
		syslog(priorities[level], "%s%s%s%s", names[level],
		       conn_id != NULL ? conn_id : "",
		       conn_id != NULL ? ": " : "", line);
	else
		(void)fprintf(stderr, "connfs: %s%s%s%s\n", names[level],
			      conn_id != NULL ? conn_id : "",
			      conn_id != NULL ? ": " : "", line);
	errno = saved;
}

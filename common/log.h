/* SPDX-License-Identifier: MIT */
/*
 * One line per event, to stderr or to syslog. Any thread; errno is preserved.
 * Where stderr is a stream of the journal (JOURNAL_STREAM), lines begin with
 * their priority as sd-daemon(3) has it.
 *
 * No newline and no period in the format. SQL text and row data appear at
 * debug only; passwords and tokens never.
 */
#ifndef CONNFS_COMMON_LOG_H
#define CONNFS_COMMON_LOG_H

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

/* Before the first thread is started. Until then: stderr, without debug. */
void log_find_journal(void);
void log_to_syslog(void);
void log_enable_debug(void);

/* conn_id may be null. */
void log_write(enum log_level level, const char *conn_id, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(...)                log_write(LOG_LEVEL_ERROR, NULL, __VA_ARGS__)
#define log_warn(...)                 log_write(LOG_LEVEL_WARN, NULL, __VA_ARGS__)
#define log_info(...)                 log_write(LOG_LEVEL_INFO, NULL, __VA_ARGS__)
#define log_debug(...)                log_write(LOG_LEVEL_DEBUG, NULL, __VA_ARGS__)
#define conn_log(conn_id, level, ...) log_write(level, conn_id, __VA_ARGS__)

#endif

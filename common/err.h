/* SPDX-License-Identifier: MIT */
/*
 * Why something failed: an errno and one line for a person.
 *
 * Lives on the caller's stack, is written on failure only and owns nothing.
 * The line names the object and the reason; it never holds a secret.
 */
#ifndef CONNFS_COMMON_ERR_H
#define CONNFS_COMMON_ERR_H

/* Of a server with several addresses each may have its own reason. */
enum { ERR_MSG_SIZE = 1000 };

struct err {
	int code;               /* positive errno, 0: nothing is recorded */
	char sqlstate[6];       /* five characters from the server, or "" */
	char msg[ERR_MSG_SIZE]; /* no newline, no secret, no trailing period */
};

/*
 * Records a failure and returns -code, so that a function can end with
 * `return err_set(err, EACCES, "...")`. Control characters become spaces; a
 * text that is too long ends in "...". Null err is allowed.
 */
int err_set(struct err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Records errno value code with its own text behind the message. */
int err_sys(struct err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif

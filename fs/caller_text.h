/* SPDX-License-Identifier: MIT */
/* Text that a caller has chosen, made fit to be shown. */
#ifndef CONNFS_FS_CALLER_TEXT_H
#define CONNFS_FS_CALLER_TEXT_H

#include <stddef.h>

/*
 * Appends text to the string in out, which has size bytes with its terminator,
 * without control characters, what is no UTF-8, and the ASCII characters of
 * drop; what does not fit is cut off at a character. Returns the new length.
 */
size_t caller_text(char *out, size_t size, const char *text, size_t len,
		   const char *drop);

#endif

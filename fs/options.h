/* SPDX-License-Identifier: MIT */
/* The command line. */
#ifndef CONNFS_FS_OPTIONS_H
#define CONNFS_FS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;

struct options {
	bool help;
	bool version;
	bool check;
	bool foreground;
	bool debug;
	pid_t until;      /* ends when this process has ended; 0: none */
	int fd;           /* of the mount, which that process made; -1: none */
	char *source;     /* absolute, its links not resolved */
	char *mountpoint; /* absolute; null with check */
	char **settings;  /* key=value and "ro", null-terminated */
	size_t n_settings;
	char **fuse; /* options for the mount itself, null-terminated */
	size_t n_fuse;
};

extern const char options_help[];

/* 0, -EINVAL for a command line that makes no sense, or -ENOMEM. */
int options_parse(struct options *out, int argc, char **argv, struct err *err);
void options_finish(struct options *options);

#endif

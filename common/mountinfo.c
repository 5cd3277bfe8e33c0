/* SPDX-License-Identifier: MIT */
#include "common/mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/cleanup.h"

/* Blanks and backslashes stand there as three octal digits. */
static void unescape(char *text)
{
	char *out = text;

	for (const char *in = text; *in != '\0';) {
		if (in[0] == '\\' && in[1] >= '0' && in[1] <= '3' &&
		    in[2] >= '0' && in[2] <= '7' && in[3] >= '0' &&
		    in[3] <= '7') {
			*out++ = (char)((in[1] - '0') * 64 + (in[2] - '0') * 8 +
					(in[3] - '0'));
			in += 4;
		} else {
			*out++ = *in++;
		}
	}
	*out = '\0';
}

/* The next word of the line, unescaped; "" at its end. */
static const char *take(char **rest)
{
	char *word = strsep(rest, " ");

	if (word == NULL)
		return "";
	unescape(word);
	return word;
}

static dev_t parse_dev(const char *text)
{
	char *rest;
	unsigned long major = strtoul(text, &rest, 10);
	unsigned long minor = *rest == ':' ? strtoul(rest + 1, NULL, 10) : 0;

	return makedev((unsigned)major, (unsigned)minor);
}

/* "36 35 98:0 /root /mnt rw,noatime shared:1 - ext3 /dev/root rw" */
static void parse(struct mountinfo *out, char *line)
{
	char *rest = line;
	const char *word;

	out->id = (int)strtol(take(&rest), NULL, 10);
	out->parent = (int)strtol(take(&rest), NULL, 10);
	out->dev = parse_dev(take(&rest));
	out->root = take(&rest);
	out->mountpoint = take(&rest);
	out->peers = 0;
	/* Options of the mount and optional fields, up to a lone hyphen. */
	while (rest != NULL && strcmp(word = take(&rest), "-") != 0) {
		if (strncmp(word, "shared:", 7) == 0)
			out->peers = (int)strtol(word + 7, NULL, 10);
	}
	out->type = take(&rest);
	out->source = take(&rest);
	out->options = take(&rest);
}

int mountinfo_each(const char *file,
		   bool (*visit)(void *arg, const struct mountinfo *m),
		   void *arg)
{
	auto_fclose FILE *f = fopen(file, "re");
	auto_free char *line = NULL;
	size_t size = 0;
	ssize_t n;

	if (f == NULL)
		return -errno;
	errno = 0;
	while ((n = getline(&line, &size, f)) > 0) {
		struct mountinfo m;

		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		parse(&m, line);
		if (!visit(arg, &m))
			return 0;
		errno = 0;
	}
	return -errno;
}

int mountinfo_id_of(int fd)
{
	static const char key[] = "mnt_id:";
	char text[512];
	const char *line;
	ssize_t n;

	(void)snprintf(text, sizeof(text), "/proc/self/fdinfo/%d", fd);
	auto_close int info = open(text, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return -errno;
	n = read(info, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	line = strstr(text, key);
	return line != NULL ? (int)strtol(line + sizeof(key) - 1, NULL, 10)
			    : -EIO;
}

bool mountinfo_has_option(const char *options, const char *option)
{
	size_t len = strlen(option);

	for (;;) {
		size_t n = strcspn(options, ",");

		if (n == len && memcmp(options, option, len) == 0)
			return true;
		if (options[n] == '\0')
			return false;
		options += n + 1;
	}
}

bool mountinfo_is_connfs(const struct mountinfo *m)
{
	return strcmp(m->type, "fuse.connfs") == 0;
}

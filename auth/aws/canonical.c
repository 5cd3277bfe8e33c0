/* SPDX-License-Identifier: MIT */
#include "auth/aws/canonical.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

struct slice {
	const char *data;
	size_t len;
};

struct param {
	struct slice name;
	struct slice value;
};

/* Drops the last "/segment" of what was put behind start. */
static void drop_segment(struct aws_text *out, size_t start)
{
	while (out->secret.len > start &&
	       out->secret.data[--out->secret.len] != '/')
		;
}

void canonical_path(struct aws_text *out, const char *path)
{
	size_t start = out->secret.len, len;

	for (const char *p = path; *p != '\0'; p += len) {
		p += strspn(p, "/");
		len = strcspn(p, "/");
		if (len == 2 && strncmp(p, "..", 2) == 0) {
			drop_segment(out, start);
		} else if (len > 0 && !(len == 1 && *p == '.')) {
			aws_text_putc(out, '/');
			aws_text_encode(out, p, len);
		}
	}
	len = strlen(path);
	if (out->secret.len == start || path[len - 1] == '/')
		aws_text_putc(out, '/');
}

static int compare_slices(const struct slice *a, const struct slice *b)
{
	size_t len = a->len < b->len ? a->len : b->len;
	int order = memcmp(a->data, b->data, len);

	return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

static int compare_params(const void *a, const void *b)
{
	const struct param *pa = a, *pb = b;
	int order = compare_slices(&pa->name, &pb->name);

	return order != 0 ? order : compare_slices(&pa->value, &pb->value);
}

static struct param param_at(const char *p)
{
	struct param param;

	param.name = (struct slice){p, strcspn(p, "=&")};
	p += param.name.len;
	if (*p == '=')
		p++;
	param.value = (struct slice){p, strcspn(p, "&")};
	return param;
}

static size_t count_params(const char *query)
{
	size_t n = 1;

	while ((query = strchr(query, '&')) != NULL) {
		n++;
		query++;
	}
	return n;
}

void canonical_query(struct aws_text *out, const char *query)
{
	auto_free struct param *params = NULL;
	size_t n;

	if (query == NULL || *query == '\0')
		return;
	n = count_params(query);
	params = calloc(n, sizeof(*params));
	if (params == NULL) {
		out->failed = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		params[i] = param_at(query);
		query = params[i].value.data + params[i].value.len + 1;
	}
	qsort(params, n, sizeof(*params), compare_params);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			aws_text_putc(out, '&');
		aws_text_put(out, params[i].name.data, params[i].name.len);
		aws_text_putc(out, '=');
		aws_text_put(out, params[i].value.data, params[i].value.len);
	}
}

void canonical_sort(struct sigv4_pair *headers, size_t n)
{
	/* Few, and qsort() would not keep the order of equal ones. */
	for (size_t i = 1; i < n; i++) {
		struct sigv4_pair moved = headers[i];
		size_t at = i;

		while (at > 0 &&
		       strcasecmp(headers[at - 1].name, moved.name) > 0) {
			headers[at] = headers[at - 1];
			at--;
		}
		headers[at] = moved;
	}
}

static void put_name(struct aws_text *out, const char *name)
{
	for (; *name != '\0'; name++)
		aws_text_putc(out, aws_lower(*name));
}

/* Without blanks at its ends, one for several within. */
static void put_value(struct aws_text *out, const struct sigv4_pair *header)
{
	static const char blanks[] = " \t\n\v\f\r";
	bool is_host = strcasecmp(header->name, "host") == 0;
	const char *p = header->value + strspn(header->value, blanks);

	while (*p != '\0') {
		for (size_t len = strcspn(p, blanks); len > 0; len--, p++) {
			if (is_host)
				aws_text_putc(out, aws_lower(*p));
			else
				aws_text_putc(out, *p);
		}
		p += strspn(p, blanks);
		if (*p != '\0')
			aws_text_putc(out, ' ');
	}
}

static bool same_name(const struct sigv4_pair *headers, size_t i)
{
	return i > 0 && strcasecmp(headers[i - 1].name, headers[i].name) == 0;
}

void canonical_headers(struct aws_text *out, const struct sigv4_pair *headers,
		       size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (same_name(headers, i)) {
			aws_text_putc(out, ',');
		} else {
			if (i > 0)
				aws_text_putc(out, '\n');
			put_name(out, headers[i].name);
			aws_text_putc(out, ':');
		}
		put_value(out, &headers[i]);
	}
	aws_text_putc(out, '\n');
}

void canonical_names(struct aws_text *out, const struct sigv4_pair *headers,
		     size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (same_name(headers, i))
			continue;
		if (i > 0)
			aws_text_putc(out, ';');
		put_name(out, headers[i].name);
	}
}

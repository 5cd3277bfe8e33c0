/* SPDX-License-Identifier: MIT */
#include "auth/aws/xml.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <expat.h>

#include "common/cleanup.h"
#include "common/secret_heap.h"

enum { DEPTH_MAX = 64 };

/* One document being read. */
struct reading {
	XML_Parser parser;
	const struct aws_xml_field *fields;
	size_t n_fields;
	/* By field: where its element began; 0: not yet; -1: it is over. */
	int *depths;
	int depth;
	int rc; /* why we stopped the parser */
};

static void stop(struct reading *r, int rc)
{
	r->rc = rc;
	(void)XML_StopParser(r->parser, XML_FALSE);
}

static void on_start(void *arg, const char *name, const char **attributes)
{
	struct reading *r = arg;
	const char *colon = strrchr(name, ':');

	if (++r->depth > DEPTH_MAX) {
		stop(r, -EINVAL);
		return;
	}
	if (colon != NULL)
		name = colon + 1;
	for (size_t i = 0; i < r->n_fields; i++) {
		if (r->depths[i] == 0 && strcmp(r->fields[i].name, name) == 0)
			r->depths[i] = r->depth;
	}
}

static void on_end(void *arg, const char *name)
{
	struct reading *r = arg;

	for (size_t i = 0; i < r->n_fields; i++) {
		if (r->depths[i] == r->depth)
			r->depths[i] = -1;
	}
	r->depth--;
}

static void on_text(void *arg, const char *text, int len)
{
	struct reading *r = arg;

	for (size_t i = 0; i < r->n_fields; i++) {
		if (r->depths[i] == r->depth &&
		    secret_append(r->fields[i].out, text, (size_t)len) < 0) {
			stop(r, -ENOMEM);
			return;
		}
	}
}

/* AWS sends none, and it is what attacks by entities need. */
static void on_doctype(void *arg, const char *name, const char *system_id,
		       const char *public_id, int has_internal_subset)
{
	stop(arg, -EINVAL);
}

static int parse(struct reading *r, const char *text, size_t len)
{
	XML_SetUserData(r->parser, r);
	XML_SetElementHandler(r->parser, on_start, on_end);
	XML_SetCharacterDataHandler(r->parser, on_text);
	XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
	if (XML_Parse(r->parser, text, (int)len, XML_TRUE) == XML_STATUS_OK)
		return 0;
	if (r->rc < 0)
		return r->rc;
	return XML_GetErrorCode(r->parser) == XML_ERROR_NO_MEMORY ? -ENOMEM
								  : -EINVAL;
}

int aws_xml_get(const char *text, size_t len,
		const struct aws_xml_field *fields, size_t n_fields,
		struct err *err)
{
	static const XML_Memory_Handling_Suite heap = {
		.malloc_fcn = secret_heap_malloc,
		.realloc_fcn = secret_heap_realloc,
		.free_fcn = secret_heap_free,
	};
	struct reading r = {.fields = fields, .n_fields = n_fields};
	auto_free int *depths = calloc(n_fields + 1, sizeof(*depths));
	int rc = -ENOMEM;

	for (size_t i = 0; i < n_fields; i++)
		secret_finish(fields[i].out);
	r.depths = depths;
	r.parser =
		depths != NULL ? XML_ParserCreate_MM(NULL, &heap, NULL) : NULL;
	if (r.parser != NULL) {
		rc = len <= INT_MAX ? parse(&r, text, len) : -EINVAL;
		XML_ParserFree(r.parser);
	}
	if (rc == 0)
		return 0;
	for (size_t i = 0; i < n_fields; i++)
		secret_finish(fields[i].out);
	if (rc == -ENOMEM)
		return err_set(err, ENOMEM, "out of memory");
	return err_set(err, EINVAL, "the answer is not XML that AWS sends");
}

/* SPDX-License-Identifier: MIT */
/* Elements of the XML that AWS's query services answer with. Any thread. */
#ifndef CONNFS_AUTH_AWS_XML_H
#define CONNFS_AUTH_AWS_XML_H

#include <stddef.h>

#include "common/err.h"
#include "common/secret.h"

/* An element that is asked for. */
struct aws_xml_field {
	const char *name;   /* local name; the first one of it counts */
	struct secret *out; /* its text, entities decoded; empty: not there */
};

/* 0, -EINVAL (not XML) or -ENOMEM. Takes all fields in one pass. */
int aws_xml_get(const char *text, size_t len,
		const struct aws_xml_field *fields, size_t n_fields,
		struct err *err);

#endif

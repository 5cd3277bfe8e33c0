/* SPDX-License-Identifier: MIT */
#include "fs/mount.h"

#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/thread.h"
#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/node.h"
#include "fs/removal.h"

/* Sessions under the old spec end when nothing would be lost with them. */
static void replace_spec(struct connection *c, struct spec *spec)
{
	if (c->spec == spec)
		return;
	spec_unref(c->spec);
	c->spec = spec_ref(spec);
	for (struct conversation *conv = c->conversations; conv != NULL;
	     conv = conv->next) {
		if (conversation_spare(conv))
			connection_release(c, conv);
	}
}

static int add_connection(struct mount *m, struct spec *spec)
{
	struct connection *c = connection_create(m, spec);
	int rc;

	if (c == NULL)
		return -ENOMEM;
	rc = node_add_connection(m->nodes, c);
	if (rc < 0) {
		connection_unref(c);
		return rc;
	}
	c->next = m->connections;
	m->connections = c;
	return 0;
}

/*
 * Whether c goes on under spec, which may be null. What conversations know of
 * another dialect would be wrong.
 */
static bool goes_on(const struct connection *c, const struct spec *spec)
{
	return spec != NULL && spec->enabled &&
	       spec->engine->dialect == c->spec->engine->dialect;
}

/* By the places of their specs in config; those of others are removed. */
static void keep_connections(struct mount *m, struct connection **kept)
{
	for (struct connection *c = m->connections; c != NULL; c = c->next) {
		struct spec **spec;

		if (c->removed)
			continue;
		spec = config_find(m->config, c->spec->conn_id);
		if (spec != NULL && goes_on(c, *spec))
			kept[spec - m->config->specs] = c;
		else
			removal_begin(c);
	}
}

int mount_apply_config(struct mount *m)
{
	auto_free struct connection **kept =
		calloc(m->config->n_specs + 1, sizeof(struct connection *));

	m->read_wall = clock_wall_ms();
	m->refused_wall = 0;
	if (kept == NULL)
		return -ENOMEM;
	keep_connections(m, kept);
	/* From the last on, so that the list is in the order of the names. */
	for (size_t i = m->config->n_specs; i-- > 0;) {
		struct spec *spec = m->config->specs[i];
		int rc = 0;

		if (kept[i] != NULL)
			replace_spec(kept[i], spec);
		else if (spec->enabled)
			rc = add_connection(m, spec);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int mount_start_thread(struct mount *m, void *(*run)(void *arg), void *arg)
{
	int rc = thread_start(NULL, 0, run, arg);

	if (rc == 0)
		m->n_threads++;
	return rc;
}

void mount_check_conversations(struct mount *m)
{
	struct connection **p = &m->connections;

	while (*p != NULL) {
		struct connection *c = *p;

		connection_check(c);
		if (c->removed && removal_check(c)) {
			*p = c->next;
			connection_unref(c);
		} else {
			p = &c->next;
		}
	}
}

void mount_end_all(struct mount *m)
{
	m->ending = true;
	for (struct connection *c = m->connections; c != NULL; c = c->next) {
		while (c->conversations != NULL)
			conversation_end(c->conversations);
	}
}

bool mount_is_quiet(void *mount)
{
	struct mount *m = mount;

	if (m->n_threads > 0)
		return false;
	for (struct connection *c = m->connections; c != NULL; c = c->next) {
		if (c->n_sessions > 0)
			return false;
	}
	return true;
}

void mount_finish(struct mount *m)
{
	while (m->connections != NULL) {
		struct connection *c = m->connections;

		m->connections = c->next;
		connection_unref(c);
	}
}

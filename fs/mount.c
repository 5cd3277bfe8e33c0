/* SPDX-License-Identifier: MIT */
#include "fs/mount.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/thread.h"
#include "fs/connection.h"
#include "fs/conversation.h"
#include "fs/loop.h"
#include "fs/node.h"
#include "fs/queries.h"
#include "fs/session.h"

static struct connection *find_connection(struct mount *m, const char *conn_id)
{
	for (struct connection *c = m->connections; c != NULL; c = c->next) {
		if (strcmp(c->spec->conn_id, conn_id) == 0)
			return c;
	}
	return NULL;
}

/* Sessions under the old spec end when nothing would be lost with them. */
static void replace_spec(struct connection *c, struct spec *spec)
{
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

static void remove_connection(struct mount *m, struct connection *c)
{
	for (struct connection **p = &m->connections; *p != NULL;
	     p = &(*p)->next) {
		if (*p == c) {
			*p = c->next;
			break;
		}
	}
	c->removed = true;
	while (c->conversations != NULL)
		conversation_end(c->conversations);
	queries_end(c);
	node_remove_connection(m->nodes, c);
	connection_unref(c);
}

static const struct spec *enabled_spec(const struct config *config,
				       const char *conn_id)
{
	for (size_t i = 0; i < config->n_specs; i++) {
		if (config->specs[i]->enabled &&
		    strcmp(config->specs[i]->conn_id, conn_id) == 0)
			return config->specs[i];
	}
	return NULL;
}

int mount_apply_config(struct mount *m)
{
	struct connection *next;
	bool first = m->connections == NULL;

	m->read_wall = clock_wall_ms();
	m->refused_wall = 0;
	for (struct connection *c = m->connections; c != NULL; c = next) {
		next = c->next;
		if (enabled_spec(m->config, c->spec->conn_id) == NULL)
			remove_connection(m, c);
	}
	/* From the last on, so that the list is in the order of the names. */
	for (size_t i = m->config->n_specs; i-- > 0;) {
		struct spec *spec = m->config->specs[i];
		struct connection *c = NULL;
		int rc = 0;

		if (!spec->enabled)
			continue;
		if (!first)
			c = find_connection(m, spec->conn_id);
		if (c != NULL)
			replace_spec(c, spec);
		else
			rc = add_connection(m, spec);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/*
 * Reading SOURCE may wait for disks and for whoever knows the names of users:
 * on a thread of its own. Requests that come meanwhile see the old specs.
 */
struct reload {
	struct loop_event event;
	struct mount *mount;
	struct config *config;
	struct err err;
	int rc;
};

static void take_config(struct mount *m, struct reload *r)
{
	if (r->rc < 0) {
		log_error("SOURCE not read again: %s", r->err.msg);
		m->reload_error = r->err;
		m->refused_wall = clock_wall_ms();
		return;
	}
	m->reload_error.code = 0;
	config_destroy(m->config);
	m->config = r->config;
	r->config = NULL;
	if (mount_apply_config(m) < 0)
		log_error("out of memory; some connections are missing");
	for (size_t i = 0; i < m->config->n_errors; i++)
		log_warn("%s", m->config->errors[i].text);
	log_info("read %s again: %zu connections, %zu errors", m->source,
		 m->config->n_specs, m->config->n_errors);
}

static void on_reloaded(struct loop_event *event)
{
	struct reload *r = (struct reload *)event;
	struct mount *m = r->mount;

	m->n_threads--;
	m->reloading = false;
	if (m->ending)
		config_destroy(r->config);
	else
		take_config(m, r);
	free(r);
	if (m->reload_again && !m->ending)
		mount_reload(m);
}

static void *reload_thread(void *arg)
{
	struct reload *r = arg;

	r->rc = config_load(&r->config, r->mount->source, r->mount->options,
			    &r->err);
	(void)loop_post(r->mount->loop, &r->event);
	return NULL;
}

void mount_reload(struct mount *m)
{
	struct reload *r;
	int rc;

	/* What is being read may have been looked at before it changed. */
	m->reload_again = m->reloading;
	if (m->reloading)
		return;
	r = calloc(1, sizeof(*r));
	if (r == NULL) {
		log_error("SOURCE not read again: out of memory");
		return;
	}
	r->event.run = on_reloaded;
	r->mount = m;
	m->reloading = true;
	rc = mount_start_thread(m, reload_thread, r);
	if (rc == 0)
		return;
	m->reloading = false;
	free(r);
	log_error("SOURCE not read again: %s", strerrordesc_np(-rc));
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
	for (struct connection *c = m->connections; c != NULL; c = c->next)
		connection_check(c);
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

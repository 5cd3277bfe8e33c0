/* SPDX-License-Identifier: MIT */
#include "fs/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/secret.h"
#include "fs/config.h"
#include "fs/loop.h"
#include "fs/mount.h"
#include "fs/service.h"

/* From its start to on_read(), which frees it. */
struct reading {
	struct loop_event event;
	struct mount *mount;
	const struct config *old; /* the mount's; borrowed */
	struct config *config;    /* what came of it; null: nothing */
	struct err err;
	int rc;
};

bool reload_is_ok(const struct mount *m)
{
	return m->reload_error.code == 0 && m->config->n_errors == 0;
}

static void answer(struct request_list *list, int rc)
{
	struct request *rq;

	while ((rq = request_list_take(list)) != NULL) {
		if (rc == 0)
			request_wrote(rq);
		else
			request_fail(rq, -rc);
	}
}

/* What says nothing of SOURCE is told as it is. */
static int refusal(int rc)
{
	switch (-rc) {
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return rc;
	default:
		return -EINVAL;
	}
}

/* What a writer is told. */
static int take_config(struct mount *m, struct reading *r)
{
	int rc;

	if (r->rc < 0) {
		log_error("SOURCE not read again: %s", r->err.msg);
		m->reload_error = r->err;
		m->refused_wall = clock_wall_ms();
		return refusal(r->rc);
	}
	m->reload_error.code = 0;
	config_destroy(m->config);
	m->config = take_ptr(r->config);
	rc = mount_apply_config(m);
	if (rc < 0)
		log_error("out of memory; some connections are missing");
	for (size_t i = 0; i < m->config->n_errors; i++)
		log_warn("%s", m->config->errors[i].text);
	log_info("read %s again: %zu connections, %zu errors", m->source,
		 m->config->n_specs, m->config->n_errors);
	return rc < 0 || m->config->n_errors == 0 ? rc : -EINVAL;
}

static void begin(struct mount *m);

static void on_read(struct loop_event *event)
{
	struct reading *r = (struct reading *)event;
	struct mount *m = r->mount;
	struct reload *reload = &m->reload;
	bool again = reload->state == RELOAD_AGAIN;

	m->n_threads--;
	reload->state = RELOAD_IDLE;
	if (m->ending) {
		request_list_fail(&reload->now, ENOTCONN);
		request_list_fail(&reload->next, ENOTCONN);
	} else {
		int rc = take_config(m, r);

		reload->n_done++;
		service_reloaded(m);
		answer(&reload->now, rc);
		reload->now = reload->next;
		reload->next = (struct request_list){0};
	}
	config_destroy(r->config);
	free(r);
	if (again && !m->ending)
		begin(m);
}

static void *reading_thread(void *arg)
{
	struct reading *r = arg;
	struct mount *m = r->mount;

	r->rc = config_reload(&r->config, m->source, m->options, r->old,
			      &r->err);
	secret_wipe_stack();
	(void)loop_post(m->loop, &r->event);
	return NULL;
}

static int start_reading(struct mount *m)
{
	struct reading *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return -ENOMEM;
	r->event.run = on_read;
	r->mount = m;
	r->old = m->config;
	rc = mount_start_thread(m, reading_thread, r);
	if (rc < 0)
		free(r);
	return rc;
}

/* For those in reload->now. */
static void begin(struct mount *m)
{
	int rc = start_reading(m);

	if (rc == 0) {
		m->reload.state = RELOAD_READING;
		service_reloading(m);
		return;
	}
	log_error("SOURCE not read again: %s", strerrordesc_np(-rc));
	answer(&m->reload.now, rc);
}

void reload_request(struct mount *m)
{
	if (m->reload.state == RELOAD_IDLE)
		begin(m);
	else
		m->reload.state = RELOAD_AGAIN;
}

/* Only its wait ends. */
static void on_dying(struct request *rq)
{
	struct reload *reload = rq->owner;

	request_list_remove(&reload->now, rq);
	request_list_remove(&reload->next, rq);
	request_fail(rq, EINTR);
}

int reload_wait(struct mount *m, const struct request *rq)
{
	struct reload *reload = &m->reload;
	struct request *parked =
		request_park(m->requests, rq, on_dying, reload);

	if (parked == NULL)
		return -ENOMEM;
	request_list_add(reload->state == RELOAD_IDLE ? &reload->now
						      : &reload->next,
			 parked);
	reload_request(m);
	return 0;
}

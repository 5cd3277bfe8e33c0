/* SPDX-License-Identifier: MIT */
#include "fs/service.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/notify.h"
#include "fs/config.h"
#include "fs/connection.h"
#include "fs/loop.h"
#include "fs/mount.h"

enum {
	AGAIN_MS = 100, /* after the manager had no room for a message */
	STATUS_SIZE = 200,
};

/* There is one in a daemon. */
static struct service {
	struct loop_timer watchdog;
	struct loop_timer again;
	struct mount *mount; /* null: it cannot be used yet */
} service;

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

/* Everybody may read it: numbers, and no text of a spec. */
static void status_text(char out[STATUS_SIZE], const struct mount *m)
{
	const size_t refused = m->config->n_errors;
	const char *trouble = "";
	char bad[64] = "";
	size_t n = 0;

	for (const struct connection *c = m->connections; c != NULL;
	     c = c->next)
		n += !c->removed;
	if (refused > 0)
		(void)snprintf(bad, sizeof(bad), ", %zu spec%s refused",
			       refused, plural(refused));
	if (m->reload_error.code != 0)
		trouble = ", SOURCE could not be read again";
	(void)snprintf(out, STATUS_SIZE, "%zu connection%s%s%s%s", n, plural(n),
		       bad, trouble,
		       *bad != '\0' || *trouble != '\0' ? ": see .connfs/errors"
							: "");
}

/* A manager that is told nothing of a start in time would end the daemon. */
static void tell_ready(struct loop_timer *timer)
{
	char status[STATUS_SIZE];

	status_text(status, service.mount);
	if (notify_send("READY=1\nSTATUS=%s", status) == -EAGAIN)
		(void)loop_timer_start(service.mount->loop, timer, AGAIN_MS);
}

static void feed_watchdog(struct loop_timer *timer)
{
	const uint64_t half_ms = notify_watchdog_us() / 2000;
	unsigned delay = half_ms < UINT16_MAX ? (unsigned)half_ms : UINT16_MAX;

	(void)notify_send("WATCHDOG=1");
	(void)loop_timer_start(service.mount->loop, timer,
			       delay > 0 ? delay : 1);
}

void service_ready(struct mount *m)
{
	service.mount = m;
	service.again.run = tell_ready;
	service.watchdog.run = feed_watchdog;
	tell_ready(&service.again);
	if (notify_watchdog_us() > 0)
		feed_watchdog(&service.watchdog);
}

void service_reloading(struct mount *m)
{
	if (service.mount == NULL)
		return;
	loop_timer_stop(m->loop, &service.again);
	(void)notify_send("RELOADING=1\nMONOTONIC_USEC=%" PRIu64
			  "\nSTATUS=reading SOURCE again",
			  clock_mono_us());
}

void service_reloaded(struct mount *m)
{
	if (service.mount != NULL)
		tell_ready(&service.again);
}

void service_stopping(struct mount *m)
{
	loop_timer_stop(m->loop, &service.again);
	(void)notify_send("STOPPING=1\nSTATUS=ending: cancelling statements");
}

/* SPDX-License-Identifier: MIT */
#include "fs/script_watch.h"

#include <stddef.h>

#include "fs/script.h"

bool script_over(const struct script *script)
{
	/* What was held when it failed is not run. */
	return !script->running && script->pending == NULL &&
	       (!script->held || script->rc < 0);
}

void script_watch(struct script *script, struct script_watcher *watcher)
{
	if (watcher->watching)
		return;
	watcher->watching = true;
	watcher->next = script->watchers;
	script->watchers = watcher;
}

void script_unwatch(struct script *script, struct script_watcher *watcher)
{
	struct script_watcher **p = &script->watchers;

	if (!watcher->watching)
		return;
	while (*p != watcher)
		p = &(*p)->next;
	*p = watcher->next;
	watcher->watching = false;
}

void script_tell_watchers(struct script *script)
{
	struct script_watcher *watcher;

	if (!script_over(script))
		return;
	while ((watcher = script->watchers) != NULL) {
		script_unwatch(script, watcher);
		watcher->on_over(watcher);
	}
}

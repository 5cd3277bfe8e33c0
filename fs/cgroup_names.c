/* SPDX-License-Identifier: MIT */
#include "fs/cgroup_names.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char hex_digits[] = "0123456789abcdef";

enum {
	ID_LEN = 64,   /* of a container */
	TASK_LEN = 32, /* of ECS; of a static pod, too */
	UUID_LEN = 36,
	TASK_DIGITS = 20, /* at most, behind a task */
};

/* A part of a string, which stays where it is. */
struct piece {
	const char *at;
	size_t len;
};

/* The next component; of no length when there is none. */
static struct piece next_component(const char **path)
{
	struct piece piece;

	*path += strspn(*path, "/");
	piece.at = *path;
	piece.len = strcspn(*path, "/");
	*path += piece.len;
	return piece;
}

static bool is(struct piece piece, const char *text)
{
	return piece.len == strlen(text) &&
	       memcmp(piece.at, text, piece.len) == 0;
}

static bool cut_prefix(struct piece *piece, const char *prefix)
{
	size_t len = strlen(prefix);

	if (piece->len < len || memcmp(piece->at, prefix, len) != 0)
		return false;
	piece->at += len;
	piece->len -= len;
	return true;
}

static bool cut_suffix(struct piece *piece, const char *suffix)
{
	size_t len = strlen(suffix);

	if (piece->len < len ||
	    memcmp(piece->at + piece->len - len, suffix, len) != 0)
		return false;
	piece->len -= len;
	return true;
}

static bool all_of(struct piece piece, const char *set)
{
	for (size_t i = 0; i < piece.len; i++) {
		if (strchr(set, piece.at[i]) == NULL)
			return false;
	}
	return true;
}

static void put(char *out, size_t size, struct piece piece)
{
	if (piece.len < size)
		(void)snprintf(out, size, "%.*s", (int)piece.len, piece.at);
}

/* ID, PREFIX-ID.scope, SLICE:PREFIX:ID; not PREFIX-conmon-ID.scope. */
static bool find_id(struct piece *out, struct piece component)
{
	struct piece id = component;
	struct piece before;

	(void)cut_suffix(&id, ".scope");
	if (id.len < ID_LEN)
		return false;
	before = (struct piece){id.at, id.len - ID_LEN};
	id.at += before.len;
	id.len = ID_LEN;
	if (!all_of(id, hex_digits))
		return false;
	*out = id;
	if (before.len == 0 || cut_suffix(&before, ":"))
		return true;
	return cut_suffix(&before, "-") && !cut_suffix(&before, "conmon");
}

/* TASK-NUMBER */
static bool is_fargate(struct piece component)
{
	struct piece task = {component.at, TASK_LEN};
	struct piece number = {component.at + TASK_LEN + 1,
			       component.len - TASK_LEN - 1};

	return component.len > TASK_LEN + 1 &&
	       component.len <= TASK_LEN + 1 + TASK_DIGITS &&
	       all_of(task, hex_digits) && component.at[TASK_LEN] == '-' &&
	       all_of(number, "0123456789");
}

/* A name as hosts have them; \x2d is the only escape these can need. */
static bool put_name(char *out, size_t size, struct piece escaped)
{
	static const char good[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789-_.";
	char name[CGROUP_CONTAINER_MAX + 1];
	size_t len = 0;

	while (escaped.len > 0 && len < sizeof(name)) {
		if (cut_prefix(&escaped, "\\x2d")) {
			name[len++] = '-';
			continue;
		}
		name[len++] = *escaped.at++;
		escaped.len--;
	}
	if (escaped.len > 0 || len == 0 || len >= size ||
	    !all_of((struct piece){name, len}, good))
		return false;
	put(out, size, (struct piece){name, len});
	return true;
}

/* Of LXC and nspawn, whose containers have names. */
static bool find_name(struct piece *out, struct piece parent,
		      struct piece component)
{
	*out = component;
	if (cut_prefix(out, "lxc.payload."))
		return true;
	if (is(parent, "lxc") || is(parent, "lxc.payload"))
		return true;
	if (cut_prefix(out, "machine-") && cut_suffix(out, ".scope"))
		return !cut_prefix(&component, "machine-qemu\\x2d");
	*out = component;
	return cut_prefix(out, "systemd-nspawn@") &&
	       cut_suffix(out, ".service");
}

static bool is_pod_uid(struct piece uid)
{
	static const unsigned char dashes[] = {8, 13, 18, 23};

	if (uid.len == TASK_LEN)
		return all_of(uid, hex_digits);
	if (uid.len != UUID_LEN || !all_of(uid, "0123456789abcdef-_"))
		return false;
	for (size_t i = 0; i < sizeof(dashes); i++) {
		if (strchr("-_", uid.at[dashes[i]]) == NULL)
			return false;
	}
	return true;
}

/* podUID, kubepods-CLASS-podUID.slice; also before ":cri-containerd:ID". */
static void find_pod(char out[CGROUP_POD_UID_SIZE], struct piece component)
{
	const char *colon = memchr(component.at, ':', component.len);
	struct piece uid = component;
	const char *pod;

	if (colon != NULL)
		uid.len = (size_t)(colon - uid.at);
	if (cut_suffix(&uid, ".slice")) {
		pod = memmem(uid.at, uid.len, "-pod", 4);
		if (pod == NULL)
			return;
		uid.len -= (size_t)(pod + 1 - uid.at);
		uid.at = pod + 1;
	}
	if (!cut_prefix(&uid, "pod") || !is_pod_uid(uid))
		return;
	put(out, CGROUP_POD_UID_SIZE, uid);
	for (char *p = out; (p = strchr(p, '_')) != NULL;)
		*p = '-';
}

void cgroup_names(struct cgroup_names *out, const char *path)
{
	struct piece parent = {path, 0};
	bool in_ecs = false;

	*out = (struct cgroup_names){0};
	for (;;) {
		struct piece component = next_component(&path);
		const char *rest = path;
		struct piece found;

		if (component.len == 0)
			return;
		find_pod(out->pod_uid, component);
		if (find_id(&found, component)) {
			/* Of a pod of podman, where its monitor is. */
			if (!is(next_component(&rest), "conmon"))
				put(out->container, sizeof(out->container),
				    found);
		} else if (in_ecs && is_fargate(component)) {
			put(out->container, sizeof(out->container), component);
		} else if (find_name(&found, parent, component)) {
			(void)put_name(out->container, sizeof(out->container),
				       found);
		}
		in_ecs = in_ecs || is(component, "ecs");
		parent = component;
	}
}

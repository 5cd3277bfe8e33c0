/* SPDX-License-Identifier: MIT */
/* What a config takes over from the one before it. */
#include "fs/config_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "common/buf.h"
#include "common/cleanup.h"

enum {
	NAMES_MAX = 10, /* that a complaint names */
	NAMES_SIZE = 64 * 1024,
};

/* ---- what is as it was ---- */

static int add_text(const char *text, size_t len, void *digest)
{
	return EVP_DigestUpdate(digest, text, len) == 1 ? 0 : -1;
}

/* Of settings that are part of a spec, of its auth, or of its sessions. */
static int add_settings(EVP_MD_CTX *digest, const struct settings *s)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "%u %u %u %u %u %" PRIu64 " %d\n",
			 s->connect_timeout_ms, s->idle_timeout_ms,
			 s->idle_in_transaction_timeout_ms, s->max_connections,
			 s->param_cache_ttl_ms, s->max_row, s->read_only);

	return add_text(text, (size_t)n, digest);
}

int spec_digest(unsigned char out[SPEC_DIGEST_SIZE], const json_t *object,
		const struct config_file *file, const struct settings *settings)
{
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	int rc = -ENOMEM;

	if (digest != NULL &&
	    EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
	    add_settings(digest, settings) == 0 &&
	    add_text(file->path, strlen(file->path) + 1, digest) == 0 &&
	    json_dump_callback(object, add_text, digest,
			       JSON_COMPACT | JSON_SORT_KEYS) == 0 &&
	    EVP_DigestFinal_ex(digest, out, NULL) == 1)
		rc = 0;
	EVP_MD_CTX_free(digest);
	return rc;
}

/* Names of users and groups may have come to mean others. */
static bool same_people(const struct access_rule *a,
			const struct access_rule *b)
{
	return a->n_uids == b->n_uids && a->n_gids == b->n_gids &&
	       (a->n_uids == 0 ||
		memcmp(a->uids, b->uids, a->n_uids * sizeof(*a->uids)) == 0) &&
	       (a->n_gids == 0 ||
		memcmp(a->gids, b->gids, a->n_gids * sizeof(*a->gids)) == 0);
}

bool spec_is_same(const struct spec *a, const struct spec *b)
{
	return memcmp(a->digest, b->digest, SPEC_DIGEST_SIZE) == 0 &&
	       same_people(&a->access, &b->access);
}

/* ---- what is wrong ---- */

int config_keep_settings(struct config *config, const struct config *old)
{
	for (size_t i = 0; i < config->n_errors; i++) {
		struct config_error *e = &config->errors[i];
		int n = settings_keep(&config->settings, &old->settings,
				      e->file);

		if (n > 0)
			n = config_amend(e, "; its settings stay as they were");
		if (n < 0)
			return n;
	}
	return 0;
}

/* What a complaint is to name. */
struct kept_names {
	size_t n;
	struct buf names; /* of the first NAMES_MAX */
};

/* Complaints by what they are of, as numbers. */
struct complaints {
	json_t *of_specs;        /* by conn_id */
	json_t *of_files;        /* by file: something is not known of it */
	struct kept_names *kept; /* of each */
	size_t n;
};

static void complaints_finish(struct complaints *c)
{
	json_decref(c->of_specs);
	json_decref(c->of_files);
	for (size_t i = 0; c->kept != NULL && i < c->n; i++)
		buf_finish(&c->kept[i].names);
	free(c->kept);
}

/* The first one of each counts. */
static int complaints_init(struct complaints *c, const struct config *config)
{
	*c = (struct complaints){
		.of_specs = json_object(),
		.of_files = json_object(),
		.kept = calloc(config->n_errors + 1, sizeof(*c->kept)),
		.n = config->n_errors,
	};
	if (c->of_specs == NULL || c->of_files == NULL || c->kept == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < c->n; i++) {
		const struct config_error *e = &config->errors[i];
		const char *key = e->conn_id != NULL ? e->conn_id : e->file;
		json_t *map = e->conn_id != NULL ? c->of_specs : c->of_files;

		buf_init(&c->kept[i].names, NAMES_SIZE);
		if (e->disabled)
			continue;
		if (json_object_get(map, key) == NULL &&
		    json_object_set_new(map, key, json_integer((json_int_t)i)) <
			    0)
			return -ENOMEM;
	}
	return 0;
}

/* The complaint that is why spec is missing; null: it was removed. */
static const json_t *find_reason(const struct complaints *c, const json_t *seen,
				 const char *conn_id, const char *home)
{
	if (json_object_get(seen, conn_id) != NULL)
		return json_object_get(c->of_specs, conn_id);
	return json_object_get(c->of_files, home);
}

/* config->kept has room. */
static int keep(struct config *config, struct complaints *c, struct spec *spec,
		const json_t *reason)
{
	size_t i = (size_t)json_integer_value(reason);
	struct kept_names *names = &c->kept[i];
	struct config_kept *kept = &config->kept[config->n_kept++];

	kept->spec = spec;
	kept->file = strdup(config->errors[i].file);
	if (names->n++ < NAMES_MAX)
		buf_printf(&names->names, "%s%s", names->n > 1 ? ", " : "",
			   spec->conn_id);
	return kept->file != NULL ? 0 : -ENOMEM;
}

static int keep_all(struct config *config, const struct config *old,
		    struct complaints *c, const json_t *seen)
{
	size_t n_kept = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < old->n_specs; i++) {
		struct spec *spec = old->specs[i];
		const char *home = spec->file;
		const json_t *reason;

		/* In the same order. */
		if (n_kept < old->n_kept && old->kept[n_kept].spec == spec)
			home = old->kept[n_kept++].file;
		if (!spec->enabled ||
		    config_find(config, spec->conn_id) != NULL)
			continue;
		reason = find_reason(c, seen, spec->conn_id, home);
		if (reason != NULL)
			rc = keep(config, c, spec, reason);
	}
	for (size_t i = 0; rc == 0 && i < config->n_kept; i++)
		rc = config_add_spec(config, spec_ref(config->kept[i].spec));
	return rc;
}

static int tell(struct config *config, struct complaints *c)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < c->n; i++) {
		struct kept_names *kept = &c->kept[i];
		const char *names = buf_cstr(&kept->names);
		struct config_error *e = &config->errors[i];

		if (names == NULL)
			return -ENOMEM;
		if (kept->n == 0)
			continue;
		if (e->conn_id != NULL)
			rc = config_amend(e, "; the connection stays as it "
					     "was");
		else if (kept->n == 1)
			rc = config_amend(e,
					  "; the connection %s stays as it "
					  "was",
					  names);
		else if (kept->n <= NAMES_MAX)
			rc = config_amend(e,
					  "; the connections %s stay as "
					  "they were",
					  names);
		else
			rc = config_amend(e,
					  "; the connections %s and %zu "
					  "more stay as they were",
					  names, kept->n - NAMES_MAX);
	}
	return rc;
}

int config_keep_specs(struct config *config, const struct config *old,
		      const json_t *seen)
{
	struct complaints complaints;
	int rc;

	if (config->n_errors == 0 || old->n_specs == 0)
		return 0;
	config->kept = calloc(old->n_specs, sizeof(*config->kept));
	rc = config->kept != NULL ? complaints_init(&complaints, config)
				  : -ENOMEM;
	if (config->kept == NULL)
		return rc;
	if (rc == 0)
		rc = keep_all(config, old, &complaints, seen);
	if (rc == 0)
		rc = tell(config, &complaints);
	complaints_finish(&complaints);
	config_sort(config);
	return rc;
}

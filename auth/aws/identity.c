/* SPDX-License-Identifier: MIT */
/*
 * The registry of identities, and what each is made of: the source that the
 * chain chooses, or a role that is assumed with another identity.
 */
#include "auth/aws/identity.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/aws/clock.h"
#include "auth/aws/keeper.h"
#include "auth/aws/settings.h"
#include "auth/aws/source.h"
#include "auth/aws/sts.h"
#include "auth/refresher.h"
#include "common/cleanup.h"

/* A source as some state of the files has it. */
struct binding {
	struct aws_settings settings;
	struct aws_source *source; /* null: the files are wrong */
	unsigned char digest[AWS_SOURCE_DIGEST_SIZE];
};

struct aws_identity {
	struct aws_identity *next; /* registry_mutex, like the next three */
	unsigned refs;
	int64_t renewal_at; /* as ordered from the refresher; 0: not at all */
	uint64_t pass;      /* of renewals that it was part of */

	char *profile;
	char *region;
	char *role_arn;
	char *session_name;
	struct secret external_id;
	struct aws_tag *tags;
	size_t n_tags;

	struct aws_identity *base; /* a role: who assumes it; else null */
	struct aws_signer signer;
	struct aws_keeper keeper;

	/* Of the thread that fetches. */
	struct binding *binding; /* null: nothing was fetched yet */
	unsigned char digest[AWS_SOURCE_DIGEST_SIZE]; /* of the keys' source */
	bool has_digest;

	_Atomic(const struct aws_profiles *) files; /* those of the binding */
};

static pthread_mutex_t registry_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct aws_identity *registry; /* registry_mutex, like all below */
static uint64_t last_pass;

static void renew_due(struct refresher_task *task);
static struct refresher_task renewals = {.run = renew_due};

static void binding_destroy(struct binding *b)
{
	if (b == NULL)
		return;
	aws_source_destroy(b->source);
	aws_settings_finish(&b->settings);
	free(b);
}

static void destroy(struct aws_identity *id)
{
	aws_keeper_finish(&id->keeper);
	binding_destroy(id->binding);
	aws_identity_unref(id->base);
	for (size_t i = 0; i < id->n_tags; i++) {
		free((char *)id->tags[i].key);
		free((char *)id->tags[i].value);
	}
	free(id->tags);
	secret_finish(&id->external_id);
	free(id->session_name);
	free(id->role_arn);
	free(id->region);
	free(id->profile);
	free(id);
}

/* The source as the files have it. */
static int bind_source(struct aws_identity *id, struct err *err)
{
	struct binding *b = calloc(1, sizeof(*b));
	int rc;

	if (b == NULL)
		return err_set(err, ENOMEM, "AWS keys: out of memory");
	rc = aws_settings_init(&b->settings, id->profile, id->region, err);
	if (rc < 0) {
		free(b);
		return rc;
	}
	if (id->binding != NULL && id->binding->source != NULL &&
	    id->binding->settings.profiles == b->settings.profiles) {
		binding_destroy(b);
		return 0;
	}
	rc = aws_chain_create(&b->source, b->digest, &b->settings, err);
	/* Failed or not: the new files are held before the old ones go. */
	atomic_store(&id->files, b->settings.profiles);
	binding_destroy(id->binding);
	id->binding = b;
	return rc;
}

static int fetch_chain(void *arg, bool due, struct aws_fetched *out,
		       struct err *err)
{
	struct aws_identity *id = arg;
	int rc = bind_source(id, err);
	const struct binding *b = id->binding;

	if (rc < 0)
		return rc;
	memcpy(out->name, b->source->name, sizeof(out->name));
	out->is_stable = b->source->ops->is_stable;
	out->is_same = !due && id->has_digest &&
		       memcmp(id->digest, b->digest, sizeof(id->digest)) == 0;
	if (out->is_same)
		return 0;
	rc = aws_source_fetch(b->source, &out->keys, err);
	if (rc == 0) {
		memcpy(id->digest, b->digest, sizeof(id->digest));
		id->has_digest = true;
	}
	return rc;
}

static int fetch_role(void *arg, bool due, struct aws_fetched *out,
		      struct err *err)
{
	struct aws_identity *id = arg;
	const struct aws_role role = {
		.arn = id->role_arn,
		.session_name = id->session_name,
		.external_id = id->external_id.data,
		.tags = id->tags,
		.n_tags = id->n_tags,
	};
	const char *slash = strrchr(id->role_arn, '/');
	auto_settings struct aws_settings settings = {0};
	struct err why = {0};
	int rc;

	(void)snprintf(out->name, sizeof(out->name), "role %s",
		       slash != NULL ? slash + 1 : id->role_arn);
	rc = aws_settings_init(&settings, id->profile, id->region, &why);
	if (rc == 0)
		rc = aws_sts_assume_role(&out->keys, &role, &id->base->signer,
					 &settings, &why);
	if (rc < 0)
		return err_set(err, why.code, "%s: %s", out->name, why.msg);
	return 0;
}

/*
 * Orders the thread for whoever is first. Called with registry_mutex held.
 * An order that cannot be placed is no loss: who asks for keys renews them.
 */
static void order_renewals(int64_t earliest)
{
	int64_t next = 0;

	for (struct aws_identity *id = registry; id != NULL; id = id->next) {
		id->renewal_at = aws_keeper_renewal(&id->keeper);
		if (id->renewal_at != 0 && (next == 0 || id->renewal_at < next))
			next = id->renewal_at;
	}
	if (next == 0)
		return;
	if (next < earliest)
		next = earliest;
	(void)refresher_schedule(&renewals, (next - aws_clock_offset()) * 1000);
}

/* One that is due and was not looked at in this pass, with a reference. */
static struct aws_identity *next_due(uint64_t pass)
{
	int64_t now = aws_now();

	auto_lock(&registry_mutex);
	for (struct aws_identity *id = registry; id != NULL; id = id->next) {
		if (id->pass == pass || id->renewal_at == 0 ||
		    id->renewal_at > now)
			continue;
		id->pass = pass;
		id->refs++;
		return id;
	}
	return NULL;
}

static void renew_due(struct refresher_task *task)
{
	struct aws_identity *id;
	uint64_t pass;

	{
		auto_lock(&registry_mutex);
		pass = ++last_pass;
	}
	while ((id = next_due(pass)) != NULL) {
		aws_keeper_renew(&id->keeper);
		aws_identity_unref(id);
	}
	auto_lock(&registry_mutex);
	order_renewals(aws_now() + 1);
}

/* What was ordered is no longer what is needed. */
static void follow_renewal(struct aws_identity *id)
{
	int64_t renewal_at = aws_keeper_renewal(&id->keeper);

	auto_lock(&registry_mutex);
	if (renewal_at != id->renewal_at)
		order_renewals(0);
}

static int get_keys(struct aws_identity *id, struct aws_need *need,
		    struct aws_keys *out, struct err *err);

/* Who wants a role's keys anew does not want to hear of old failures. */
static void retry_base(struct aws_identity *base)
{
	struct aws_need fresh = {.fresh = true};
	auto_aws_keys struct aws_keys keys = {0};
	struct aws_identity_status status;

	aws_identity_status(base, &status);
	if (status.error.code != 0)
		(void)get_keys(base, &fresh, &keys, NULL);
}

static int get_keys(struct aws_identity *id, struct aws_need *need,
		    struct aws_keys *out, struct err *err)
{
	int rc;

	if (id->base == NULL) {
		auto_profiles struct aws_profiles *files = aws_profiles_get();

		/* Before the first fetch there is nothing to compare with. */
		need->changed = files != NULL &&
				atomic_load(&id->files) != NULL &&
				atomic_load(&id->files) != files;
	} else if (need->fresh) {
		retry_base(id->base);
	}
	rc = aws_keeper_get(&id->keeper, need, out, err);
	follow_renewal(id);
	return rc;
}

int aws_identity_keys(struct aws_identity *identity, unsigned min_left,
		      struct aws_keys *out, struct err *err)
{
	struct aws_need need = {.min_left = min_left};

	return get_keys(identity, &need, out, err);
}

static int signer_keys(void *arg, bool fresh, struct aws_keys *out,
		       struct err *err)
{
	struct aws_need need = {.fresh = fresh};

	return get_keys(arg, &need, out, err);
}

const struct aws_signer *aws_identity_signer(struct aws_identity *identity)
{
	return &identity->signer;
}

static bool same_text(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}

static bool is_same(const struct aws_identity *id,
		    const struct aws_identity_config *config)
{
	if (!same_text(id->profile, config->profile) ||
	    !same_text(id->region, config->region) ||
	    !same_text(id->role_arn, config->role_arn))
		return false;
	if (id->role_arn == NULL) /* nothing else counts then */
		return true;
	if (!same_text(id->external_id.data, config->external_id) ||
	    !same_text(id->session_name, config->session_name) ||
	    id->n_tags != config->n_tags)
		return false;
	for (size_t i = 0; i < id->n_tags; i++) {
		if (!same_text(id->tags[i].key, config->tags[i].key) ||
		    !same_text(id->tags[i].value, config->tags[i].value))
			return false;
	}
	return true;
}

/* Called with registry_mutex held. */
static struct aws_identity *find(const struct aws_identity_config *config)
{
	for (struct aws_identity *id = registry; id != NULL; id = id->next) {
		if (is_same(id, config)) {
			id->refs++;
			return id;
		}
	}
	return NULL;
}

static int copy(char **to, const char *from)
{
	*to = from != NULL ? strdup(from) : NULL;
	return from != NULL && *to == NULL ? -ENOMEM : 0;
}

static int copy_tags(struct aws_identity *id,
		     const struct aws_identity_config *config)
{
	id->tags = calloc(config->n_tags + 1, sizeof(*id->tags));
	if (id->tags == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_tags; i++) {
		id->n_tags++;
		if (copy((char **)&id->tags[i].key, config->tags[i].key) < 0 ||
		    copy((char **)&id->tags[i].value, config->tags[i].value) <
			    0)
			return -ENOMEM;
	}
	return 0;
}

/* What only a role has. */
static int copy_role(struct aws_identity *id,
		     const struct aws_identity_config *config)
{
	const char *external_id = config->external_id;

	if (copy(&id->role_arn, config->role_arn) < 0 ||
	    copy(&id->session_name, config->session_name) < 0 ||
	    copy_tags(id, config) < 0)
		return -ENOMEM;
	if (external_id == NULL)
		return 0;
	return secret_set(&id->external_id, external_id, strlen(external_id));
}

/* Null: out of memory. */
static struct aws_identity *create(const struct aws_identity_config *config)
{
	const struct aws_identity_config base = {
		.profile = config->profile,
		.region = config->region,
	};
	struct aws_identity *id = calloc(1, sizeof(*id));
	int rc;

	if (id == NULL)
		return NULL;
	id->refs = 1;
	id->signer = (struct aws_signer){.keys = signer_keys, .arg = id};
	id->keeper.fetch = config->role_arn != NULL ? fetch_role : fetch_chain;
	id->keeper.arg = id;
	id->keeper.now = aws_now;
	aws_keeper_init(&id->keeper);
	rc = copy(&id->profile, config->profile);
	if (rc == 0)
		rc = copy(&id->region, config->region);
	if (rc == 0 && config->role_arn != NULL)
		rc = copy_role(id, config);
	if (rc == 0 && config->role_arn != NULL)
		rc = aws_identity_get(&id->base, &base, NULL);
	if (rc == 0)
		return id;
	destroy(id);
	return NULL;
}

int aws_identity_get(struct aws_identity **out,
		     const struct aws_identity_config *config, struct err *err)
{
	struct aws_identity *fresh = NULL;

	{
		auto_lock(&registry_mutex);
		*out = find(config);
	}
	if (*out != NULL)
		return 0;
	fresh = create(config);
	if (fresh == NULL)
		return err_set(err, ENOMEM, "AWS keys: out of memory");
	{
		/* Somebody else may have been faster. */
		auto_lock(&registry_mutex);
		*out = find(config);
		if (*out == NULL) {
			fresh->next = registry;
			registry = fresh;
			*out = fresh;
			fresh = NULL;
		}
	}
	if (fresh != NULL)
		destroy(fresh);
	return 0;
}

struct aws_identity *aws_identity_ref(struct aws_identity *identity)
{
	auto_lock(&registry_mutex);
	identity->refs++;
	return identity;
}

void aws_identity_unref(struct aws_identity *identity)
{
	if (identity == NULL)
		return;
	{
		auto_lock(&registry_mutex);
		if (--identity->refs > 0)
			return;
		for (struct aws_identity **p = &registry; *p != NULL;
		     p = &(*p)->next) {
			if (*p == identity) {
				*p = identity->next;
				break;
			}
		}
	}
	destroy(identity);
}

int aws_identity_region(struct aws_identity *identity,
			char out[AWS_REGION_SIZE], struct err *err)
{
	auto_settings struct aws_settings settings = {0};
	int rc = aws_settings_init(&settings, identity->profile,
				   identity->region, err);

	return rc < 0 ? rc : aws_settings_region(&settings, NULL, out, err);
}

int aws_identity_endpoint(struct aws_identity *identity,
			  enum aws_service service, const char *region,
			  char **out, struct err *err)
{
	auto_settings struct aws_settings settings = {0};
	int rc = aws_settings_init(&settings, identity->profile,
				   identity->region, err);

	*out = NULL;
	return rc < 0 ? rc
		      : aws_settings_endpoint(&settings, service, region, out,
					      err);
}

char *aws_identity_ca_file(struct aws_identity *identity)
{
	auto_settings struct aws_settings settings = {0};

	if (aws_settings_init(&settings, identity->profile, identity->region,
			      NULL) < 0)
		return NULL;
	return aws_settings_ca_file(&settings);
}

void aws_identity_status(struct aws_identity *identity,
			 struct aws_identity_status *out)
{
	_Static_assert(sizeof(out->source) == AWS_SOURCE_NAME_SIZE,
		       "a name fits");

	*out = (struct aws_identity_status){0};
	aws_keeper_status(&identity->keeper, out->source, &out->expires_at,
			  &out->error);
}

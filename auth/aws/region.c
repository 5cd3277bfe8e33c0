/* SPDX-License-Identifier: MIT */
#include "auth/aws/region.h"

#include <string.h>

#include "auth/aws/text.h"

enum { MAX_LABELS = 16, DSQL_ID_LEN = 26, LABEL_MAX = 63 };

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

/* The first is for every region that no other claims. */
static const struct {
	const char *prefix; /* of its regions */
	struct aws_partition partition;
} partitions[] = {
	{"", {"aws", "amazonaws.com", "api.aws"}},
	{"cn-", {"aws-cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn"}},
	{"us-gov-", {"aws-us-gov", "amazonaws.com", "api.aws"}},
	{"eusc-de-", {"aws-eusc", "amazonaws.eu", "api.amazonwebservices.eu"}},
	{"us-iso-", {"aws-iso", "c2s.ic.gov", "api.aws.ic.gov"}},
	{"us-isob-", {"aws-iso-b", "sc2s.sgov.gov", "api.aws.scloud"}},
	{"eu-isoe-", {"aws-iso-e", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"}},
	{"us-isof-", {"aws-iso-f", "csp.hci.ic.gov", "api.aws.hci.ic.gov"}},
};

/* What names of databases end in besides the suffixes of partitions. */
static const char *const more_suffixes[] = {"amazonaws.au", "amazonaws.uk"};

static const char *const service_labels[] = {
	[AWS_RDS] = "rds",
	[AWS_REDSHIFT] = "redshift",
	[AWS_REDSHIFT_SERVERLESS] = "redshift-serverless",
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* "east-1": one word, "-" and a number. */
static bool is_place(const char *text)
{
	const char *p = text;

	while (is_lower(*p) || is_upper(*p) || is_digit(*p) || *p == '_')
		p++;
	if (p == text || *p != '-')
		return false;
	text = ++p;
	while (is_digit(*p))
		p++;
	return p > text && *p == '\0';
}

const struct aws_partition *aws_partition_of(const char *region)
{
	for (size_t i = 1; i < COUNT(partitions); i++) {
		size_t len = strlen(partitions[i].prefix);

		if (strncmp(region, partitions[i].prefix, len) == 0 &&
		    is_place(region + len))
			return &partitions[i].partition;
	}
	return &partitions[0].partition;
}

bool aws_region_is_valid(const char *region)
{
	size_t len = strlen(region);

	if (len == 0 || len > LABEL_MAX || *region == '-' ||
	    region[len - 1] == '-')
		return false;
	for (const char *p = region; *p != '\0'; p++)
		if (!is_lower(*p) && !is_upper(*p) && !is_digit(*p) &&
		    *p != '-')
			return false;
	return true;
}

bool aws_is_dsql_id(const char *text)
{
	size_t len = 0;

	while (is_lower(text[len]) || is_digit(text[len]))
		len++;
	return len == DSQL_ID_LEN && text[len] == '\0';
}

/* A name that AWS gave, in pieces. */
struct host {
	char text[AWS_HOST_SIZE];       /* lower case, null bytes for dots */
	const char *labels[MAX_LABELS]; /* without those of the partition */
	size_t n_labels;
	size_t n_own; /* labels in front of region and service */
	const char *region;
};

/* False: too long for a host name. */
static bool lower(char out[AWS_HOST_SIZE], const char *name)
{
	size_t len = strlen(name);

	if (len > 0 && name[len - 1] == '.')
		len--;
	if (len >= AWS_HOST_SIZE)
		return false;
	for (size_t i = 0; i < len; i++)
		out[i] = aws_lower(name[i]);
	out[len] = '\0';
	return true;
}

/* Cuts ".suffix" off, if the text ends in it. */
static bool cut(char *text, const char *suffix)
{
	size_t len = strlen(text), suffix_len = strlen(suffix);

	if (len <= suffix_len || text[len - suffix_len - 1] != '.' ||
	    strcmp(text + len - suffix_len, suffix) != 0)
		return false;
	text[len - suffix_len - 1] = '\0';
	return true;
}

static bool cut_any(char *text)
{
	for (size_t i = 0; i < COUNT(partitions); i++)
		if (cut(text, partitions[i].partition.suffix))
			return true;
	for (size_t i = 0; i < COUNT(more_suffixes); i++)
		if (cut(text, more_suffixes[i]))
			return true;
	return false;
}

/* False: a label is empty or too long, or there are too many. */
static bool split(struct host *host)
{
	for (char *p = host->text; p != NULL;) {
		const char *label = strsep(&p, ".");

		if (*label == '\0' || strlen(label) > LABEL_MAX ||
		    host->n_labels == MAX_LABELS)
			return false;
		host->labels[host->n_labels++] = label;
	}
	return true;
}

/* "us-gov-west-1", but not "global". */
static bool is_region(const char *label)
{
	if (!aws_region_is_valid(label) || !is_lower(*label))
		return false;
	while ((label = strchr(label, '-')) != NULL)
		if (is_place(++label))
			return true;
	return false;
}

static bool names_service(const char *label, enum aws_family family)
{
	if (family == AWS_DSQL)
		return strncmp(label, "dsql", strlen("dsql")) == 0;
	return strcmp(label, service_labels[family]) == 0 ||
	       (family == AWS_RDS && strcmp(label, "rds-fips") == 0);
}

/*
 * "ID.HASH.REGION.rds", or "ID.HASH.rds.REGION" as in China, GovCloud and the
 * isolated partitions; "ID.dsql.REGION", with PrivateLink "ID.dsql-x.REGION".
 */
static bool find_region(struct host *host, enum aws_family family)
{
	const char *last, *before;

	if (host->n_labels < 2)
		return false;
	last = host->labels[host->n_labels - 1];
	before = host->labels[host->n_labels - 2];
	host->n_own = host->n_labels - 2;
	if (family != AWS_DSQL && names_service(last, family))
		host->region = before;
	else if ((family == AWS_DSQL || family == AWS_RDS) &&
		 names_service(before, family))
		host->region = last;
	return host->region != NULL && is_region(host->region);
}

/* False: it is no such name. */
static bool parse(struct host *host, enum aws_family family, const char *name)
{
	if (!lower(host->text, name))
		return false;
	if (!(family == AWS_DSQL ? cut(host->text, "on.aws")
				 : cut_any(host->text)))
		return false;
	if (!split(host) || !find_region(host, family))
		return false;
	/* A hash or an account stands there, too, but for DSQL. */
	return host->n_own >=
	       (family == AWS_RDS || family == AWS_REDSHIFT ? 2 : 1);
}

bool aws_region_of_host(char out[AWS_REGION_SIZE], enum aws_family family,
			const char *host)
{
	struct host parsed = {0};

	if (!parse(&parsed, family, host))
		return false;
	memcpy(out, parsed.region, strlen(parsed.region) + 1);
	return true;
}

bool aws_label_of_host(char out[AWS_LABEL_SIZE], enum aws_family family,
		       const char *host)
{
	struct host parsed = {0};
	const char *label;

	if (!parse(&parsed, family, host))
		return false;
	label = parsed.labels[0];
	if (family == AWS_DSQL ? !aws_is_dsql_id(label) : parsed.n_own < 2)
		return false;
	memcpy(out, label, strlen(label) + 1);
	return true;
}

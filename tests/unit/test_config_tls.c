/* SPDX-License-Identifier: MIT */
/*
 * TLS of a spec: what ssl, sslmode, ca_cert, tls_fingerprint and connect_to
 * mean together, and every complaint word for word.
 *
 *     test_config_tls DIRECTORY
 */
#include "fs/config.h"

#include "tests/unit/config_loading.h"

#define DIGITS \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HALF "01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF"
#define PIN  ", \"tls_fingerprint\": \"" DIGITS "\""

#define BAD_PIN                                                       \
	"shop: tls_fingerprint: must be the SHA-256 of the server's " \
	"certificate, 64 hex digits"

#define TUNNEL                                                              \
	"shop: connect_to: needs tls_fingerprint with TLS and type mysql: " \
	"the name of \"host\" cannot be verified while another is dialled"

static const struct {
	const char *json;
	const char *error;
} bad_specs[] = {
	{PG ", \"ssl\": \"true\"}",
	 "shop: ssl: must be true or false, without quotes"},
	{PG ", \"sslmode\": \"on\"}",
	 "shop: sslmode: must be one of disable, allow, prefer, require, "
	 "verify-ca, verify-full"},
	{PG ", \"sslmode\": true}",
	 "shop: sslmode: must be one of disable, allow, prefer, require, "
	 "verify-ca, verify-full"},
	{PG ", \"ssl\": true, \"sslmode\": \"prefer\"}",
	 "shop: sslmode: \"prefer\" is weaker than \"ssl\": true promises"},
	{PG ", \"sslmode\": \"verify-full\"}",
	 "shop: sslmode: \"verify-full\" needs ca_cert, a PEM file (the "
	 "system's: /etc/ssl/certs/ca-certificates.crt)"},
	{PG ", \"ca_cert\": \"/etc/passwd\"}",
	 "shop: ca_cert: nothing is verified without \"ssl\": true, or sslmode "
	 "require or stronger"},
	{PG ", \"ssl\": true, \"ca_cert\": \"ca.pem\"}",
	 "shop: ca_cert: must be an absolute path"},
	{PG ", \"ssl\": true, \"ca_cert\": \"/nowhere/ca.pem\"}",
	 "shop: ca_cert: /nowhere: No such file or directory"},
	{PG ", \"ssl\": true, \"ca_cert\": \"/etc\"}",
	 "shop: ca_cert: /etc is not a regular file"},
	{"{" HEAD
	 ", \"type\": \"postgres\", \"host\": \"/run\", \"user\": \"u\", "
	 "\"database\": \"d\", \"ssl\": true}",
	 "shop: ssl: there is no TLS with a unix socket"},
	{"{" HEAD
	 ", \"type\": \"postgres\", \"host\": \"/run\", \"user\": \"u\", "
	 "\"database\": \"d\", \"sslmode\": \"require\"}",
	 "shop: sslmode: there is no TLS with a unix socket"},
	{LITE ", \"ssl\": true}", "shop: ssl: there is no TLS with a file"},
	{LITE ", \"sslmode\": \"prefer\"}",
	 "shop: sslmode: does not go with type sqlite3"},

	/* tls_fingerprint */
	{MY ", \"ssl\": true, \"tls_fingerprint\": true}", BAD_PIN},
	{MY ", \"ssl\": true, \"tls_fingerprint\": \"\"}", BAD_PIN},
	{MY ", \"ssl\": true, \"tls_fingerprint\": \"a\"}", BAD_PIN},
	{MY ", \"ssl\": true, \"tls_fingerprint\": \"" DIGITS "0\"}", BAD_PIN},
	{MY ", \"ssl\": true, \"tls_fingerprint\": \"" DIGITS ":\"}", BAD_PIN},
	{MY ", \"ssl\": true, \"tls_fingerprint\": \":" DIGITS "\"}", BAD_PIN},
	{MY ", \"ssl\": true, \"tls_fingerprint\": \"x" DIGITS "\"}", BAD_PIN},
	{MY PIN "}",
	 "shop: tls_fingerprint: nothing is verified without \"ssl\": true, or "
	 "sslmode require or stronger"},
	{MY PIN ", \"sslmode\": \"prefer\"}",
	 "shop: tls_fingerprint: nothing is verified without \"ssl\": true, or "
	 "sslmode require or stronger"},
	{"{" HEAD ", \"type\": \"mariadb\", \"host\": \"/run/s\", "
	 "\"user\": \"u\", \"database\": \"d\"" PIN "}",
	 "shop: tls_fingerprint: nothing is verified without \"ssl\": true, or "
	 "sslmode require or stronger"},
	{PG ", \"ssl\": true" PIN "}",
	 "shop: tls_fingerprint: does not go with type postgres"},
	{LITE PIN "}", "shop: tls_fingerprint: does not go with type sqlite3"},

	/* the rules of libpq's words hold for the MySQL family */
	{MY ", \"sslmode\": \"REQUIRED\"}",
	 "shop: sslmode: must be one of disable, allow, prefer, require, "
	 "verify-ca, verify-full"},
	{MY ", \"sslmode\": \"verify-ca\"}",
	 "shop: sslmode: \"verify-ca\" needs ca_cert, a PEM file (the "
	 "system's: /etc/ssl/certs/ca-certificates.crt)"},
	{MY ", \"ca_cert\": \"/etc/passwd\"}",
	 "shop: ca_cert: nothing is verified without \"ssl\": true, or sslmode "
	 "require or stronger"},
	{"{" HEAD ", \"type\": \"mysql\", \"host\": \"/run/s\", "
	 "\"user\": \"u\", \"database\": \"d\", \"ssl\": true}",
	 "shop: ssl: there is no TLS with a unix socket"},

	/* libmariadb can verify only the name that it dials */
	{MY ", \"connect_to\": \"tunnel:1\", \"ssl\": true}", TUNNEL},
	{MY ", \"connect_to\": \"tunnel:1\", \"ca_cert\": \"/etc/passwd\", "
	    "\"sslmode\": \"verify-full\"}",
	 TUNNEL},
	{"{" HEAD ", \"type\": \"mysql\", \"host\": \"/run/s\", "
	 "\"user\": \"u\", \"database\": \"d\", \"connect_to\": \"a:1\"}",
	 "shop: connect_to: does not go with a unix socket"},
};

static void test_bad_specs(void)
{
	for (size_t i = 0; i < COUNT(bad_specs); i++)
		refuse_one(bad_specs[i].json, bad_specs[i].error);
}

static const struct {
	const char *keys;
	const char *sslmode;
} tls[] = {
	{"", "prefer"},
	{", \"ssl\": false", "prefer"},
	{", \"ssl\": true", "require"},
	{", \"ssl\": true, \"ca_cert\": \"/etc/passwd\"", "require"},
	{", \"ssl\": true, \"sslmode\": \"require\"", "require"},
	{", \"ssl\": false, \"sslmode\": \"require\"", "require"},
	{", \"sslmode\": \"disable\"", "disable"},
	{", \"sslmode\": \"allow\"", "allow"},
	{", \"ca_cert\": \"/etc/passwd\", \"sslmode\": \"verify-ca\"",
	 "verify-ca"},
};

static void check_mode(const char *head, const char *keys, const char *sslmode)
{
	struct config *config;
	char json[512];

	(void)snprintf(json, sizeof(json), "%s%s}", head, keys);
	config = load_one(json);
	CHECK_TEXT(config->specs[0]->sslmode, sslmode);
	config_destroy(config);
}

static void test_sslmode(void)
{
	for (size_t i = 0; i < COUNT(tls); i++) {
		check_mode(PG, tls[i].keys, tls[i].sslmode);
		check_mode(MY, tls[i].keys, tls[i].sslmode);
	}
	check_mode("{" HEAD ", \"type\": \"psql\", \"host\": \"/run\", "
		   "\"user\": \"u\", \"database\": \"d\"",
		   ", \"ssl\": false", "disable");
	check_mode("{" HEAD ", \"type\": \"mysql\", \"host\": \"/run/s\", "
		   "\"user\": \"u\", \"database\": \"d\"",
		   "", "disable");
}

/* Nothing is verified, so there is nothing that a second name would break. */
static void test_connect_to_without_tls_needs_no_fingerprint(void)
{
	static const char tunnel[] = MY ", \"connect_to\": \"tunnel:1\"";

	check_mode(tunnel, "", "prefer");
	check_mode(tunnel, ", \"sslmode\": \"disable\"", "disable");
}

/* As people have it from openssl, from a browser, or from us. */
static void test_fingerprint_is_shown_in_one_form(void)
{
	static const char *const forms[] = {
		DIGITS,
		"0123456789ABCDEF0123456789abcdef0123456789ABCDEF0123456789abcdef",
		HALF ":" HALF,
	};
	struct config *config;
	char json[512];

	for (size_t i = 0; i < COUNT(forms); i++) {
		(void)snprintf(json, sizeof(json),
			       MY ", \"ssl\": true, "
				  "\"connect_to\": \"tunnel:1\", "
				  "\"tls_fingerprint\": \"%s\"}",
			       forms[i]);
		config = load_one(json);
		CHECK_TEXT(config->specs[0]->tls_fingerprint, DIGITS);
		CHECK(is_shown(config->specs[0],
			       "  \"sslmode\": \"require\",\n"
			       "  \"tls_fingerprint\": \"" DIGITS "\",\n"));
		config_destroy(config);
	}
}

int main(int argc, char **argv)
{
	(void)umask(022);
	check_init(argc, argv);
	test_bad_specs();
	test_sslmode();
	test_connect_to_without_tls_needs_no_fingerprint();
	test_fingerprint_is_shown_in_one_form();
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * One spec: every field, and every complaint word for word.
 *
 *     test_config DIRECTORY
 */
#include "fs/config.h"

#include "tests/unit/config_loading.h"

static const struct {
	const char *json;
	const char *error;
} bad_specs[] = {
	/* conn_id */
	{"[1]", "spec 1: must be an object"},
	{"[{\"type\": \"sqlite3\"}]", "spec 1: conn_id: is missing"},
	{"{\"conn_id\": 1, \"type\": \"sqlite3\"}",
	 "spec 1: conn_id: must be a string"},
	{"{\"conn_id\": \"\", \"type\": \"sqlite3\"}",
	 "spec 1: conn_id: must not be empty"},
	{"{\"conn_id\": \"a//b\", \"type\": \"sqlite3\"}",
	 "spec 1: conn_id: has nothing before or between slashes"},

	/* type */
	{"{" HEAD "}", "shop: type: is missing"},
	{"{" HEAD ", \"type\": 5}", "shop: type: must be a string"},
	{"{" HEAD ", \"type\": \"postgress\"}",
	 "shop: type: unknown \"postgress\", did you mean \"postgres\"?"},
	{"{" HEAD ", \"type\": \"db2\"}", "shop: type: unknown \"db2\""},
	{"{" HEAD ", \"type\": \"mariadb-aurora\"}",
	 "shop: type: unknown \"mariadb-aurora\""},
	{"{" HEAD ", \"type\": \"mysq\"}",
	 "shop: type: unknown \"mysq\", did you mean \"mysql\"?"},
	{"{" HEAD ", \"type\": \"mssql\"}",
	 "shop: type: \"mssql\" is not supported yet"},
	{"{" HEAD ", \"type\": \"oracle-rds\"}",
	 "shop: type: \"oracle-rds\" is not supported yet"},
	{"{" HEAD ", \"type\": \"odbc\"}",
	 "shop: type: \"odbc\" is not supported yet"},

	/* keys */
	{PG ", \"hosst\": \"x\"}",
	 "shop: unknown key \"hosst\", did you mean \"host\"?"},
	{PG ", \"Read_Only\": true}",
	 "shop: unknown key \"Read_Only\", did you mean \"read_only\"?"},
	{PG ", \"frobnicate\": 1}", "shop: unknown key \"frobnicate\""},

	/* plain values */
	{"{\"conn_id\": \"shop\", \"enabled\": \"true\", \"type\": \"sqlite3\", "
	 "\"host\": \"/x\"}",
	 "shop: enabled: must be true or false, without quotes"},
	{LITE ", \"description\": 1}", "shop: description: must be a string"},
	{PG ", \"port\": 0}", "shop: port: must be from 1 to 65535"},
	{PG ", \"port\": 65536}", "shop: port: must be from 1 to 65535"},
	{PG ", \"port\": -1}", "shop: port: must be a whole number"},
	{PG ", \"port\": \"54x\"}", "shop: port: must be a whole number"},
	{PG ", \"port\": \"\"}", "shop: port: must be a whole number"},
	{PG ", \"port\": 5432.0}", "shop: port: must be a whole number"},
	{PG ", \"port\": true}", "shop: port: must be a whole number"},
	{PG ", \"max_connections\": 0}",
	 "shop: max_connections: must be from 1 to 1000"},
	{PG ", \"max_connections\": 1001}",
	 "shop: max_connections: must be from 1 to 1000"},
	{PG ", \"statement_timeout\": \"5 parsecs\"}",
	 "shop: statement_timeout: must be seconds, or a text like \"15m\" (ms "
	 "s m h d w)"},
	{PG ", \"statement_timeout\": -1}",
	 "shop: statement_timeout: must be seconds, or a text like \"15m\" (ms "
	 "s m h d w)"},
	{PG ", \"statement_timeout\": \"4w\"}",
	 "shop: statement_timeout: must be from 0s to 2147483647ms"},
	{PG ", \"connect_timeout\": 0}",
	 "shop: connect_timeout: must be from 1ms to 2147483647ms"},
	{PG ", \"idle_in_transaction_timeout\": 0}",
	 "shop: idle_in_transaction_timeout: must be from 1ms to "
	 "2147483647ms"},
	{PG ", \"sticky\": \"yes\"}",
	 "shop: sticky: must be true or false, without quotes"},
	{PG ", \"init_sql\": \"\"}", "shop: init_sql: must not be empty"},
	{PG ", \"read_only\": 1}",
	 "shop: read_only: must be true or false, without quotes"},
	{PG ", \"application_name\": \"lv-{{ realm }}\"}",
	 "shop: application_name: \"{{ realm }\" is none of {realm} {job_id} "
	 "{user} {comm} {conn_id}"},
	{PG ", \"application_name\": \"x{realm\"}",
	 "shop: application_name: \"{realm\" is none of {realm} {job_id} {user} "
	 "{comm} {conn_id}"},

	/* where the database is */
	{"{" HEAD ", \"type\": \"postgres\"}", "shop: host: is missing"},
	{"{" HEAD ", \"type\": \"postgres\", \"host\": \"db\"}",
	 "shop: user: is missing"},
	{"{" HEAD
	 ", \"type\": \"postgres\", \"host\": \"db\", \"user\": \"u\"}",
	 "shop: database: is missing"},
	{"{" HEAD
	 ", \"type\": \"postgres\", \"host\": \"a,b\", \"user\": \"u\", "
	 "\"database\": \"d\"}",
	 "shop: host: must be one name, address or path of a unix socket, "
	 "without commas or spaces"},
	{"{" HEAD
	 ", \"type\": \"mariadb\", \"host\": \"a b\", \"user\": \"u\", "
	 "\"database\": \"d\"}",
	 "shop: host: must be one name, address or path of a unix socket, "
	 "without commas or spaces"},
	{"{" HEAD ", \"type\": \"mysql\", \"host\": \"db\"}",
	 "shop: user: is missing"},
	{"{" HEAD ", \"type\": \"mysql\", \"host\": \"db\", \"user\": \"u\"}",
	 "shop: database: is missing"},
	{"{" HEAD ", \"type\": \"sqlite3\"}", "shop: host: is missing"},
	{"{" HEAD ", \"type\": \"sqlite3\", \"host\": \"s3://bucket/key\"}",
	 "shop: host: must be the absolute path of the file"},
	{"{" HEAD ", \"type\": \"sqlite3\", \"host\": \"\"}",
	 "shop: host: must not be empty"},
	{PG ", \"connect_to\": \"tunnel\"}",
	 "shop: connect_to: must be \"host:port\" or \"[v6]:port\""},
	{PG ", \"connect_to\": \"::1:5432\"}",
	 "shop: connect_to: must be \"host:port\" or \"[v6]:port\""},
	{PG ", \"connect_to\": \":5432\"}",
	 "shop: connect_to: must be \"host:port\" or \"[v6]:port\""},
	{PG ", \"connect_to\": \"[]:5432\"}",
	 "shop: connect_to: must be \"host:port\" or \"[v6]:port\""},
	{PG ", \"connect_to\": 5432}",
	 "shop: connect_to: must be \"host:port\" or \"[v6]:port\""},
	{PG ", \"connect_to\": \"tunnel:\"}",
	 "shop: connect_to: must be a whole number"},
	{PG ", \"connect_to\": \"tunnel:70000\"}",
	 "shop: connect_to: must be from 1 to 65535"},
	{"{" HEAD
	 ", \"type\": \"postgres\", \"host\": \"/run\", \"user\": \"u\", "
	 "\"database\": \"d\", \"connect_to\": \"a:1\"}",
	 "shop: connect_to: does not go with a unix socket"},

	/* of a login */
	{LITE ", \"password_plain\": \"x\"}",
	 "shop: password_plain: does not go with type sqlite3"},
	{LITE ", \"port\": true}", "shop: port: must be a string or a number"},

	/* access */
	{LITE ", \"access\": true}",
	 "shop: access: must be an object with users, groups, cgroups, "
	 "containers, attributes or everyone"},
	{LITE ", \"access\": {\"cgroup\": []}}",
	 "shop: access: unknown key \"cgroup\", did you mean \"cgroups\"?"},
	{LITE ", \"access\": {\"atributes\": {}}}",
	 "shop: access: unknown key \"atributes\", did you mean "
	 "\"attributes\"?"},
	{LITE ", \"access\": {\"cgroups\": \"/jobs\"}}",
	 "shop: access.cgroups: must be an array of at most 1000 strings"},
	{LITE ", \"access\": {\"cgroups\": [1]}}",
	 "shop: access.cgroups: must be strings"},
	{LITE ", \"access\": {\"cgroups\": [\"/ok\", \"jobs\"]}}",
	 "shop: access.cgroups: \"jobs\": must begin with a '/'"},
	{LITE ", \"access\": {\"cgroups\": [\"\"]}}",
	 "shop: access.cgroups: \"\": must begin with a '/'"},
	{LITE ", \"access\": {\"cgroups\": [\"/jobs/**\"]}}",
	 "shop: access.cgroups: \"/jobs/**\": \"**\" is no more than \"*\", "
	 "which matches no '/'"},
	{LITE ", \"access\": {\"cgroups\": [\"/jobs/\"]}}",
	 "shop: access.cgroups: \"/jobs/\": a '/' must have a name on both "
	 "sides"},
	{LITE ", \"access\": {\"cgroups\": [\"/jobs//a\"]}}",
	 "shop: access.cgroups: \"/jobs//a\": a '/' must have a name on both "
	 "sides"},
	{LITE ", \"access\": {\"cgroups\": [\"/../a\"]}}",
	 "shop: access.cgroups: \"/../a\": must not lead up: paths with \"..\" "
	 "never count"},
	{LITE ", \"access\": {\"cgroups\": [\"/..\"]}}",
	 "shop: access.cgroups: \"/..\": must not lead up: paths with \"..\" "
	 "never count"},
	{LITE ", \"access\": {\"cgroups\": [\"/a\\n\"]}}",
	 "shop: access.cgroups: must not hold control characters"},
	{LITE ", \"access\": {\"containers\": [\"\"]}}",
	 "shop: access.containers: \"\": must not be empty"},
	{LITE ", \"access\": {\"containers\": [\"/docker/*\"]}}",
	 "shop: access.containers: \"/docker/*\": an id has no '/'; paths "
	 "belong in access.cgroups"},
	{LITE ", \"access\": {\"containers\": [\"0123456789ab\"]}}",
	 "shop: access.containers: \"0123456789ab\": an id has 64 digits; a "
	 "'*' behind it stands for the rest"},
	{LITE ", \"access\": {\"attributes\": [\"account\"]}}",
	 "shop: access.attributes: must be an object of at most 1000 names"},
	{LITE ", \"access\": {\"attributes\": {\"\": \"etl\"}}}",
	 "shop: access.attributes: \"\": must not be empty"},
	{LITE ", \"access\": {\"attributes\": {\"user.connfs.a\": \"x\"}}}",
	 "shop: access.attributes: \"user.connfs.a\": goes without the "
	 "\"user.connfs.\""},
	{LITE ", \"access\": {\"attributes\": {\"account\": 1}}}",
	 "shop: access.attributes.account: must be an array of at most 1000 "
	 "strings"},
	{LITE ", \"access\": {\"attributes\": {\"account\": [\"a\", null]}}}",
	 "shop: access.attributes.account: must be strings"},
	{LITE ", \"access\": {\"user\": []}}",
	 "shop: access: unknown key \"user\", did you mean \"users\"?"},
	{LITE ", \"access\": {\"users\": \"root\"}}",
	 "shop: access.users: must be an array of at most 10000 names or "
	 "numbers"},
	{LITE ", \"access\": {\"users\": [\"root\", \"no-such-user\"]}}",
	 "shop: access.users: there is no \"no-such-user\""},
	{LITE ", \"access\": {\"groups\": [\"no-such-group\"]}}",
	 "shop: access.groups: there is no \"no-such-group\""},
	{LITE ", \"access\": {\"users\": [-1]}}",
	 "shop: access.users: must be names, or numbers from 0 to 4294967294"},
	{LITE ", \"access\": {\"groups\": [4294967295]}}",
	 "shop: access.groups: must be names, or numbers from 0 to 4294967294"},
	{LITE ", \"access\": {\"groups\": [null]}}",
	 "shop: access.groups: must be names, or numbers from 0 to 4294967294"},
	{LITE ", \"access\": {\"everyone\": \"yes\"}}",
	 "shop: access.everyone: must be true or false, without quotes"},

	/* passwords */
	{PG ", \"password_plain\": \"x\", \"password_env\": \"HOME\"}",
	 "shop: password_env: password_plain is given already, and exactly one "
	 "is used"},
	{PG ", \"password_plain\": 5}",
	 "shop: password_plain: must be a string"},
	{PG ", \"password_plain\": \"\"}",
	 "shop: password_plain: must not be empty"},
	{PG ", \"password_file\": \"pw\"}",
	 "shop: password_file: must be an absolute path"},
	{PG ", \"password_file\": \"/etc\"}",
	 "shop: password_file: /etc is not a regular file"},
	{PG ", \"password_env\": \"TEST_CONFIG_NOT_SET\"}",
	 "shop: password_env: TEST_CONFIG_NOT_SET is not set in the environment "
	 "of connfs"},
	{PG ", \"password_command\": \"echo x\"}",
	 "shop: password_command: must be an array of strings, a program and "
	 "its arguments"},
	{PG ", \"password_command\": []}",
	 "shop: password_command: must be an array of strings, a program and "
	 "its arguments"},
	{PG ", \"password_command\": [\"/bin/echo\", 5]}",
	 "shop: password_command: must be an array of strings, a program and "
	 "its arguments"},
	{PG ", \"password_command\": [\"echo\", \"x\"]}",
	 "shop: password_command: must begin with the absolute path of a "
	 "program"},
	{PG ", \"password_command\": [\"/etc/passwd\"]}",
	 "shop: password_command: /etc/passwd is not a program that can be run"},
};

static void test_bad_specs(void)
{
	for (size_t i = 0; i < COUNT(bad_specs); i++)
		refuse_one(bad_specs[i].json, bad_specs[i].error);
}

static void test_defaults(void)
{
	struct config *config = load_one(
		"{\"conn_id\": \"shop\", \"type\": \"postgres\", "
		"\"host\": \"db\", \"user\": \"u\", \"database\": \"d\"}");
	const struct spec *spec = config->specs[0];
	struct auth_status status;

	CHECK(!spec->enabled && !spec->read_only);
	CHECK_TEXT(spec->conn_id, "shop");
	CHECK_TEXT(spec->engine->type, "postgres");
	CHECK_TEXT(spec->engine->backend, "postgres");
	CHECK(spec->engine->dialect == SQL_POSTGRES);
	CHECK(spec->engine->app_name_max == 63);
	CHECK(spec->port == 5432);
	CHECK_TEXT(spec->connect_host, NULL);
	CHECK_TEXT(spec->sslmode, "prefer");
	CHECK_TEXT(spec->application_name, NULL);
	CHECK(spec->statement_timeout_ms == 0);
	CHECK(spec->connect_timeout_ms == 10000);
	CHECK(spec->idle_timeout_ms == 600000);
	CHECK(spec->idle_in_transaction_timeout_ms == 300000);
	CHECK(spec->max_connections == 10);
	CHECK(!spec->sticky && !spec->engine->cancels_by_login);
	CHECK_TEXT(spec->tls_fingerprint, NULL);
	CHECK(!spec->access.everyone && spec->access.n_uids == 0 &&
	      spec->access.n_cgroups == 0);
	auth_status(spec->auth, &status);
	CHECK_TEXT(status.source, "");
	CHECK_TEXT(status.user, "u");
	config_destroy(config);
}

static void test_access_by_control_groups(void)
{
	struct config *config =
		load_one(LITE ", \"access\": {"
			      "  \"cgroups\": [\"/\", \"/jobs/*\"],"
			      "  \"containers\": [\"0123456789ab*\"],"
			      "  \"attributes\": {\"account\": [\"etl\", \"\"],"
			      "                   \"shift\": \"night\"}}}");
	const struct spec *spec = config->specs[0];

	CHECK(spec->access.n_cgroups == 2);
	CHECK_TEXT(spec->access.cgroups[0], "/");
	CHECK_TEXT(spec->access.cgroups[1], "/jobs/*");
	CHECK(spec->access.n_containers == 1);
	CHECK_TEXT(spec->access.containers[0], "0123456789ab*");
	CHECK(spec->access.n_attributes == 2);
	CHECK_TEXT(spec->access.attributes[0].name, "account");
	CHECK(spec->access.attributes[0].n_values == 2);
	CHECK_TEXT(spec->access.attributes[0].values[0], "etl");
	CHECK_TEXT(spec->access.attributes[0].values[1], "");
	CHECK_TEXT(spec->access.attributes[1].name, "shift");
	CHECK(spec->access.attributes[1].n_values == 1);
	CHECK_TEXT(spec->access.attributes[1].values[0], "night");
	config_destroy(config);
}

static void test_every_field(void)
{
	struct config *config = load_one(
		"{\"conn_id\": \"redshift/dev\", \"type\": \"Redshift\","
		" \"enabled\": true, \"description\": \"\", \"owner\": \"me\","
		" \"host\": \"rs.example\", \"port\": \"5440\","
		" \"connect_to\": \"[::1]:6000\", \"user\": \"u\","
		" \"database\": \"d\", \"ssl\": true,"
		" \"sslmode\": \"verify-full\", \"ca_cert\": \"/etc/passwd\","
		" \"read_only\": true, \"statement_timeout\": \"1.5m\","
		" \"connect_timeout\": 2.5, \"idle_timeout\": \" 200 ms \","
		" \"idle_in_transaction_timeout\": \"2h\", \"sticky\": true,"
		" \"max_connections\": 3, \"init_sql\": \"set a = 'b'\","
		" \"application_name\": \"x-{conn_id}\","
		" \"access\": {\"users\": [\"root\", 1000],"
		"              \"groups\": [\"root\", 4294967294]},"
		" \"password_command\": [\"/bin/echo\", \"hunter2\"],"
		" \"preserve_case\": true, \"subtype\": \"pg8000\","
		" \"x-note\": {}, \"X-Ticket\": \"OPS-1\"}");
	const struct spec *spec = config->specs[0];

	CHECK(spec->enabled && spec->read_only);
	CHECK_TEXT(spec->description, NULL);
	CHECK_TEXT(spec->owner, "me");
	CHECK_TEXT(spec->engine->type, "redshift");
	CHECK(spec->engine->app_name_max == 250);
	CHECK_TEXT(spec->host, "rs.example");
	CHECK(spec->port == 5440);
	CHECK_TEXT(spec->connect_host, "::1");
	CHECK(spec->connect_port == 6000);
	CHECK_TEXT(spec->sslmode, "verify-full");
	CHECK_TEXT(spec->ca_cert, "/etc/passwd");
	CHECK(spec->statement_timeout_ms == 90000);
	CHECK(spec->connect_timeout_ms == 2500);
	CHECK(spec->idle_timeout_ms == 200);
	CHECK(spec->idle_in_transaction_timeout_ms == 7200000 && spec->sticky);
	CHECK(spec->max_connections == 3);
	CHECK_TEXT(spec->init_sql, "set a = 'b'");
	CHECK_TEXT(spec->application_name, "x-{conn_id}");
	CHECK(spec->access.n_uids == 2 && spec->access.uids[0] == 0 &&
	      spec->access.uids[1] == 1000);
	CHECK(spec->access.n_gids == 2 && spec->access.gids[0] == 0 &&
	      spec->access.gids[1] == 4294967294);
	check_shown(spec, "{\n"
			  "  \"conn_id\": \"redshift/dev\",\n"
			  "  \"type\": \"redshift\",\n"
			  "  \"enabled\": true,\n"
			  "  \"owner\": \"me\",\n"
			  "  \"host\": \"rs.example\",\n"
			  "  \"port\": 5440,\n"
			  "  \"connect_to\": \"[::1]:6000\",\n"
			  "  \"database\": \"d\",\n"
			  "  \"user\": \"u\",\n"
			  "  \"password_source\": \"command\",\n"
			  "  \"sslmode\": \"verify-full\",\n"
			  "  \"ca_cert\": \"/etc/passwd\",\n"
			  "  \"read_only\": true,\n"
			  "  \"statement_timeout\": \"90s\",\n"
			  "  \"connect_timeout\": \"2500ms\",\n"
			  "  \"idle_timeout\": \"200ms\",\n"
			  "  \"idle_in_transaction_timeout\": \"7200s\",\n"
			  "  \"max_connections\": 3,\n"
			  "  \"sticky\": true,\n"
			  "  \"application_name\": \"x-{conn_id}\"\n"
			  "}\n");
	config_destroy(config);
}

static const struct {
	const char *type;
	enum auth_token token;
} mysql_types[] = {
	{"mysql", AUTH_TOKEN_NONE},      {"mariadb", AUTH_TOKEN_NONE},
	{"mysql-rds", AUTH_TOKEN_RDS},   {"mysql-aurora", AUTH_TOKEN_RDS},
	{"mariadb-rds", AUTH_TOKEN_RDS},
};

static void test_mysql_family(void)
{
	char json[512];

	for (size_t i = 0; i < COUNT(mysql_types); i++) {
		const struct engine *engine;
		struct config *config;

		(void)snprintf(json, sizeof(json),
			       "{" HEAD ", \"type\": \"%s\", "
			       "\"host\": \"db\", \"user\": \"u\", "
			       "\"database\": \"d\", "
			       "\"password_plain\": \"x\"}",
			       mysql_types[i].type);
		config = load_one(json);
		engine = config->specs[0]->engine;
		CHECK_TEXT(engine->type, mysql_types[i].type);
		CHECK_TEXT(engine->backend, "mariadb");
		CHECK(engine->dialect == SQL_MYSQL);
		CHECK(engine->app_name_max == 255);
		CHECK(engine->needs_login && engine->cancels_by_login);
		CHECK(!engine->is_file);
		CHECK(engine->token == mysql_types[i].token);
		CHECK(config->specs[0]->port == 3306);
		config_destroy(config);
	}
}

/* lava's own example: port and user are placeholders. */
static void test_sqlite(void)
{
	struct config *config = load_one(
		"{\"conn_id\": \"scratch\", \"type\": \"sqlite3\", "
		"\"enabled\": true, \"host\": \"/var/lib/scratch.db\", "
		"\"port\": \"n/a\", \"user\": \"none\", \"database\": \"x\", "
		"\"ssl\": false, \"access\": {\"everyone\": true}}");
	const struct spec *spec = config->specs[0];

	CHECK_TEXT(spec->engine->backend, "sqlite");
	CHECK(spec->engine->dialect == SQL_SQLITE);
	CHECK_TEXT(spec->host, "/var/lib/scratch.db");
	CHECK(spec->port == 0 && spec->user == NULL && spec->database == NULL);
	CHECK_TEXT(spec->sslmode, NULL);
	CHECK(spec->access.everyone);
	check_shown(spec, "{\n"
			  "  \"conn_id\": \"scratch\",\n"
			  "  \"type\": \"sqlite3\",\n"
			  "  \"enabled\": true,\n"
			  "  \"host\": \"/var/lib/scratch.db\",\n"
			  "  \"password_source\": \"none\",\n"
			  "  \"read_only\": false,\n"
			  "  \"connect_timeout\": \"10s\",\n"
			  "  \"idle_timeout\": \"600s\",\n"
			  "  \"idle_in_transaction_timeout\": \"300s\",\n"
			  "  \"max_connections\": 10,\n"
			  "  \"sticky\": false\n"
			  "}\n");
	config_destroy(config);
}

static void check_password(const char *json, const char *source,
			   const char *password)
{
	struct config *config = load_one(json);
	struct auth *auth = config->specs[0]->auth;
	struct auth_status status;
	struct credential c;
	struct err err = {0};

	CHECK(!is_shown(config->specs[0], password));
	CHECK(auth_get(auth, &c, &err) == 0);
	CHECK_TEXT(c.user, "u");
	CHECK_TEXT(c.password.data, password);
	auth_status(auth, &status);
	CHECK_TEXT(status.source, source);
	credential_finish(&c);
	config_destroy(config);
}

static void test_passwords(void)
{
	char json[1024];

	check_password(PG ", \"password_plain\": \"hunter2\"}", "static",
		       "hunter2");
	check_write("pw", 0600, "from file\n");
	(void)snprintf(json, sizeof(json), PG ", \"password_file\": \"%s\"}",
		       check_path("pw"));
	check_password(json, "file", "from file");
	check_password(PG ", \"password_command\": [\"/bin/echo\", \"a b\"]}",
		       "command", "a b");
	CHECK(setenv("TEST_CONFIG_PASSWORD", "from env", 1) == 0);
	check_password(PG ", \"password_env\": \"TEST_CONFIG_PASSWORD\"}",
		       "env", "from env");
	/* SOURCE is read again. */
	check_password(PG ", \"password_env\": \"TEST_CONFIG_PASSWORD\"}",
		       "env", "from env");
	CHECK(getenv("TEST_CONFIG_PASSWORD") == NULL);
	check_password("{" HEAD ", \"type\": \"postgres-aurora\", "
		       "\"host\": \"db\", \"user\": \"u\", "
		       "\"database\": \"d\", \"password_plain\": \"hunter2\"}",
		       "static", "hunter2");
}

/* A spec that is no good leaves nothing in the environment either. */
static void test_env_of_a_bad_spec_is_taken(void)
{
	struct config *config;

	CHECK(setenv("TEST_CONFIG_BAD", "hunter2", 1) == 0);
	check_write("bad.json", 0600,
		    "[{\"password_env\": \"TEST_CONFIG_BAD\"}]");
	config = load("bad.json", NULL);
	CHECK(config->n_errors == 1);
	CHECK(getenv("TEST_CONFIG_BAD") == NULL);
	config_destroy(config);
}

static void test_plain_password_needs_a_private_file(void)
{
	static const mode_t modes[] = {0640, 0604, 0644, 0440};
	struct config *config;

	for (size_t i = 0; i < COUNT(modes); i++) {
		check_write("plain.json", modes[i],
			    PG ", \"password_plain\": \"hunter2\"}");
		config = load("plain.json", NULL);
		CHECK(config->n_specs == 0 && config->n_errors == 1);
		check_message(config->errors[0].text,
			      "@/plain.json: shop: password_plain: others can "
			      "read the file it stands in: chmod 600");
		config_destroy(config);
	}
}

int main(int argc, char **argv)
{
	(void)umask(022);
	check_init(argc, argv);
	test_bad_specs();
	test_defaults();
	test_access_by_control_groups();
	test_every_field();
	test_mysql_family();
	test_sqlite();
	test_passwords();
	test_env_of_a_bad_spec_is_taken();
	test_plain_password_needs_a_private_file();
	return 0;
}

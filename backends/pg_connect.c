/* SPDX-License-Identifier: MIT */
#include "backends/pg_connect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/address.h"
#include "backends/db.h"
#include "backends/environment.h"
#include "backends/pg_rows.h"
#include "backends/sqlstate.h"
#include "backends/steps.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/utf8.h"

enum {
	DEFAULT_PORT = 5432,
	OPTIONS_MAX = 256,
	DSQL_ID_MAX = 64,
	NAMEDATA_MAX = 63,
	REDSHIFT_NAME_MAX = 250,
	MESSAGE_MAX = 4096,
	MAX_KEYWORDS = 40,
	PORT_SIZE = 8,
};

/*
 * Nothing can be below a device. libpq looks into ~/.postgresql and ~/.pgpass
 * when it is not told where else to look, and takes "" for not told.
 */
#define NO_FILE   "/dev/null/none"
#define SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"

/* Parameters for libpq. A null or empty value is as good as none. */
struct keywords {
	const char *names[MAX_KEYWORDS + 1];
	const char *values[MAX_KEYWORDS + 1];
	size_t n;
};

#define RDS_CA                                                          \
	"RDS and Aurora need https://truststore.pki.rds.amazonaws.com/" \
	"global/global-bundle.pem as ca_cert"
#define PUBLIC_CA                                                    \
	"it comes from a public authority of Amazon: leave ca_cert " \
	"out, and keep the system's ca-certificates up to date"

const struct pg_flavour pg_flavour_postgres = {
	.name_max = NAMEDATA_MAX,
	.has_settings = true,
	.ca_hint = RDS_CA,
};

const struct pg_flavour pg_flavour_redshift = {
	.name_max = REDSHIFT_NAME_MAX,
	.has_settings = true,
	.ca_hint = PUBLIC_CA,
};

const struct pg_flavour pg_flavour_dsql = {
	.name_max = NAMEDATA_MAX,
	.needs_name = true,
	.ca_hint = PUBLIC_CA,
};

static pthread_once_t environment_once = PTHREAD_ONCE_INIT;

/*
 * Most of libpq's variables lose against an explicit parameter; PGSERVICE,
 * PGREQUIREPEER, PGDATESTYLE, PGTZ, PGGEQO and, where there is no password,
 * PGPASSWORD do not. All go, before libpq is used the first time.
 */
static void clear_environment(void)
{
	static const char *const prefixes[] = {"PG"};

	environment_clear(prefixes, 1);
}

static void set(struct keywords *k, const char *name, const char *value)
{
	if (k->n == MAX_KEYWORDS)
		return;
	k->names[k->n] = name;
	k->values[k->n] = value;
	k->n++;
}

static void set_login(struct keywords *k, const struct db_params *params,
		      const char *app_name, const char *options)
{
	const char *database = params->database;

	if (database == NULL || *database == '\0')
		database = params->user; /* the server's own default */
	set(k, "user", params->user);
	set(k, "passfile", NO_FILE);
	set(k, "dbname", database);
	set(k, "application_name", app_name);
	set(k, "client_encoding", "UTF8");
	set(k, "options", options);
	set(k, "target_session_attrs", "any");
	set(k, "channel_binding", "prefer");
	set(k, "krbsrvname", "postgres");
	set(k, "gsslib", "gssapi");
	set(k, "gssencmode", "disable");
}

static void set_tls(struct keywords *k, const struct db_params *params)
{
	const char *mode = params->sslmode ? params->sslmode : "prefer";
	const char *ca = params->ca_cert;

	if (ca == NULL)
		ca = strncmp(mode, "verify-", 7) == 0 ? SYSTEM_CA : NO_FILE;
	set(k, "sslmode", mode);
	set(k, "sslrootcert", ca);
	set(k, "sslcert", NO_FILE);
	set(k, "sslkey", NO_FILE);
	set(k, "sslcrl", NO_FILE);
	set(k, "sslcrldir", NO_FILE);
	set(k, "sslcompression", "0");
	set(k, "sslsni", "1");
	set(k, "ssl_min_protocol_version", "TLSv1.2");
	set(k, "ssl_max_protocol_version", "TLSv1.3");
}

/* A dead peer is noticed within a minute, idle or not. */
static void set_keepalive(struct keywords *k)
{
	set(k, "keepalives", "1");
	set(k, "keepalives_idle", "30");
	set(k, "keepalives_interval", "10");
	set(k, "keepalives_count", "3");
	set(k, "tcp_user_timeout", "60000");
}

void pg_app_name(char out[PG_APP_NAME_SIZE], const struct pg_flavour *flavour,
		 const char *name)
{
	size_t len = 0;
	size_t n;

	if (name == NULL || *name == '\0')
		name = "connfs";
	while (name[len] != '\0') {
		n = utf8_char(name + len, strlen(name + len));
		n = n > 0 ? n : 1;
		if (len + n > flavour->name_max)
			break;
		len += n;
	}
	memcpy(out, name, len);
	out[len] = '\0';
}

static void make_options(char out[OPTIONS_MAX],
			 const struct pg_flavour *flavour,
			 const struct db_params *params)
{
	char cluster[DSQL_ID_MAX + 32] = "";
	char timeout[64] = "";
	bool read_only = flavour->has_settings && params->read_only;

	if (params->dsql_id != NULL)
		(void)snprintf(cluster, sizeof(cluster),
			       "-c amzn-cluster-id=%s", params->dsql_id);
	if (flavour->has_settings && params->statement_timeout_ms > 0)
		(void)snprintf(timeout, sizeof(timeout),
			       " -c statement_timeout=%u",
			       params->statement_timeout_ms);
	(void)snprintf(out, OPTIONS_MAX, "%s%s%s", cluster, timeout,
		       read_only ? " -c default_transaction_read_only=on" : "");
}

static bool repeated(const char *text, const char *line, size_t len)
{
	while (text < line) {
		size_t n = strcspn(text, "\n");

		if (n == len && memcmp(text, line, len) == 0)
			return true;
		text += n + 1;
	}
	return false;
}

void pg_one_line(char *out, size_t size, const char *text)
{
	size_t used = 0;

	out[0] = '\0';
	for (const char *p = text; *p != '\0';) {
		size_t len = strcspn(p, "\n");

		if (len > 0 && !repeated(text, p, len) && used + 1 < size) {
			(void)snprintf(out + used, size - used, "%s%.*s",
				       used > 0 ? " " : "", (int)len, p);
			used += strlen(out + used);
		}
		p += len;
		p += *p == '\n';
	}
	for (char *p = out; *p != '\0'; p++) {
		if (*p == '\t')
			*p = ' ';
	}
}

/*
 * libpq tells why the network failed in words only. They are those of the C
 * library, so that it can be asked for them.
 */
static int network_errno(const char *text)
{
	static const int codes[] = {ECONNREFUSED, ETIMEDOUT};
	char words[128];

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (strstr(text, strerror_r(codes[i], words, sizeof(words))))
			return codes[i];
	}
	return EHOSTUNREACH;
}

static int login_error(PGconn *conn, struct err *err)
{
	const char *state = pg_rows_sqlstate(conn);
	char text[MESSAGE_MAX];
	int code;

	pg_one_line(text, sizeof(text), PQerrorMessage(conn));
	if (*state != '\0')
		code = sqlstate_errno(state);
	else if (PQconnectionNeedsPassword(conn) ||
		 PQconnectionUsedPassword(conn))
		code = EACCES;
	else
		code = network_errno(text);
	/* Aurora DSQL's, of a token that is no good. */
	if (strstr(text, "connection, access denied"))
		code = EACCES;
	(void)err_set(err, code, "%s", text);
	(void)snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", state);
	return -code;
}

/* What to do, where neither libpq nor the server says it; null: nothing. */
static const char *login_hint(const struct err *err,
			      const struct pg_flavour *flavour,
			      const struct db_params *params)
{
	if (strstr(err->msg, "sni was not received"))
		return "host must be the name of the cluster, and connect_to "
		       "what is dialled";
	if (params->password_is_token &&
	    strstr(err->msg, "certificate verify failed"))
		return flavour->ca_hint;
	if (params->password_is_token &&
	    strstr(err->msg, "does not match host name"))
		return "host must be the server's own name, and connect_to "
		       "what is dialled";
	return NULL;
}

static void add_hint(struct err *err, const char *hint)
{
	const struct err bare = *err;

	if (hint == NULL)
		return;
	(void)err_set(err, bare.code, "%s; %s", bare.msg, hint);
	memcpy(err->sqlstate, bare.sqlstate, sizeof(err->sqlstate));
}

static void ignore_notice(void *arg, const PGresult *res)
{
}

/* How far a login has got, as it has been told. */
enum progress { NOWHERE, DIALLED, SECURED, PLAIN };

static void tell_dialled(const PGconn *conn, const struct db_params *params)
{
	const char *host = PQhost(conn);
	char path[PATH_MAX];

	if (*host != '/') {
		step_dialled(params, PQhostaddr(conn),
			     (unsigned)strtoul(PQport(conn), NULL, 10));
		return;
	}
	(void)snprintf(path, sizeof(path), "%s/.s.PGSQL.%s", host,
		       PQport(conn));
	step_dialled_socket(params, path);
}

/* libpq believes whom ca_cert names as soon as there is one. */
static void tell_secured(PGconn *conn, const struct db_params *params)
{
	const char *version = PQsslAttribute(conn, "protocol");
	const char *mode = params->sslmode ? params->sslmode : "prefer";
	const struct step_tls tls = {
		.version = version != NULL ? version : "TLS",
		.chain = params->ca_cert != NULL ||
			 strncmp(mode, "verify-", 7) == 0,
		.name = strcmp(mode, "verify-full") == 0,
	};

	step_secured(params, &tls);
}

/*
 * Looks at what libpq has come to. Where TLS is preferred, or allowed, it may
 * begin anew without it, or with it.
 */
static enum progress follow(PGconn *conn, const struct db_params *params,
			    enum progress told)
{
	ConnStatusType status = PQstatus(conn);
	bool tls = PQsslInUse(conn) != 0;

	if (status == CONNECTION_NEEDED || status == CONNECTION_STARTED)
		return NOWHERE;
	if (status == CONNECTION_MADE && told == NOWHERE) {
		tell_dialled(conn, params);
		told = DIALLED;
	}
	if (status == CONNECTION_MADE && told == DIALLED && tls) {
		tell_secured(conn, params);
		told = SECURED;
	}
	if (status == CONNECTION_AWAITING_RESPONSE && told == DIALLED) {
		if (*PQhost(conn) != '/')
			step_plain(params);
		told = PLAIN;
	}
	return told;
}

static int wait_login(PGconn *conn, const struct db_params *params,
		      uint64_t deadline, struct err *err)
{
	PostgresPollingStatusType next = PGRES_POLLING_WRITING;
	const struct pg_rows rows = {.conn = conn};
	enum progress told = follow(conn, params, NOWHERE);

	while (next != PGRES_POLLING_OK) {
		struct pollfd pfd = {.fd = PQsocket(conn)};

		if (next == PGRES_POLLING_FAILED)
			return login_error(conn, err);
		pfd.events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT;
		if (!pg_rows_pending(&rows)) {
			int n = poll(&pfd, 1, clock_poll_timeout(deadline));

			if (n == 0)
				return err_set(
					err, ETIMEDOUT,
					"connect to %s port %s: timed out",
					PQhost(conn), PQport(conn));
			if (n < 0 && errno == EINTR)
				continue;
		}
		next = PQconnectPoll(conn);
		pg_rows_wipe_scram(conn);
		told = follow(conn, params, told);
	}
	return 0;
}

/* How to log in, but for the address. */
struct attempt {
	PGconn **out;
	const struct keywords *k; /* all but what is added here */
	const struct db_params *params;
};

static PGconn *start(struct keywords k, const char *password)
{
	/* dbname is a name, not a connection string: expand_dbname is 0. */
	PGconn *conn = PQconnectStartParams(k.names, k.values, 0);

	if (conn == NULL || pg_rows_give_password(conn, password))
		return conn;
	PQfinish(conn);
	set(&k, "password", password);
	return PQconnectStartParams(k.names, k.values, 0);
}

static int log_in(const struct attempt *a, const char *address,
		  uint64_t deadline, struct err *err)
{
	struct keywords k = *a->k;
	PGconn *conn;
	int rc;

	set(&k, "hostaddr", address);
	conn = start(k, a->params->password);
	if (conn == NULL)
		return err_set(err, ENOMEM, "out of memory");
	(void)PQsetNoticeReceiver(conn, ignore_notice, NULL);
	if (PQstatus(conn) == CONNECTION_BAD)
		rc = login_error(conn, err);
	else
		rc = wait_login(conn, a->params, deadline, err);
	pg_rows_wipe_password(conn);
	if (rc < 0) {
		PQfinish(conn);
		return rc;
	}
	step_admitted(a->params);
	*a->out = conn;
	return 0;
}

static int log_in_at(void *arg, const char *address, uint64_t deadline,
		     struct err *err)
{
	return log_in(arg, address, deadline, err);
}

static bool is_address(const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, address) == 1 ||
	       inet_pton(AF_INET6, host, address) == 1;
}

/* A token is a password that the server gets to see. */
static int check_token(const struct db_params *params, const char *dial,
		       struct err *err)
{
	static const char *const modes[] = {"require", "verify-ca",
					    "verify-full"};

	if (*dial == '/')
		return err_set(err, EACCES,
			       "a token is not sent through a unix socket");
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (params->sslmode != NULL &&
		    strcmp(params->sslmode, modes[i]) == 0)
			return 0;
	}
	return err_set(err, EACCES,
		       "sslmode: a token is sent with verify-full, verify-ca "
		       "or require only");
}

static int check_dsql_id(const char *id, struct err *err)
{
	size_t len = strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789");

	if (len == 0 || len > DSQL_ID_MAX || id[len] != '\0')
		return err_set(err, EINVAL,
			       "the id of a cluster is of small letters and "
			       "digits");
	return 0;
}

/* dial: connect_host, or null. */
static int check_host(const struct db_params *params, const char *dial,
		      struct err *err)
{
	if (params->host == NULL || *params->host == '\0')
		return err_set(err, EINVAL, "the connection has no host");
	/* libpq takes it for a list of hosts. */
	if (strchr(params->host, ',') || (dial && strchr(dial, ',')))
		return err_set(err, EINVAL, "a host name has no comma");
	return 0;
}

static int check_params(const struct pg_flavour *flavour,
			const struct db_params *params, struct err *err)
{
	const char *dial = params->connect_host;
	int rc = check_host(params, dial, err);

	if (dial == NULL || *dial == '\0')
		dial = params->host;
	if (rc == 0 && params->password_is_token)
		rc = check_token(params, dial, err);
	if (rc == 0 && params->dsql_id != NULL)
		rc = check_dsql_id(params->dsql_id, err);
	if (rc < 0)
		return rc;
	if (flavour->needs_name && params->dsql_id == NULL &&
	    is_address(params->host))
		return err_set(err, EINVAL,
			       "host: must be the name of the cluster, which "
			       "TLS tells the server; connect_to is dialled");
	if (params->user == NULL || *params->user == '\0')
		return err_set(err, EINVAL, "the connection has no user");
	/* libpq verifies nothing when the file is not there and need not be. */
	if (params->ca_cert != NULL && access(params->ca_cert, R_OK) < 0)
		return err_sys(err, errno, "ca_cert %s", params->ca_cert);
	return 0;
}

int pg_connect(PGconn **out, const struct pg_flavour *flavour,
	       const struct db_params *params, uint64_t deadline,
	       struct err *err)
{
	const char *dial = params->connect_host;
	unsigned port = params->connect_port;
	struct keywords k = {.n = 0};
	struct attempt attempt = {
		.out = out,
		.k = &k,
		.params = params,
	};
	char app_name[PG_APP_NAME_SIZE];
	char options[OPTIONS_MAX];
	char port_text[PORT_SIZE];
	int rc;

	(void)pthread_once(&environment_once, clear_environment);
	rc = check_params(flavour, params, err);
	if (rc < 0)
		return rc;
	if (dial == NULL || *dial == '\0')
		dial = params->host;
	if (port == 0)
		port = params->port;
	(void)snprintf(port_text, sizeof(port_text), "%u",
		       port > 0 ? port : DEFAULT_PORT);
	pg_app_name(app_name, flavour, params->application_name);
	make_options(options, flavour, params);

	/* The host is the name that is verified; a directory has no other. */
	set(&k, "host", *dial == '/' ? dial : params->host);
	set(&k, "port", port_text);
	set_login(&k, params, app_name, options);
	set_tls(&k, params);
	set_keepalive(&k);
	if (*dial == '/')
		return log_in(&attempt, NULL, deadline, err);
	rc = address_try_each(dial, deadline, log_in_at, &attempt, err);
	if (rc < 0)
		add_hint(err, login_hint(err, flavour, params));
	return rc;
}

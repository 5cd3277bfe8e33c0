/* SPDX-License-Identifier: MIT */
#include "backends/mariadb_connect.h"

#include <errmsg.h>
#include <errno.h>
#include <fcntl.h>
#include <mysql.h>
#include <mysql/plugin_auth.h>
#include <mysqld_error.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/address.h"
#include "backends/db.h"
#include "backends/environment.h"
#include "backends/mariadb_error.h"
#include "backends/mariadb_pvio.h"
#include "backends/mariadb_tls.h"
#include "backends/mariadb_wait.h"
#include "backends/steps.h"
#include "common/err.h"
#include "common/secret.h"
#include "common/utf8.h"

enum {
	DEFAULT_PORT = 3306,
	APP_NAME_MAX = 255, /* bytes; the server keeps 512 of all attributes */
	METHOD_SIZE = 64,
	/*
	 * More than fits into an arena of malloc(), which then maps the block
	 * by itself. Of such a block nothing is left when the connector frees
	 * it as it is, which it does where a login fails.
	 */
	PASSWORD_BLOCK = 65 * 1024 * 1024,
	/* Beyond the cells of a row: their lengths, and other packets. */
	PACKET_SLACK = 1024 * 1024,
	/* Of a plugin that authenticates; the header with them is not whole. */
	PLUGIN_TYPE = 2,
	PLUGIN_VERSION = 0x0100,
	/* First bytes of a packet of the server. */
	PACKET_OK = 0,
	PACKET_SWITCH = 254,
	PACKET_ERROR = 255,
};

/*
 * How a password may be shown. Those of the second list send it as it is, or
 * encrypted with a key that whoever is on the way can send: only where nobody
 * is. The connector looks for a name anywhere in the list.
 */
#define FIRST_METHOD  "connfs_first"
#define PROOF_METHODS FIRST_METHOD ",mysql_native_password,client_ed25519"
#define PLAIN_METHODS PROOF_METHODS ",caching_sha2_password,sha256_password"
/* The password as it is: for tokens, and where my_tls_check() was content. */
#define CLEAR_METHOD  "mysql_clear_password"
#define TOKEN_METHODS PLAIN_METHODS "," CLEAR_METHOD

/* Their certificates are of no public authority. */
#define TOKEN_CA                                                      \
	"; RDS and Aurora need https://truststore.pki.rds.amazonaws." \
	"com/global/global-bundle.pem as ca_cert"

/* What is dialled. */
struct peer {
	const char *address; /* of TCP; null: the socket at path */
	unsigned port;
	const char *path;
};

struct login {
	const struct db_params *params;
	const struct peer *peer; /* null: it is dialled already */
	struct err *err;
	bool told_dialled;
	bool told_tls;
	bool refused;             /* by us: err says why */
	char method[METHOD_SIZE]; /* what the server asked for */
};

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static bool library_ready;

/* The login that the calling thread is at. */
static _Thread_local struct login *current;

/* MYSQL_PWD, LIBMYSQL_PLUGINS and others have a say, unless they are gone. */
static void clear_environment(void)
{
	static const char *const prefixes[] = {"MYSQL_", "MARIADB_",
					       "LIBMYSQL_"};

	environment_clear(prefixes, sizeof(prefixes) / sizeof(prefixes[0]));
}

static void tell_dialled(void)
{
	struct login *login = current;

	if (login == NULL || login->peer == NULL || login->told_dialled)
		return;
	login->told_dialled = true;
	if (login->peer->address != NULL)
		step_dialled(login->params, login->peer->address,
			     login->peer->port);
	else
		step_dialled_socket(login->params, login->peer->path);
}

/* my_tls_check(), and what it has found. */
static int check_tls(struct login *login, const MYSQL *mysql)
{
	int rc = my_tls_check(mysql, login->params, login->err);
	struct step_tls tls;

	if (rc < 0 || login->peer == NULL || login->told_tls)
		return rc;
	login->told_tls = true;
	if (my_tls_describe(mysql, login->params, &tls))
		step_secured(login->params, &tls);
	else if (login->peer->address != NULL)
		step_plain(login->params);
	return 0;
}

static int refuse(struct login *login, MYSQL *mysql)
{
	login->refused = true;
	/* Or the connector would go on with what the server asks for. */
	mysql->net.read_pos[0] = PACKET_ERROR;
	return CR_ERROR;
}

static int give_password(MYSQL *mysql, const struct db_params *params)
{
	const char *given = params->password != NULL ? params->password : "";
	size_t size = strlen(given) + 1;
	char *password = malloc(size > PASSWORD_BLOCK ? size : PASSWORD_BLOCK);

	if (password == NULL)
		password = malloc(size);
	if (password == NULL)
		return -ENOMEM;
	memcpy(password, given, size);
	free(mysql->passwd);
	mysql->passwd = password;
	return 0;
}

/* What is on the way to the server cannot be listened to. */
static bool is_private(const MYSQL *mysql)
{
	return mysql->net.pvio->ctls != NULL ||
	       mysql->net.pvio->type == PVIO_TYPE_UNIXSOCKET;
}

static const char *methods(const MYSQL *mysql, const struct db_params *params)
{
	if (mysql->net.pvio->ctls != NULL && params->password_is_token)
		return TOKEN_METHODS;
	return is_private(mysql) ? PLAIN_METHODS : PROOF_METHODS;
}

/*
 * A first authentication method that no account has. The server answers by
 * naming the account's own. So this is a place between the beginning of TLS
 * and the first thing that is secret.
 */
static int first_method(MYSQL_PLUGIN_VIO *vio, MYSQL *mysql)
{
	struct login *login = current;
	int fd = mysql_get_socket(mysql);
	unsigned char *packet;
	int n;

	if (login == NULL)
		return CR_ERROR;
	tell_dialled();
	/* TLS waits in read() otherwise, and not in my_wait_io(). */
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	/* Sends the user's name, and reads the answer. */
	n = vio->read_packet(vio, &packet);
	if (mysql->net.pvio == NULL || mysql->net.buff == NULL)
		return CR_ERROR;
	if (n < 0 && mysql->net.read_pos[0] != PACKET_SWITCH)
		return CR_ERROR;
	if (check_tls(login, mysql) < 0)
		return refuse(login, mysql);
	if (n >= 0)
		return packet[0] == PACKET_OK ? CR_OK_HANDSHAKE_COMPLETE
					      : CR_ERROR;
	(void)snprintf(login->method, sizeof(login->method), "%s",
		       (const char *)mysql->net.read_pos + 1);
	(void)mysql_optionsv(mysql, MARIADB_OPT_RESTRICTED_AUTH,
			     methods(mysql, login->params));
	if (give_password(mysql, login->params) < 0) {
		(void)err_set(login->err, ENOMEM, "out of memory");
		return refuse(login, mysql);
	}
	return CR_ERROR; /* that is, with this method */
}

/*
 * The connector's own is a file that need not be there, and asks nobody before
 * it sends the password.
 */
static int clear_method(MYSQL_PLUGIN_VIO *vio, MYSQL *mysql)
{
	struct login *login = current;
	size_t len;
	int rc;

	if (login == NULL || !login->params->password_is_token ||
	    mysql->net.pvio == NULL || mysql->net.pvio->ctls == NULL)
		return CR_ERROR;
	if (my_tls_check(mysql, login->params, login->err) < 0)
		return refuse(login, mysql);
	len = strlen(mysql->passwd);
	rc = vio->write_packet(vio, (const unsigned char *)mysql->passwd,
			       (int)len + 1);
	/* Where the login fails all of it is freed as it is. */
	secret_wipe(mysql->passwd, len);
	if (mysql->net.buff != NULL)
		secret_wipe(mysql->net.buff, mysql->net.max_packet);
	return rc != 0 ? CR_ERROR : CR_OK;
}

/* As the connector declares it. */
struct plugin {
	MYSQL_CLIENT_PLUGIN_HEADER int (*authenticate_user)(MYSQL_PLUGIN_VIO *,
							    MYSQL *);
};

static struct plugin first_plugin = {
	.type = PLUGIN_TYPE,
	.interface_version = PLUGIN_VERSION,
	.name = FIRST_METHOD,
	.author = "connfs",
	.desc = "lets the account name its method",
	.version = {1, 0, 0},
	.license = "MIT",
	.authenticate_user = first_method,
};

static struct plugin clear_plugin = {
	.type = PLUGIN_TYPE,
	.interface_version = PLUGIN_VERSION,
	.name = CLEAR_METHOD,
	.author = "connfs",
	.desc = "sends a token to a server that is known",
	.version = {1, 0, 0},
	.license = "MIT",
	.authenticate_user = clear_method,
};

static bool add_plugin(MYSQL *mysql, struct plugin *plugin)
{
	return mysql_client_register_plugin(
		       mysql, (struct st_mysql_client_plugin *)plugin) != NULL;
}

static void start_library(void)
{
	MYSQL *mysql;

	clear_environment();
	if (mysql_library_init(0, NULL, NULL) != 0)
		return;
	mysql = mysql_init(NULL);
	if (mysql == NULL)
		return;
	library_ready = add_plugin(mysql, &first_plugin);
	/* Where the connector has one built in, that has to do. */
	(void)add_plugin(mysql, &clear_plugin);
	mysql_close(mysql);
}

static int refuse_file(void **state, const char *name, void *arg)
{
	*state = NULL;
	return 1;
}

static int read_nothing(void *state, char *buffer, unsigned len)
{
	return -1;
}

static void end_file(void *state)
{
}

static int explain_refusal(void *state, char *text, unsigned len)
{
	(void)snprintf(text, len, "connfs sends no files to the server");
	return ER_LOAD_INFILE_CAPABILITY_DISABLED;
}

static void set_app_name(MYSQL *mysql, const char *name)
{
	char text[APP_NAME_MAX + 1];
	size_t len = 0;
	size_t n;

	if (name == NULL || *name == '\0')
		name = "connfs";
	while (name[len] != '\0') {
		n = utf8_char(name + len, strlen(name + len));
		n = n > 0 ? n : 1;
		if (len + n > APP_NAME_MAX)
			break;
		len += n;
	}
	memcpy(text, name, len);
	text[len] = '\0';
	(void)mysql_optionsv(mysql, MYSQL_OPT_CONNECT_ATTR_DELETE,
			     "program_name");
	(void)mysql_optionsv(mysql, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name",
			     text);
}

static int set_options(MYSQL *mysql, const struct db_params *params,
		       struct err *err)
{
	size_t packet = params->max_row + PACKET_SLACK;
	unsigned none = 0;
	my_bool no = 0;

	(void)mysql_optionsv(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	(void)mysql_optionsv(mysql, MYSQL_OPT_LOCAL_INFILE, &none);
	mysql_set_local_infile_handler(mysql, refuse_file, read_nothing,
				       end_file, explain_refusal, NULL);
	(void)mysql_optionsv(mysql, MYSQL_OPT_RECONNECT, &no);
	(void)mysql_optionsv(mysql, MYSQL_REPORT_DATA_TRUNCATION, &no);
	(void)mysql_optionsv(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
	(void)mysql_optionsv(mysql, MYSQL_DEFAULT_AUTH, FIRST_METHOD);
	(void)mysql_optionsv(mysql, MARIADB_OPT_RESTRICTED_AUTH, FIRST_METHOD);
	(void)mysql_optionsv(mysql, MARIADB_OPT_IO_WAIT, my_wait_io);
	set_app_name(mysql, params->application_name);
	return my_tls_set_options(mysql, params, err);
}

/* Why the calling thread's login failed; the connector has its own idea. */
static int login_error(MYSQL *mysql, const struct login *login,
		       const struct my_wait *wait, struct err *err)
{
	/* What the connector says before the number that came without TLS. */
	static const char early_error[] = "error cannot be verified: ";
	const char *early;
	struct my_error e;

	if (login->refused)
		return -err->code;
	if (wait->timed_out)
		return err_set(err, ETIMEDOUT, "connect to %s: timed out",
			       login->params->host);
	if (wait->connect_errno != 0) {
		(void)err_sys(err, wait->connect_errno, "connect to %s",
			      login->params->host);
		if (wait->connect_errno != ECONNREFUSED &&
		    wait->connect_errno != ETIMEDOUT)
			err->code = EHOSTUNREACH;
		return -err->code;
	}
	if (mysql_errno(mysql) == CR_PLUGIN_NOT_ALLOWED)
		return err_set(err, EACCES,
			       "the server asks for %s, which connfs does not "
			       "use on this connection%s",
			       login->method,
			       strstr(PLAIN_METHODS, login->method) != NULL
				       ? " without TLS"
				       : "");
	early = strstr(mysql_error(mysql), early_error);
	if (early != NULL)
		my_error_make(&e,
			      (unsigned)strtoul(early + strlen(early_error),
						NULL, 10),
			      "", mysql_error(mysql));
	else
		my_error_make(&e, mysql_errno(mysql), mysql_sqlstate(mysql),
			      mysql_error(mysql));
	if (e.number == CR_SSL_CONNECTION_ERROR &&
	    login->params->password_is_token && strstr(e.text, "certificate"))
		return err_set(err, EHOSTUNREACH, "%s" TOKEN_CA, e.text);
	if (e.eno == ENOTCONN)
		e.eno = EHOSTUNREACH;
	/* What the connector makes up has no SQLSTATE. */
	if (my_error_is_local(e.number))
		e.sqlstate[0] = '\0';
	return my_error_set(err, &e);
}

/*
 * The connector keeps its copy for as long as the connection lives, and maybe
 * another one where it put it to be sent.
 */
static void wipe_password(MYSQL *mysql)
{
	char *none = strdup("");

	if (mysql->passwd != NULL && *mysql->passwd != '\0')
		secret_wipe(mysql->passwd, strlen(mysql->passwd));
	if (none != NULL) {
		free(mysql->passwd);
		mysql->passwd = none;
	}
	mysql->info = NULL; /* was there */
	if (mysql->net.buff != NULL)
		secret_wipe(mysql->net.buff, mysql->net.max_packet);
}

static int connect_to(MYSQL *mysql, const struct db_params *params,
		      const struct peer *peer, uint64_t deadline,
		      struct err *err)
{
	struct login login = {.params = params, .peer = peer, .err = err};
	struct my_wait wait = {
		.mysql = mysql,
		.deadline = deadline,
		.on_dialled = tell_dialled,
	};
	struct my_wait *former = my_wait_set(&wait);
	int rc = 0;

	current = &login;
	if (mysql_real_connect(mysql, peer->address, params->user, "",
			       params->database, peer->port, peer->path,
			       CLIENT_REMEMBER_OPTIONS) == NULL)
		rc = login_error(mysql, &login, &wait, err);
	/* A server that knows of no methods was not asked to name one. */
	if (rc == 0)
		rc = check_tls(&login, mysql);
	if (rc == 0)
		step_admitted(params);
	current = NULL;
	(void)my_wait_set(former);
	return rc;
}

static int log_in(MYSQL **out, const struct db_params *params,
		  const struct peer *peer, uint64_t deadline, struct err *err)
{
	unsigned protocol = peer->address != NULL ? MYSQL_PROTOCOL_TCP
						  : MYSQL_PROTOCOL_SOCKET;
	MYSQL *mysql = mysql_init(NULL);
	int rc;

	if (mysql == NULL)
		return err_set(err, ENOMEM, "out of memory");
	(void)mysql_optionsv(mysql, MYSQL_OPT_PROTOCOL, &protocol);
	rc = set_options(mysql, params, err);
	if (rc == 0)
		rc = connect_to(mysql, params, peer, deadline, err);
	wipe_password(mysql);
	if (rc < 0) {
		mysql_close(mysql);
		return rc;
	}
	*out = mysql;
	return 0;
}

/* How to log in, but for the address. */
struct attempt {
	MYSQL **out;
	const struct db_params *params;
	unsigned port;
};

static int log_in_at(void *arg, const char *address, uint64_t deadline,
		     struct err *err)
{
	const struct attempt *a = arg;
	const struct peer peer = {.address = address, .port = a->port};

	return log_in(a->out, a->params, &peer, deadline, err);
}

int my_connect_open(MYSQL **out, const struct db_params *params,
		    uint64_t deadline, struct err *err)
{
	const char *dial = params->connect_host;
	unsigned port = params->connect_port;
	struct attempt attempt = {.out = out, .params = params};
	struct peer peer = {0};

	(void)pthread_once(&library_once, start_library);
	if (!library_ready)
		return err_set(err, ENOMEM, "the connector does not start");
	if (params->host == NULL || *params->host == '\0')
		return err_set(err, EINVAL, "the connection has no host");
	if (params->user == NULL || *params->user == '\0')
		return err_set(err, EINVAL, "the connection has no user");
	if (dial == NULL || *dial == '\0')
		dial = params->host;
	if (port == 0)
		port = params->port != 0 ? params->port : DEFAULT_PORT;
	if (*dial == '/') {
		peer.path = dial;
		return log_in(out, params, &peer, deadline, err);
	}
	attempt.port = port;
	return address_try_each(dial, deadline, log_in_at, &attempt, err);
}

int my_connect_again(MYSQL *mysql, const struct db_params *params,
		     uint64_t deadline, struct err *err)
{
	struct login login = {.params = params, .err = err};
	struct my_wait wait = {.mysql = mysql, .deadline = deadline};
	struct my_wait *former;
	int rc = 0;

	if (mysql->net.pvio == NULL)
		return err_set(err, ENOTCONN, "the connection is lost");
	former = my_wait_set(&wait);
	(void)mysql_optionsv(mysql, MARIADB_OPT_RESTRICTED_AUTH, FIRST_METHOD);
	set_app_name(mysql, params->application_name);
	current = &login;
	if (mysql_change_user(mysql, params->user, "", params->database) != 0)
		rc = login_error(mysql, &login, &wait, err);
	else
		wipe_password(mysql);
	if (rc == 0)
		step_admitted(params);
	current = NULL;
	(void)my_wait_set(former);
	return rc;
}

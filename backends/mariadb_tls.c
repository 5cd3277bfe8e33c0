/* SPDX-License-Identifier: MIT */
#include "backends/mariadb_tls.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <unistd.h>

#include "backends/db.h"
#include "backends/mariadb_pvio.h"
#include "backends/steps.h"
#include "common/err.h"

#define SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"

enum { SHA256_SIZE = 32, SHA256_HEX = 2 * SHA256_SIZE };

/* In the order of what they ask for. */
enum mode { DISABLE, PREFER, REQUIRE, VERIFY_CA, VERIFY_FULL, UNKNOWN };

static enum mode mode_of(const struct db_params *params)
{
	static const struct {
		const char *word;
		enum mode mode;
	} words[] = {
		{"disable", DISABLE},     {"allow", PREFER},
		{"prefer", PREFER},       {"require", REQUIRE},
		{"verify-ca", VERIFY_CA}, {"verify-full", VERIFY_FULL},
	};
	const char *word = params->sslmode;

	if (*params->host == '/' ||
	    (params->connect_host != NULL && *params->connect_host == '/'))
		return DISABLE;
	if (word == NULL)
		return PREFER;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i].word, word) != 0)
			continue;
		if (words[i].mode == REQUIRE && params->ca_cert != NULL)
			return VERIFY_CA;
		return words[i].mode;
	}
	return UNKNOWN;
}

/* A token is a password that the server gets to see. */
static bool may_have_token(const struct db_params *params, enum mode mode)
{
	return mode == VERIFY_FULL ||
	       (mode >= PREFER && params->tls_fingerprint != NULL);
}

int my_tls_set_options(MYSQL *mysql, const struct db_params *params,
		       struct err *err)
{
	enum mode mode = mode_of(params);
	const char *ca = params->ca_cert != NULL ? params->ca_cert : SYSTEM_CA;
	my_bool on = (my_bool)(mode != DISABLE);
	my_bool off = 0;

	if (mode == UNKNOWN)
		return err_set(err, EINVAL, "sslmode %s is not known",
			       params->sslmode);
	if (params->password_is_token && !may_have_token(params, mode))
		return err_set(err, EACCES,
			       "sslmode: a token is sent with verify-full, or "
			       "to the server of a tls_fingerprint, only");
	(void)mysql_optionsv(mysql, MYSQL_OPT_SSL_ENFORCE, &on);
	/* It goes by the host that is dialled: my_tls_check() does it. */
	(void)mysql_optionsv(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &off);
	(void)mysql_optionsv(mysql, MARIADB_OPT_TLS_VERSION, "TLSv1.2,TLSv1.3");
	if (mode < VERIFY_CA)
		return 0;
	if (access(ca, R_OK) < 0)
		return err_sys(err, errno, "ca_cert %s", ca);
	(void)mysql_optionsv(mysql, MYSQL_OPT_SSL_CA, ca);
	return 0;
}

static bool has_fingerprint(X509 *cert, const char *expected)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char digest[EVP_MAX_MD_SIZE];
	char hex[SHA256_HEX];
	unsigned len = 0;

	if (!X509_digest(cert, EVP_sha256(), digest, &len) ||
	    len != SHA256_SIZE)
		return false;
	for (size_t i = 0; i < SHA256_SIZE; i++) {
		hex[2 * i] = digits[digest[i] >> 4];
		hex[2 * i + 1] = digits[digest[i] & 15];
	}
	return strlen(expected) == SHA256_HEX &&
	       memcmp(expected, hex, SHA256_HEX) == 0;
}

static bool has_name(X509 *cert, const char *host)
{
	return X509_check_host(cert, host, 0, 0, NULL) == 1 ||
	       X509_check_ip_asc(cert, host, 0) == 1;
}

static int check_certificate(SSL *ssl, X509 *cert, enum mode mode,
			     const struct db_params *params, struct err *err)
{
	long result = SSL_get_verify_result(ssl);

	if (params->tls_fingerprint != NULL &&
	    !has_fingerprint(cert, params->tls_fingerprint))
		return err_set(err, EHOSTUNREACH,
			       "the server's certificate does not have the "
			       "tls_fingerprint");
	if (mode >= VERIFY_CA && result != X509_V_OK)
		return err_set(err, EHOSTUNREACH,
			       "the server's certificate is not trusted: %s",
			       X509_verify_cert_error_string(result));
	if (mode >= VERIFY_FULL && !has_name(cert, params->host))
		return err_set(err, EHOSTUNREACH,
			       "the server's certificate is not for %s",
			       params->host);
	return 0;
}

int my_tls_check(const MYSQL *mysql, const struct db_params *params,
		 struct err *err)
{
	const MARIADB_PVIO *pvio = mysql->net.pvio;
	enum mode mode = mode_of(params);
	const char *library = NULL;
	X509 *cert;
	SSL *ssl;
	int rc;

	if (mode == DISABLE)
		return 0;
	if (pvio == NULL || pvio->ctls == NULL) {
		if (mode < REQUIRE && params->tls_fingerprint == NULL)
			return 0;
		return err_set(err, EHOSTUNREACH,
			       "the server does not offer TLS");
	}
	if (mariadb_get_infov(NULL, MARIADB_TLS_LIBRARY, &library) != 0 ||
	    strncmp(library, "OpenSSL", 7) != 0)
		return err_set(err, EHOSTUNREACH,
			       "the connector does not use OpenSSL");
	ssl = pvio->ctls->ssl;
	cert = SSL_get1_peer_certificate(ssl);
	if (cert == NULL)
		return err_set(err, EHOSTUNREACH,
			       "the server has no certificate");
	rc = check_certificate(ssl, cert, mode, params, err);
	X509_free(cert);
	return rc;
}

bool my_tls_describe(const MYSQL *mysql, const struct db_params *params,
		     struct step_tls *out)
{
	const MARIADB_PVIO *pvio = mysql->net.pvio;
	enum mode mode = mode_of(params);

	if (mode == DISABLE || pvio == NULL || pvio->ctls == NULL)
		return false;
	*out = (struct step_tls){
		.version = SSL_get_version(pvio->ctls->ssl),
		.chain = mode >= VERIFY_CA,
		.name = mode >= VERIFY_FULL,
		.fingerprint = params->tls_fingerprint != NULL,
	};
	return true;
}

/* SPDX-License-Identifier: MIT */
/*
 * A server's end of a connection that may become TLS, with a certificate that
 * the test makes: for servers that do not mean well, or are not there.
 */
#ifndef CONNFS_TESTS_UNIT_TLS_SERVER_H
#define CONNFS_TESTS_UNIT_TLS_SERVER_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

/* What a server shows; it is its own authority. */
struct identity {
	SSL_CTX *ctx;
	char path[256];       /* its certificate, as a ca_cert */
	char fingerprint[65]; /* SHA-256 */
};

/* Good for that name. The file is check_dir/file. SIGPIPE is ignored then. */
void identity_create(struct identity *id, const char *name, const char *file);
void identity_destroy(struct identity *id);

struct peer {
	int fd;
	SSL *ssl; /* null: plain */
};

/* False: the client does not agree, or has gone. */
bool peer_start_tls(struct peer *p, const struct identity *id);
bool peer_read(struct peer *p, void *data, size_t len); /* all of it */
bool peer_write(struct peer *p, const void *data, size_t len);
void peer_close(struct peer *p);

#endif

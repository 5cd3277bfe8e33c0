/* SPDX-License-Identifier: MIT */
/*
 * Where statements end in a text, and what one may do, by each dialect's own
 * lexical rules. No parser: what the server would refuse is the server's to
 * refuse.
 *
 * The splitter is incremental: text that comes in any pieces is looked at
 * once, byte by byte, and gives the same statements as in one piece. Belongs
 * to one thread.
 */
#ifndef CONNFS_BACKENDS_SQL_H
#define CONNFS_BACKENDS_SQL_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct sql_splitter;

enum sql_dialect {
	SQL_POSTGRES, /* the rules of psql 15 */
	SQL_SQLITE,   /* the rules of sqlite3_complete() */
	SQL_MYSQL,    /* those of the mariadb client, DELIMITER included */
};

/* What the settings of a session change in the rules. */
enum sql_mode {
	/* standard_conforming_strings, NO_BACKSLASH_ESCAPES */
	SQL_PLAIN_BACKSLASH = 1,
	SQL_ANSI_QUOTES = 2, /* "..." is a name in MySQL */
};

/* Those of a session in which nothing was set. */
unsigned sql_default_modes(enum sql_dialect dialect);

/* Null when there is no memory. */
struct sql_splitter *sql_splitter_create(enum sql_dialect dialect);
void sql_splitter_destroy(struct sql_splitter *s);

/* enum sql_mode of the session, from the next statement on. */
void sql_splitter_set_modes(struct sql_splitter *s, unsigned modes);

/* Where a statement stands in the text. */
struct sql_piece {
	/*
	 * It starts here, after white space and line comments, and after any
	 * client command passed over.
	 */
	size_t body;
	/*
	 * Without what ends it, a semicolon or a delimiter of MySQL's; 0: white
	 * space and comments only.
	 */
	size_t len;
	size_t end; /* behind what ends it */
};

/*
 * text is everything from the start of the statement that is not complete
 * yet: what the last call saw (only the new bytes are scanned) and what came
 * since. Returns 1 and where the first complete statement stands, whereupon
 * the caller drops the bytes before piece->end; 0 when more is needed; -EINVAL
 * for a client command (a backslash of psql or the mariadb client, sqlite's
 * dot), which names it, once its name is whole. \restrict and \unrestrict,
 * which pg_dump writes, and \- in the comment a dump of MariaDB begins with are
 * passed over. A DELIMITER line of MySQL's is no statement: it is obeyed, from
 * there to the next one.
 */
int sql_splitter_next(struct sql_splitter *s, const char *text, size_t len,
		      struct sql_piece *piece, struct err *err);

/*
 * At the end of the text: true when what is left of it, the len bytes the
 * last call returned 0 for, is white space and comments only.
 */
bool sql_splitter_blank(const struct sql_splitter *s);

/*
 * At the end of the text, which is the one of the last call: -EINVAL when
 * what is left ends in a client command that was still waiting for its line.
 */
int sql_splitter_check_end(const struct sql_splitter *s, const char *text,
			   size_t len, struct err *err);

/* Where the unfinished statement starts in the text, see *body. */
size_t sql_splitter_body(const struct sql_splitter *s);

/* Forgets the unfinished statement, but no DELIMITER. */
void sql_splitter_reset(struct sql_splitter *s);

struct sql_traits {
	/*
	 * By its words it only reads: SELECT, VALUES, TABLE, SHOW, COPY .. TO
	 * STDOUT, EXPLAIN without ANALYZE, PRAGMAs that show, WITH over such;
	 * no INTO, no FOR UPDATE, no data-modifying word, and none of the known
	 * functions that write (nextval, setval, set_config, lo_*, advisory
	 * locks, dblink_exec ..). MySQL: DESCRIBE, too, no LOCK IN SHARE MODE,
	 * no := . False when in doubt.
	 */
	bool reads_only;
	/*
	 * It may leave something in the session that later statements see: SET,
	 * temporary table, PREPARE, DECLARE, LISTEN, advisory lock, LOAD,
	 * set_config, DO, CALL, ATTACH, other PRAGMAs, and in MySQL USE, user
	 * variables, LOCK TABLES, HANDLER, GET_LOCK, LAST_INSERT_ID(expr).
	 *
	 * What the server only remembers of the last statement is not meant,
	 * or each writer would keep its session: the id of an INSERT, rows
	 * found and changed, warnings (currval, lastval, last_insert_rowid,
	 * changes, LAST_INSERT_ID(), FOUND_ROWS(), SHOW WARNINGS). They can be
	 * had as long as nobody else needed the session; a transaction around
	 * both statements keeps them. Nor can be seen what a function sets
	 * that a SELECT calls.
	 */
	bool keeps_state;
};

struct sql_traits sql_traits(enum sql_dialect dialect, const char *text,
			     size_t len);

enum { SQL_COMMAND_SIZE = 32 };

/*
 * The words of the statement's command tag in PostgreSQL's manner, in upper
 * case: SELECT, INSERT, CREATE TABLE, DROP INDEX. The main statement's for
 * WITH; "" when there is no word.
 */
void sql_command(enum sql_dialect dialect, const char *text, size_t len,
		 char out[SQL_COMMAND_SIZE]);

#endif

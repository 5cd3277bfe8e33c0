/* SPDX-License-Identifier: MIT */
/*
 * Numbers as text: integers as printf has them, doubles as the shortest digits
 * that read back to the same number, in PostgreSQL's form. And which cells are
 * numbers.
 *
 *     test_sqlite_row [ROUNDS]
 */
#include "backends/sqlite_row.h"

#include <inttypes.h>
#include <math.h>

#include "common/err.h"
#include "tests/unit/check.h"

enum { DEFAULT_ROUNDS = 30000 };

static uint64_t seed = 88172645463325252u;

static uint64_t random_bits(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static double double_of(uint64_t bits)
{
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static const char *put_real(double value)
{
	static char out[SQLITE_NUMBER_SIZE + 1];

	out[sqlite_put_real(out, value)] = '\0';
	return out;
}

static bool reads_back(const char *text, double value)
{
	double got = strtod(text, NULL);

	return got == value && signbit(got) == signbit(value);
}

/* The number between the two, in all its digits, is the text and zeros. */
static bool is_middle(const char *text, double value, double neighbour)
{
	long double middle = ((long double)value + neighbour) / 2;
	size_t n = strcspn(text, "e");
	char exact[1200];

	if (strtold(text, NULL) != middle)
		return false; /* spares most of the printing */
	(void)snprintf(exact, sizeof(exact), "%.1100Le", middle);
	return memcmp(exact, text, n) == 0 &&
	       exact[n + strspn(exact + n, ".0")] == 'e';
}

/*
 * Half way to a neighbour, which would do only because ties go to the even
 * one: PostgreSQL takes more digits then.
 */
static bool is_tie(const char *text, double value)
{
	return is_middle(text, value, nextafter(value, INFINITY)) ||
	       is_middle(text, value, nextafter(value, -INFINITY));
}

/* The same number with this many digits, the last one rounded. */
static void put_digits(char out[32], double value, int n_digits)
{
	(void)snprintf(out, 32, "%.*e", n_digits - 1, value);
}

/* What float8out makes of "-d.ddde+xx", found by trying 1 to 17 digits. */
static void expected(char out[64], double value)
{
	char e[32], digits[32] = "";
	const char *sign;
	int n = 1, power;
	size_t len = 0;

	do {
		put_digits(e, value, n);
	} while ((!reads_back(e, value) || is_tie(e, value)) && ++n <= 17);
	sign = *e == '-' ? "-" : "";
	power = (int)strtol(strchr(e, 'e') + 1, NULL, 10);
	for (const char *p = e; *p != 'e'; p++) {
		if (*p >= '0' && *p <= '9')
			digits[len++] = *p;
	}
	if (power < -4 || power >= 15)
		(void)snprintf(out, 64, "%s%c%s%se%c%02d", sign, digits[0],
			       len > 1 ? "." : "", digits + 1,
			       power < 0 ? '-' : '+', abs(power));
	else if (power < 0)
		(void)snprintf(out, 64, "%s0.%.*s%s", sign, -power - 1, "000",
			       digits);
	else if ((int)len <= power + 1)
		(void)snprintf(out, 64, "%s%s%.*s", sign, digits,
			       power + 1 - (int)len, "000000000000000");
	else
		(void)snprintf(out, 64, "%s%.*s.%s", sign, power + 1, digits,
			       digits + power + 1);
}

static void check_real(double value)
{
	const char *got = put_real(value);
	char want[64];

	if (!isfinite(value))
		return;
	expected(want, value);
	CHECK(reads_back(got, value));
	CHECK_TEXT(got, want);
}

static void check_integer(int64_t value)
{
	char got[SQLITE_NUMBER_SIZE + 1], want[SQLITE_NUMBER_SIZE];

	got[sqlite_put_integer(got, value)] = '\0';
	(void)snprintf(want, sizeof(want), "%" PRId64, value);
	CHECK_TEXT(got, want);
}

/* Runs sql, which finds nothing. */
static void run(sqlite3 *db, const char *sql)
{
	CHECK(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
}

/*
 * The rows that sql finds: shapes of the columns, j for JSON and v for those
 * that vary; of each row, + for cells that are numbers.
 */
static void check_shapes(sqlite3 *db, const char *sql, const char *shapes,
			 const char *const *rows)
{
	struct err err = {0};
	struct sqlite_row row;
	sqlite3_stmt *stmt;
	int rc;

	CHECK(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK);
	rc = sqlite3_step(stmt);
	CHECK(sqlite_row_init(&row, stmt, 1000, &err) == 0);
	CHECK(row.n_cols == strlen(shapes));
	for (size_t i = 0; i < row.n_cols; i++)
		CHECK(row.cols[i].shape ==
		      (shapes[i] == 'j' ? DB_SHAPE_JSON : DB_SHAPE_VARIES));
	for (; rc == SQLITE_ROW; rc = sqlite3_step(stmt), rows++) {
		CHECK(sqlite_row_fetch(&row, &err) == 0);
		CHECK(*rows != NULL);
		for (size_t i = 0; i < row.n_cols; i++)
			CHECK(row.cells[i].is_number == ((*rows)[i] == '+'));
	}
	CHECK(rc == SQLITE_DONE && *rows == NULL);
	sqlite_row_finish(&row);
	CHECK(sqlite3_finalize(stmt) == SQLITE_OK);
}

/*
 * Declared types mean little, but for JSON: what stands there is JSON or not,
 * be it a number or text.
 */
static void test_shapes(void)
{
	sqlite3 *db;

	CHECK(sqlite3_open(":memory:", &db) == SQLITE_OK);
	run(db, "create table t (i integer, s text, n, b boolean, j json, "
		"k Json, jb jsonb, jt json_text)");
	run(db, "insert into t values (1, 1, 1, true, '1', '[1]', 1, 1), "
		"('a', 2.5, '1', 'x', 'a', 1.5, '[]', null), "
		"(1e999, null, x'31', null, null, '{}', x'31', ''), "
		"(null, '', 2.5, 0, x'31', 1, '1', '1')");
	check_shapes(db, "select * from t", "vvvvjjvv",
		     (const char *[]){"+-++--+-", "--------", "+-------",
				      "--++--+-", NULL});
	check_shapes(db, "select * from t where false", "vvvvjjvv",
		     (const char *[]){NULL});
	check_shapes(db,
		     "select '007', 7, 7.0, null, x'37', json('[1]'), "
		     "-0.0, (select j from t), count(*), cast(7 as text) "
		     "from t",
		     "vvvvvvvjvv", (const char *[]){"-++---+-+-", NULL});
	/* The same memory serves each row. */
	check_shapes(db,
		     "select 1 union all select '1' union all select null "
		     "union all select 2.5 union all select x'31'",
		     "v", (const char *[]){"+", "-", "-", "+", "-", NULL});
	CHECK(sqlite3_close(db) == SQLITE_OK);
}

int main(int argc, char **argv)
{
	unsigned long rounds = DEFAULT_ROUNDS;

	test_shapes();
	if (argc > 1)
		rounds = strtoul(argv[1], NULL, 10);
	CHECK_TEXT(put_real(0.0), "0");
	CHECK_TEXT(put_real(-0.0), "-0");
	CHECK_TEXT(put_real(0.1), "0.1");
	CHECK_TEXT(put_real(1e15), "1e+15");
	CHECK_TEXT(put_real(999999999999999.0), "999999999999999");
	CHECK_TEXT(put_real(0.0001), "0.0001");
	CHECK_TEXT(put_real(1e-5), "1e-05");
	CHECK_TEXT(put_real(-1234.5), "-1234.5");
	CHECK_TEXT(put_real(5e-324), "5e-324");
	CHECK_TEXT(put_real(1.7976931348623157e308), "1.7976931348623157e+308");
	CHECK_TEXT(put_real((double)INFINITY), "Infinity");
	CHECK_TEXT(put_real((double)-INFINITY), "-Infinity");
	check_integer(INT64_MIN);
	check_integer(INT64_MAX);
	for (int64_t value = -1000; value <= 1000; value++)
		check_integer(value);
	for (unsigned long i = 0; i < rounds; i++) {
		uint64_t bits = random_bits();
		int64_t whole = (int64_t)(bits >> (bits & 63));

		check_real(double_of(bits));
		check_real((double)(whole % 1000000000) / 100);
		check_real((double)whole / 10000);
		check_real((double)whole);
		check_integer((int64_t)bits);
		check_integer(whole);
		check_integer(-whole);
	}
	return 0;
}

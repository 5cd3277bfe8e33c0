/* SPDX-License-Identifier: MIT */
/*
 * Numbers as text: integers as printf has them, doubles as the shortest digits
 * that read back to the same number, in PostgreSQL's form.
 *
 *     test_sqlite_row [ROUNDS]
 */
#include "backends/sqlite_row.h"

#include <inttypes.h>
#include <math.h>

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

int main(int argc, char **argv)
{
	unsigned long rounds = DEFAULT_ROUNDS;

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

/* SPDX-License-Identifier: MIT */
#include "tests/unit/encode_run.h"

#include <errno.h>

#include "fs/csv.h"
#include "tests/unit/check.h"

enum { MAX_PLACES = 64 };

/* Where an encoder stood between two rows. */
struct place {
	uint64_t row;
	size_t in, out;
};

uint64_t encode_random(void)
{
	static uint64_t seed = 88172645463325252u;

	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void replace(char *text, char from, char to)
{
	while ((text = strchr(text, from)) != NULL)
		*text = to;
}

void encode_head(struct format_head *head, const char *columns)
{
	static const char letters[] = "tnbjv";
	struct db_column cols[32];
	char text[1024], *rest = text;
	size_t n = 0;

	CHECK(snprintf(text, sizeof(text), "%s", columns) < 1024);
	for (char *word; (word = strsep(&rest, " ")) != NULL;) {
		char *colon = strrchr(word, ':');

		if (*word == '\0')
			continue;
		CHECK(n < COUNT(cols) && colon != NULL);
		cols[n] = (struct db_column){
			.name = word,
			.shape = (enum db_shape)(strchr(letters, colon[1]) -
						 letters),
		};
		*colon = '\0';
		replace(word, '_', ' ');
		replace(word, '~', '_');
		n++;
	}
	CHECK(format_head_init(head, cols, n) == 0);
}

static void put_cell(struct buf *csv, const char *data, size_t len, bool alone)
{
	CHECK(buf_reserve(csv, CSV_ROOM(len)));
	csv->len = (size_t)(csv_cell(csv->data + csv->len, data, len, alone) -
			    csv->data);
}

void encode_csv(struct buf *csv, const struct format_head *head,
		const struct encode_cell *cells, size_t n_rows)
{
	bool alone = head->n_cols == 1;

	for (size_t i = 0; i < head->n_cols; i++) {
		const char *name = head->cols[i].name;

		if (i > 0)
			buf_putc(csv, ',');
		put_cell(csv, name, strlen(name), alone);
	}
	buf_putc(csv, '\n');
	for (; n_rows > 0; n_rows--) {
		for (size_t i = 0; i < head->n_cols; i++, cells++) {
			if (i > 0)
				buf_putc(csv, ',');
			if (cells->data != NULL)
				put_cell(csv, cells->data, cells->len, alone);
		}
		buf_putc(csv, '\n');
	}
	CHECK(!csv->failed);
}

struct layout *encode_layout(const struct format_head *head, const char *csv,
			     size_t len)
{
	struct layout_maker *m = layout_maker_create(head);
	struct layout *layout;

	CHECK(m != NULL);
	while (len > 0) {
		size_t n = 1 + encode_random() % len;

		/* Enough, or no such CSV, which the encoder will tell. */
		if (layout_maker_feed(m, csv, n) != 0)
			break;
		csv += n;
		len -= n;
	}
	layout = layout_maker_finish(m);
	CHECK(layout != NULL);
	layout_maker_destroy(m);
	return layout;
}

static struct encoder *make(enum format format, const struct format_head *head,
			    const char *csv, size_t len)
{
	struct layout *layout = NULL;
	struct encoder *e;

	if (format == FORMAT_TXT)
		layout = encode_layout(head, csv, len);
	e = encoder_create(format, head, layout);
	CHECK(e != NULL);
	layout_unref(layout);
	return e;
}

int encode_once(enum format format, const struct format_head *head,
		const char *csv, size_t len, struct buf *out)
{
	struct encoder *e = make(format, head, csv, len);
	int rc = encoder_feed(e, &csv, &len, out, SIZE_MAX);

	if (rc == 0) {
		CHECK(len == 0);
		rc = encoder_end(e, out);
	}
	encoder_destroy(e);
	return rc;
}

/* A piece that lies in memory of its own, so that a read behind it is seen. */
static size_t feed_piece(struct encoder *e, const char *csv, size_t len,
			 struct buf *out, size_t want)
{
	char *copy = malloc(len > 0 ? len : 1);
	const char *p = copy;
	size_t left = len;

	CHECK(copy != NULL);
	memcpy(copy, csv, len);
	CHECK(encoder_feed(e, &p, &left, out, want) == 0);
	CHECK(p == copy + len - left);
	CHECK(left == 0 || out->len >= want);
	free(copy);
	return len - left;
}

/* What is written in one call is little more than what was asked for. */
static void in_pieces(struct encoder *e, const char *csv, size_t len,
		      struct buf *out)
{
	size_t in = 0;

	while (in < len) {
		size_t n = 1 + encode_random() % (1 + encode_random() % 300);
		size_t want = out->len + encode_random() % 100;

		in += feed_piece(e, csv + in, n < len - in ? n : len - in, out,
				 want);
	}
	CHECK(encoder_end(e, out) == 0);
}

static size_t by_bytes(struct encoder *e, const char *csv, size_t len,
		       struct buf *out, struct place *places)
{
	size_t n = 0, step = len / MAX_PLACES + 1, in = 0;
	uint64_t row;

	CHECK(!encoder_at_row(e, &row));
	while (in < len) {
		in += feed_piece(e, csv + in, 1, out, SIZE_MAX);
		if (!encoder_at_row(e, &row))
			continue;
		CHECK(csv[in - 1] == '\n');
		if (n > 0 && in < places[n - 1].in + step)
			continue;
		CHECK(n < MAX_PLACES);
		places[n++] = (struct place){row, in, out->len};
	}
	CHECK(encoder_end(e, out) == 0);
	return n;
}

static void check_same(const struct buf *got, const char *expected, size_t len)
{
	CHECK(!got->failed);
	if (got->len == len &&
	    (len == 0 || memcmp(got->data, expected, len) == 0))
		return;
	(void)fprintf(stderr, "got\n%.*s\nexpected\n%.*s\n", (int)got->len,
		      got->data, (int)len, expected);
	exit(1);
}

/* As much room as it takes is enough, and one byte less is not. */
static void check_limit(enum format format, const struct format_head *head,
			const char *csv, size_t len, const struct buf *whole)
{
	struct buf out;

	buf_init(&out, whole->len);
	CHECK(encode_once(format, head, csv, len, &out) == 0);
	check_same(&out, whole->data, whole->len);
	buf_finish(&out);
	if (whole->len == 0)
		return;
	buf_init(&out, whole->len - 1);
	CHECK(encode_once(format, head, csv, len, &out) == -EFBIG);
	buf_finish(&out);
}

void encode_all_ways(enum format format, const struct format_head *head,
		     const char *csv, size_t len, struct buf *out)
{
	struct place places[MAX_PLACES];
	struct encoder *e = make(format, head, csv, len);
	struct buf other;
	size_t n;

	CHECK(encode_once(format, head, csv, len, out) == 0);
	check_limit(format, head, csv, len, out);
	buf_init(&other, ENCODE_MAX);
	n = by_bytes(e, csv, len, &other, places);
	check_same(&other, out->data, out->len);
	buf_reset(&other);
	for (size_t i = 0; i < n; i++) {
		const struct place *from = &places[i];

		/* Whatever it was in the middle of. */
		encoder_resume(e, places[0].row);
		(void)feed_piece(e, csv + places[0].in,
				 encode_random() % (len - places[0].in + 1),
				 &other, encode_random() % 1000);
		buf_reset(&other);
		encoder_resume(e, from->row);
		in_pieces(e, csv + from->in, len - from->in, &other);
		check_same(&other, out->data + from->out, out->len - from->out);
		buf_reset(&other);
	}
	encoder_destroy(e);
	e = make(format, head, csv, len);
	in_pieces(e, csv, len, &other);
	check_same(&other, out->data, out->len);
	encoder_destroy(e);
	buf_finish(&other);
}

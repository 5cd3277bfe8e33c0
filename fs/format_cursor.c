/* SPDX-License-Identifier: MIT */
#include "fs/format_cursor.h"

#include <errno.h>
#include <stdlib.h>

#include "common/buf.h"
#include "fs/encoder.h"
#include "fs/format_index.h"
#include "fs/result.h"
#include "fs/spool.h"

enum {
	PIECE = 64 * 1024,          /* of CSV, taken at once */
	FETCH = 1024 * 1024,        /* from the disk, at once */
	MAX_WORK = 4 * 1024 * 1024, /* of CSV, in one call */
};

struct format_cursor {
	struct result *result; /* not counted */
	enum format format;
	struct encoder *encoder; /* null until it begins */
	struct layout *layout;   /* of FORMAT_TXT; counted */
	struct layout_maker *maker;
	uint64_t looked; /* CSV that the maker has seen */
	struct format_point at;
	bool on_way; /* at is after the beginning, where it began */
	struct format_points points;
	bool ended;
	int rc; /* the failure that lasts */
};

struct format_cursor *format_cursor_create(struct result *result,
					   enum format format)
{
	struct format_cursor *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->result = result;
	c->format = format;
	return c;
}

/* Forgets where it is. */
static void leave(struct format_cursor *c)
{
	encoder_destroy(c->encoder);
	c->encoder = NULL;
	format_points_finish(&c->points);
	c->ended = false;
	c->rc = 0;
}

void format_cursor_destroy(struct format_cursor *c)
{
	if (c == NULL)
		return;
	leave(c);
	layout_maker_destroy(c->maker);
	layout_unref(c->layout);
	free(c);
}

uint64_t format_cursor_seek(struct format_cursor *c, uint64_t off)
{
	struct format_point known;

	format_index_find(c->result->index, c->format, off, &known);
	if (c->rc == 0 && c->at.out <= off && known.out <= c->at.out)
		return c->at.out;
	leave(c);
	c->at = known;
	c->on_way = known.in > 0;
	return known.out;
}

/* ---- the layout of a text ---- */

/* As wide as what has been seen of it; the first one counts for all. */
static int settle_layout(struct format_cursor *c)
{
	struct layout *layout = layout_maker_finish(c->maker);

	if (layout == NULL)
		return -ENOMEM;
	format_index_set_layout(c->result->index, layout);
	layout_unref(layout);
	layout_maker_destroy(c->maker);
	c->maker = NULL;
	c->layout = format_index_layout(c->result->index);
	return 0;
}

/* Looks at one piece more. 0: go on; FORMAT_DRY, or a negative errno. */
static int look(struct format_cursor *c)
{
	struct spool *spool = c->result->spool;
	struct spool_state state;
	struct spool_slice slice;
	int enough = 0;
	ssize_t n;

	spool_state(spool, &state); /* before the bytes: it may end between */
	n = spool_read(spool, c->looked, PIECE, &slice);
	if (n < 0)
		return (int)n;
	if (n == 0)
		return state.finished || state.full ? settle_layout(c)
						    : FORMAT_DRY;
	for (int i = 0; i < slice.n && enough == 0; i++)
		enough = layout_maker_feed(c->maker, slice.iov[i].iov_base,
					   slice.iov[i].iov_len);
	spool_slice_release(spool, &slice);
	c->looked += (uint64_t)n;
	if (enough < 0)
		return enough;
	return enough > 0 ? settle_layout(c) : 0;
}

/* 0 once there is a layout; else as format_cursor_fill(). */
static int lay_out(struct format_cursor *c, bool *done)
{
	uint64_t from = c->looked;
	int rc = 0;

	*done = true;
	if (c->layout == NULL)
		c->layout = format_index_layout(c->result->index);
	if (c->layout != NULL)
		return 0;
	if (c->maker == NULL)
		c->maker = layout_maker_create(&c->result->head);
	if (c->maker == NULL)
		return -ENOMEM;
	while (rc == 0 && c->layout == NULL && c->looked - from < MAX_WORK)
		rc = look(c);
	*done = c->layout != NULL;
	return rc;
}

/* ---- the rows ---- */

static int begin(struct format_cursor *c)
{
	c->encoder = encoder_create(c->format, &c->result->head, c->layout);
	if (c->encoder == NULL)
		return -ENOMEM;
	if (c->on_way)
		encoder_resume(c->encoder, c->at.row);
	return 0;
}

/* Takes a place down where one is due. False: it is, and not between rows. */
static bool take_down(struct format_cursor *c)
{
	if (c->on_way || !format_points_due(&c->points, c->at.out))
		return true;
	if (!encoder_at_row(c->encoder, &c->at.row))
		return false;
	format_points_add(&c->points, &c->at);
	return true;
}

static int feed(struct format_cursor *c, const char *data, size_t len,
		struct buf *out, size_t want)
{
	while (len > 0 && out->len < want) {
		size_t had = out->len, left = len;
		size_t stop = take_down(c) ? want : had + 1;
		int rc = encoder_feed(c->encoder, &data, &len, out, stop);

		c->at.in += left - len;
		c->at.out += out->len - had;
		if (rc < 0)
			return rc == -EILSEQ ? -EIO : rc;
	}
	return 0;
}

/* There is no more: for the time being, for ever, or for a bad reason. */
static int at_end(struct format_cursor *c, const struct spool_state *state,
		  struct buf *out)
{
	size_t had = out->len;
	int rc;

	if (!state->finished)
		return FORMAT_DRY;
	rc = result_end(c->result);
	if (rc == 0)
		rc = encoder_end(c->encoder, out);
	if (rc < 0)
		return rc;
	c->at.out += out->len - had;
	c->ended = true;
	if (!c->on_way)
		format_index_publish(c->result->index, c->format, c->at.out,
				     &c->points);
	return FORMAT_END;
}

static int encode(struct format_cursor *c, struct buf *out, size_t want)
{
	struct spool *spool = c->result->spool;
	struct spool_state state;
	struct spool_slice slice;
	int rc = 0;
	ssize_t n;

	spool_state(spool, &state); /* before the bytes: it may end between */
	n = spool_read(spool, c->at.in, PIECE, &slice);
	if (n < 0)
		return (int)n;
	if (n == 0)
		return at_end(c, &state, out);
	for (int i = 0; i < slice.n && rc == 0; i++)
		rc = feed(c, slice.iov[i].iov_base, slice.iov[i].iov_len, out,
			  want);
	spool_slice_release(spool, &slice);
	return rc;
}

static int fill(struct format_cursor *c, struct buf *out, size_t want)
{
	uint64_t from = c->at.in;
	bool ready = true;
	int rc = 0;

	if (c->ended)
		return FORMAT_END;
	if (c->encoder == NULL && c->format == FORMAT_TXT)
		rc = lay_out(c, &ready);
	if (rc == 0 && ready && c->encoder == NULL)
		rc = begin(c);
	while (rc == 0 && ready && out->len < want &&
	       c->at.in - from < MAX_WORK)
		rc = encode(c, out, want);
	return rc;
}

int format_cursor_fill(struct format_cursor *c, struct buf *out, size_t want)
{
	size_t had = out->len;
	int rc = c->rc, refused;

	if (rc == 0)
		rc = fill(c, out, want);
	/* After the rows: it holds for those that were there before. */
	refused = result_check_format(c->result, c->format);
	if (refused < 0) {
		out->len = had;
		rc = refused;
	}
	if (rc < 0 && rc != -EAGAIN)
		c->rc = rc;
	return rc;
}

int format_cursor_fetch(struct format_cursor *c)
{
	bool looks = c->maker != NULL;

	return spool_fetch(c->result->spool, looks ? c->looked : c->at.in,
			   FETCH);
}

void format_cursor_needs(const struct format_cursor *c,
			 struct format_needs *out)
{
	bool looks = c->maker != NULL;

	*out = (struct format_needs){
		.from = c->at.in,
		.beyond = looks ? c->looked : c->at.in,
		.or_full_spool = looks,
	};
}

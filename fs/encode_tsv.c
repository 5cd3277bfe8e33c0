/* SPDX-License-Identifier: MIT */
/* PostgreSQL's text format of COPY, with its header line. */
#include "fs/encoder_internal.h"

/* \b \t \n \v \f \r are neighbours. */
static lanes special(lanes v)
{
	return (lanes)((v - lanes_fill('\b') <=
			lanes_fill('\r') - lanes_fill('\b')) |
		       (v == lanes_fill('\\')));
}

static char *escape(struct encoder *e, char *out, const char *data, size_t len,
		    const char *limit)
{
	static const char letters[] = "btnvfr";
	const char *end = data + len;

	while (data < end) {
		lanes v = lanes_load_until(data, limit);
		size_t left = (size_t)(end - data), n = lanes_first(special(v));

		lanes_store(out, v);
		if (n >= left)
			return out + left;
		out += n;
		data += n;
		if (n == LANES)
			continue;
		*out++ = '\\';
		*out = *data++;
		if (*out != '\\')
			*out = letters[*out - '\b'];
		out++;
	}
	return out;
}

static void tsv_piece(struct encoder *e, const struct csv_piece *p,
		      struct buf *out)
{
	if (p->null)
		encoder_put(e, out, "\\N", 2);
	else
		encoder_escape(e, out, escape, p->data, p->len, p->limit);
	if (p->end == CSV_CELL_END)
		encoder_put(e, out, "\t", 1);
}

static void tsv_line_end(struct encoder *e, struct buf *out)
{
	encoder_put(e, out, "\n", 1);
}

const struct encoder_ops encode_tsv = {
	.header = tsv_piece,
	.begin = tsv_line_end,
	.piece = tsv_piece,
	.row_end = tsv_line_end,
};

/* SPDX-License-Identifier: MIT */
#include "fs/format_index.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "fs/encoder.h"

enum { MAX_POINTS = 16 * 1024 };

struct format_index {
	pthread_mutex_t lock;
	struct {
		bool known;
		bool claimed[FORMAT_COUNTINGS];
		uint64_t size;
		struct format_points points;
	} of[FORMATS];         /* lock */
	struct layout *layout; /* lock; counted */
};

/* Every second one goes. */
static void thin(struct format_points *p)
{
	for (size_t i = 0; i < p->n / 2; i++)
		p->all[i] = p->all[2 * i + 1];
	p->n /= 2;
	p->step *= 2;
}

static bool grow(struct format_points *p)
{
	size_t cap = p->cap * 2 + 16;
	struct format_point *grown;

	if (p->n < p->cap)
		return true;
	grown = reallocarray(p->all, cap, sizeof(*grown));
	if (grown == NULL)
		return false;
	p->all = grown;
	p->cap = cap;
	return true;
}

bool format_points_due(const struct format_points *p, uint64_t out)
{
	return out >= (p->step == 0 ? FORMAT_STEP : p->next);
}

void format_points_add(struct format_points *p, const struct format_point *at)
{
	if (p->step == 0)
		p->step = FORMAT_STEP;
	if (p->n == MAX_POINTS)
		thin(p);
	if (grow(p))
		p->all[p->n++] = *at;
	p->next = at->out + p->step;
}

void format_points_finish(struct format_points *p)
{
	free(p->all);
	*p = (struct format_points){0};
}

struct format_index *format_index_create(void)
{
	struct format_index *index = calloc(1, sizeof(*index));

	if (index != NULL)
		(void)pthread_mutex_init(&index->lock, NULL);
	return index;
}

void format_index_destroy(struct format_index *index)
{
	if (index == NULL)
		return;
	for (int i = 0; i < FORMATS; i++)
		format_points_finish(&index->of[i].points);
	layout_unref(index->layout);
	(void)pthread_mutex_destroy(&index->lock);
	free(index);
}

void format_index_publish(struct format_index *index, enum format format,
			  uint64_t size, struct format_points *points)
{
	auto_lock(&index->lock);
	if (!index->of[format].known) {
		index->of[format].known = true;
		index->of[format].size = size;
		index->of[format].points = *points;
		*points = (struct format_points){0};
	}
	format_points_finish(points);
}

bool format_index_size(struct format_index *index, enum format format,
		       uint64_t *size)
{
	auto_lock(&index->lock);
	*size = index->of[format].size;
	return index->of[format].known;
}

void format_index_find(struct format_index *index, enum format format,
		       uint64_t out, struct format_point *at)
{
	const struct format_points *p = &index->of[format].points;
	size_t lo = 0, hi;

	auto_lock(&index->lock);
	hi = p->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (p->all[mid].out <= out)
			lo = mid + 1;
		else
			hi = mid;
	}
	*at = lo > 0 ? p->all[lo - 1] : (struct format_point){0};
}

bool format_index_claim(struct format_index *index, enum format format,
			enum format_counting how)
{
	bool claimed;

	auto_lock(&index->lock);
	claimed = index->of[format].claimed[how];
	index->of[format].claimed[how] = true;
	return !claimed;
}

void format_index_unclaim(struct format_index *index, enum format format,
			  enum format_counting how)
{
	auto_lock(&index->lock);
	index->of[format].claimed[how] = false;
}

struct layout *format_index_layout(struct format_index *index)
{
	auto_lock(&index->lock);
	return index->layout != NULL ? layout_ref(index->layout) : NULL;
}

void format_index_set_layout(struct format_index *index, struct layout *layout)
{
	auto_lock(&index->lock);
	if (index->layout == NULL)
		index->layout = layout_ref(layout);
}

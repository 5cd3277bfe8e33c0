/* SPDX-License-Identifier: MIT */
#include "fs/disk_reader.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/thread.h"
#include "fs/spool.h"

struct disk_reader {
	struct loop *loop;
	pthread_t thread;
	bool started; /* thread of the loop */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct disk_fetch *first; /* lock */
	struct disk_fetch **last; /* lock */
	bool stop;                /* lock */
};

struct disk_reader *disk_reader_create(struct loop *loop)
{
	struct disk_reader *reader = calloc(1, sizeof(*reader));

	if (reader == NULL)
		return NULL;
	reader->loop = loop;
	reader->last = &reader->first;
	(void)pthread_mutex_init(&reader->lock, NULL);
	(void)pthread_cond_init(&reader->cond, NULL);
	return reader;
}

static void *run(void *arg)
{
	struct disk_reader *reader = arg;

	for (;;) {
		struct disk_fetch *fetch;

		{
			auto_lock(&reader->lock);
			while (reader->first == NULL && !reader->stop)
				(void)pthread_cond_wait(&reader->cond,
							&reader->lock);
			fetch = reader->first;
			if (fetch == NULL)
				return NULL;
			reader->first = fetch->next;
			if (reader->first == NULL)
				reader->last = &reader->first;
		}
		fetch->rc = spool_fetch(fetch->spool, fetch->off, fetch->size);
		(void)loop_post(reader->loop, &fetch->event);
	}
}

int disk_reader_fetch(struct disk_reader *reader, struct disk_fetch *fetch)
{
	if (!reader->started) {
		int rc = thread_start(&reader->thread, 0, run, reader);

		if (rc < 0)
			return rc;
		reader->started = true;
	}
	auto_lock(&reader->lock);
	fetch->next = NULL;
	*reader->last = fetch;
	reader->last = &fetch->next;
	(void)pthread_cond_signal(&reader->cond);
	return 0;
}

void disk_reader_destroy(struct disk_reader *reader)
{
	if (reader == NULL)
		return;
	{
		auto_lock(&reader->lock);
		reader->stop = true;
		(void)pthread_cond_signal(&reader->cond);
	}
	if (reader->started)
		(void)pthread_join(reader->thread, NULL);
	(void)pthread_cond_destroy(&reader->cond);
	(void)pthread_mutex_destroy(&reader->lock);
	free(reader);
}

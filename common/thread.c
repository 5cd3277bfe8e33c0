/* SPDX-License-Identifier: MIT */
#include "common/thread.h"

#include <signal.h>

int thread_start(pthread_t *out, size_t stack, void *(*run)(void *arg),
		 void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all;
	int rc = pthread_attr_init(&attr);

	if (rc != 0)
		return -rc;
	(void)sigfillset(&all);
	(void)pthread_attr_setsigmask_np(&attr, &all);
	if (stack > 0)
		(void)pthread_attr_setstacksize(&attr, stack);
	if (out == NULL)
		(void)pthread_attr_setdetachstate(&attr,
						  PTHREAD_CREATE_DETACHED);
	rc = pthread_create(out != NULL ? out : &thread, &attr, run, arg);
	(void)pthread_attr_destroy(&attr);
	return -rc;
}

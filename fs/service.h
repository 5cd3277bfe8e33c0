/* SPDX-License-Identifier: MIT */
/*
 * What the service manager is told: that the mount can be used, how it goes,
 * and, from the loop, that the loop still turns. Thread of the loop.
 */
#ifndef CONNFS_FS_SERVICE_H
#define CONNFS_FS_SERVICE_H

struct mount;

/* The mount can be used; the watchdog is fed from here on. */
void service_ready(struct mount *m);

/* SOURCE is being read, and has been: well, or m->reload_error says why not. */
void service_reloading(struct mount *m);
void service_reloaded(struct mount *m);

/* The end has begun. */
void service_stopping(struct mount *m);

#endif

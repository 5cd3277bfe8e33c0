/* SPDX-License-Identifier: MIT */
/*
 * The parent that waits until the mount can be used, and the child that
 * serves it. Before any thread is started.
 */
#ifndef CONNFS_FS_BACKGROUND_H
#define CONNFS_FS_BACKGROUND_H

/*
 * Forks. Returns in the child with the descriptor to report on, or a negative
 * errno. The parent never returns: it exits with the child's report.
 */
int background_start(void);

/* The mount can be used: the parent exits 0, and the child is on its own. */
void background_ready(int fd);

#endif

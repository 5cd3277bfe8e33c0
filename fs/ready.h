/* SPDX-License-Identifier: MIT */
/*
 * connfs --ready MOUNTPOINT [CONN] [--wait 30s], for start-up probes. Never
 * hangs, whatever is mounted there.
 */
#ifndef CONNFS_FS_READY_H
#define CONNFS_FS_READY_H

/*
 * argv[0] is "--ready". The exit status: 0 ready, 1 usage, 2 not ready, and
 * standard error has a line that says what is not.
 */
int ready_main(int argc, char **argv);

#endif

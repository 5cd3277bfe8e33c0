/* SPDX-License-Identifier: MIT */
#ifndef CONNFS_FS_VERSION_H
#define CONNFS_FS_VERSION_H

/* Defined by the build from the project's version. */
#ifndef CONNFS_VERSION
#define CONNFS_VERSION "unknown"
#endif

#endif

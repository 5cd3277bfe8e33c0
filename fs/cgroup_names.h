/* SPDX-License-Identifier: MIT */
/*
 * Which container and pod the path of a control group says. Any thread.
 *
 * The forms, as the runtimes make them:
 *   /docker/ID, /kubepods/burstable/podUID/ID, /ecs/TASK/ID
 *       the cgroupfs driver of docker, containerd and cri-o, where ID is 64
 *       hexadecimal digits; also what runc makes of an id without cgroupsPath
 *   /system.slice/docker-ID.scope, libpod-ID.scope (podman; libpod-ID with its
 *   cgroupfs manager), cri-containerd-ID.scope, crio-ID.scope
 *       the systemd driver: PREFIX-NAME.scope of the OCI cgroupsPath
 *       "slice:prefix:name" (runc docs/systemd.md); libpod-conmon-ID.scope,
 *       crio-conmon-ID.scope and PODID/conmon are the monitor, which is
 *       outside of the container
 *   /SLICE:cri-containerd:ID
 *       that cgroupsPath taken as it is, by a runtime that is set to cgroupfs
 *   kubepods-burstable-podUID.slice
 *       the UID with _ for - (kubelet, cm/cgroup_manager_linux.go); that of a
 *       static pod is 32 digits without
 *   /ecs/TASK-NUMBER, /ecs/TASK/TASK-NUMBER
 *       ECS on Fargate 1.4, where a task id is 32 digits
 *   /lxc.payload.NAME, before LXC 4.0 /lxc/NAME
 *   machine-NAME.scope, systemd-nspawn@NAME.service
 *       systemd-nspawn, escaped as unit names are (systemd.unit(5)); those of
 *       libvirt's virtual machines are machine-qemu\x2d..
 * In a path of several, as of a container in a container, the last one counts.
 */
#ifndef CONNFS_FS_CGROUP_NAMES_H
#define CONNFS_FS_CGROUP_NAMES_H

enum {
	CGROUP_CONTAINER_MAX = 128, /* bytes */
	CGROUP_POD_UID_SIZE = 37,   /* with the terminator */
};

struct cgroup_names {
	char container[CGROUP_CONTAINER_MAX + 1]; /* "": none */
	char pod_uid[CGROUP_POD_UID_SIZE];        /* "": none; with - for _ */
};

void cgroup_names(struct cgroup_names *out, const char *path);

#endif

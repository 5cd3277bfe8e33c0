/* SPDX-License-Identifier: MIT */
/* Which container and pod the path of a control group says. */
#include "fs/cgroup_names.h"

#include "tests/unit/check.h"

#define ID   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID2  "fedcba98fedcba98fedcba98fedcba98fedcba98fedcba98fedcba98fedcba98"
#define TASK "34dc0b5e626f2c5c4c5170e34b10e765"
#define UID  "5759a1ae-36ca-48a8-b20a-b0b5c8a90fb8"
#define UID_ "5759a1ae_36ca_48a8_b20a_b0b5c8a90fb8"

static const struct {
	const char *path;
	const char *container;
	const char *pod_uid;
} cases[] = {
	/* nothing */
	{"/", "", ""},
	{"", "", ""},
	{"/user.slice/user-1000.slice/session-3.scope", "", ""},
	{"/system.slice/docker.service", "", ""},
	/* cgroupfs */
	{"/docker/" ID, ID, ""},
	{"/" ID, ID, ""},
	{"/docker/" ID "/init.scope", ID, ""},
	{"/docker/" ID "/docker/" ID2, ID2, ""},
	{"/libpod_parent/libpod-" ID, ID, ""},
	{"/libpod_parent/" ID2 "/libpod-" ID, ID, ""},
	{"/kubepods/burstable/pod" UID "/" ID, ID, UID},
	{"/kubepods/pod" UID "/" ID, ID, UID},
	{"/kubepods/besteffort/pod" TASK "/" ID, ID, TASK},
	{"/kubelet/kubepods/pod" UID, "", UID},
	/* systemd */
	{"/system.slice/docker-" ID ".scope", ID, ""},
	{"/machine.slice/libpod-" ID ".scope", ID, ""},
	{"/machine.slice/libpod-" ID ".scope/container", ID, ""},
	{"/system.slice/nerdctl-" ID ".scope", ID, ""},
	{"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" ID
	 ".scope",
	 ID, ""},
	{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_
	 ".slice/cri-containerd-" ID ".scope",
	 ID, UID},
	{"/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" ID ".scope", ID,
	 UID},
	{"/kubepods.slice/kubepods-pod" TASK ".slice/crio-" ID ".scope", ID,
	 TASK},
	{"/system.slice/containerd.service/kubepods-burstable-pod" UID_
	 ".slice:cri-containerd:" ID,
	 ID, UID},
	/* the monitors, which are outside of the container */
	{"/machine.slice/libpod-conmon-" ID ".scope", "", ""},
	{"/system.slice/crio-conmon-" ID ".scope", "", ""},
	{"/libpod_parent/conmon", "", ""},
	{"/libpod_parent/" ID "/conmon", "", ""},
	/* ECS */
	{"/ecs/" UID "/" ID, ID, ""},
	{"/ecs/" TASK "-1234567890", TASK "-1234567890", ""},
	{"/ecs/" TASK "/" TASK "-1234567890", TASK "-1234567890", ""},
	{"/ecs/" TASK "/" TASK "-", "", ""},
	{"/ecs/" TASK "/" TASK "-123456789012345678901", "", ""},
	{"/other/" TASK "-1234567890", "", ""},
	/* LXC, nspawn */
	{"/lxc.payload.web-1", "web-1", ""},
	{"/lxc.payload.web/system.slice/cron.service", "web", ""},
	{"/lxc/web", "web", ""},
	{"/lxc.payload/web", "web", ""},
	{"/lxc.monitor.web", "", ""},
	{"/lxc.payload.", "", ""},
	{"/machine.slice/machine-web.scope/payload", "web", ""},
	{"/machine.slice/machine-web\\x2d1.scope", "web-1", ""},
	{"/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", "", ""},
	{"/machine.slice/systemd-nspawn@web.service/payload", "web", ""},
	{"/machine.slice/machine-a\\x20b.scope", "", ""},
	/* nearly */
	{"/docker/" ID "0", "", ""},
	{"/docker/0" ID, "", ""},
	{"/docker/docker" ID ".scope", "", ""},
	{"/docker/docker-" ID ".scope.d", "", ""},
	{"/docker/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abc"
	 "def",
	 "", ""},
	{"/kubepods/pod" UID "0/x", "", ""},
	{"/kubepods/pod5759a1ae-36ca-48a8-b20a0b0b5c8a90fb8/x", "", ""},
	{"/kubepods/pods/x", "", ""},
	{"/kubepods-pod.slice", "", ""},
};

/* One that is too long for what is kept is none, not another one. */
static void test_long_names(void)
{
	struct cgroup_names names;
	char path[300] = "/lxc.payload.";

	memset(path + strlen(path), 'a', CGROUP_CONTAINER_MAX);
	cgroup_names(&names, path);
	CHECK(strlen(names.container) == CGROUP_CONTAINER_MAX);
	path[strlen(path)] = 'a';
	cgroup_names(&names, path);
	CHECK_TEXT(names.container, "");
}

int main(int argc, char **argv)
{
	check_init(argc, argv);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct cgroup_names names;

		cgroup_names(&names, cases[i].path);
		CHECK_TEXT(names.container, cases[i].container);
		CHECK_TEXT(names.pod_uid, cases[i].pod_uid);
	}
	test_long_names();
	return 0;
}

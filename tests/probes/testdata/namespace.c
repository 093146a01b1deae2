// Namespaces, as an ordinary user makes them.
#include "probe.h"
#include <sys/mount.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>


static void write_map(const char *path, unsigned inside, unsigned outside) {
	char b[50];
	snprintf(b, sizeof b, "%u %u 1", inside, outside);
	int fd = OK(open(path, O_WRONLY));
	EQUAL(write(fd, b, strlen(b)), strlen(b));
	close(fd);
}
static void with_ids(uid_t user, gid_t group) {
	uid_t u = geteuid();
	gid_t g = getegid();
	OK(unshare(CLONE_NEWUSER));
	int fd = open("/proc/self/setgroups", O_WRONLY);
	if (fd >= 0) {
		EQUAL(write(fd, "deny", 4), 4);
		close(fd);
	}
	write_map("/proc/self/uid_map", user, u);
	write_map("/proc/self/gid_map", group, g);
	EQUAL(getuid(), user);
}
static void become_root(void) { with_ids(0, 0); }
static char *name_of(const char *which) {
	static char b[2][100];
	static int n;
	char path[100];
	snprintf(path, sizeof path, "/proc/self/ns/%s", which);
	n = !n;
	memset(b[n], 0, sizeof b[n]);
	if (readlink(path, b[n], sizeof b[n] - 1) < 0) WRONG("readlink %s: %s", path, strerror(errno));
	return b[n];
}
// E4
PROBE(user) { become_root(); }
PROBE(largest_ids) {
	const uid_t user = 4294967294u;
	const gid_t group = 4294967293u;
	with_ids(user, group);
	EQUAL(geteuid(), user);
	EQUAL(getgid(), group);
	EQUAL(getegid(), group);
	uid_t users[3] = {0};
	OK(getresuid(users, users + 1, users + 2));
	EQUAL(users[2], user);
}
PROBE(user_changes_link) {
	char before[100];
	strcpy(before, name_of("user"));
	become_root();
	CHECK(strcmp(before, name_of("user")));
}
PROBE(user_and_mount) {
	become_root();
	OK(unshare(CLONE_NEWNS));
	OK(mount(0, "/", 0, MS_REC | MS_PRIVATE, 0));
	OK(mkdir("m", 0700));
	OK(mount("tmpfs", "m", "tmpfs", MS_NOSUID, "size=1m"));
	write_file("m/f", "x");
	OK(umount2("m", MNT_DETACH));
	FAILS(ENOENT, access("m/f", F_OK));
}
PROBE(binds) {
	become_root();
	OK(unshare(CLONE_NEWNS));
	OK(mkdir("a", 0700));
	OK(mkdir("b", 0700));
	write_file("a/f", "x");
	OK(mount("a", "b", 0, MS_BIND | MS_REC, 0));
	SAME(contents("b/f"), "x");
}
PROBE(host_name) {
	become_root();
	OK(unshare(CLONE_NEWUTS));
	OK(sethostname("inside", 6));
	OK(setdomainname("domain", 6));
	struct utsname u;
	OK(uname(&u));
	SAME(u.nodename, "inside");
	char b[50];
	OK(gethostname(b, sizeof b));
	SAME(b, "inside");
}
PROBE(processes) {
	become_root();
	OK(unshare(CLONE_NEWPID));
	IN_CHILD(EQUAL(getpid(), 1); EQUAL(getppid(), 0));
}
PROBE(processes_and_proc) {
	become_root();
	OK(unshare(CLONE_NEWPID | CLONE_NEWNS));
	IN_CHILD(
		if (mount("proc", "/proc", "proc", 0, 0)) unsupported("proc is not mounted here");
		char b[20] = "";
		OK(readlink("/proc/self", b, sizeof b));
		SAME(b, "1");
	);
}
PROBE(network) {
	become_root();
	OK(unshare(CLONE_NEWNET));
	CHECK(!strstr(contents("/proc/net/dev"), "eth0:"));
	CHECK(strstr(contents("/proc/net/dev"), "lo:"));
}
PROBE(ipc) {
	become_root();
	OK(unshare(CLONE_NEWIPC));
}
PROBE(cgroup) {
	become_root();
	OK(unshare(0x02000000 /* CLONE_NEWCGROUP */));
}
PROBE(time) {
	become_root();
	if (unshare(0x80 /* CLONE_NEWTIME */)) {
		if (access("/proc/self/ns/time", F_OK)) unsupported("no time namespaces");
		WRONG("unshare: %s", strerror(errno));
	}
}
static char stack[65536] __attribute__((aligned(64)));
static int first_process(void *arg) { return getpid() == 1 ? 17 : 1; }
PROBE(clone_user_and_processes) {
	pid_t pid = OK(clone(first_process, stack + sizeof stack, CLONE_NEWUSER | CLONE_NEWPID | SIGCHLD, 0));
	reap(pid, 17);
}
PROBE(clone_user) {
	pid_t pid = OK(clone(first_process, stack + sizeof stack, CLONE_NEWUSER | SIGCHLD, 0));
	reap(pid, 1);
}
PROBE(clone_container) {
	pid_t pid = OK(clone(first_process, stack + sizeof stack, CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | SIGCHLD, 0));
	reap(pid, 17);
}
PART(is_root) { _exit(getuid() != 0); }
PROBE(exec_inside) {
	become_root();
	OK(unshare(CLONE_NEWNS));
	EQUAL(spawned(":is_root", NULL), 0);
}
PROBE(enters_again) {
	become_root();
	OK(unshare(CLONE_NEWUTS));
	int before = OK(open("/proc/self/ns/uts", O_RDONLY));
	OK(unshare(CLONE_NEWUTS));
	OK(sethostname("second", 6));
	OK(setns(before, CLONE_NEWUTS));
	char b[50];
	OK(gethostname(b, sizeof b));
	CHECK(strcmp(b, "second"));
}
PROBE(wrong_descriptor) {
	FAILS(EINVAL, setns(OK(open("/dev/null", O_RDONLY)), 0));
	FAILS(EBADF, setns(999, 0));
}
PROBE(files_unshared) { OK(unshare(CLONE_FILES | CLONE_FS)); }
PROBE(unknown_flag) { FAILS(EINVAL, unshare(CLONE_CHILD_SETTID)); }
PROBE(changes_root) {
	become_root();
	OK(mkdir("r", 0755));
	write_file("r/f", "inside");
	OK(chroot("r"));
	OK(chdir("/"));
	SAME(contents("/f"), "inside");
}
PROBE(pivots_root) {
	become_root();
	OK(unshare(CLONE_NEWNS));
	OK(mount(0, "/", 0, MS_REC | MS_PRIVATE, 0));
	OK(mkdir("r", 0755));
	OK(mount("tmpfs", "r", "tmpfs", 0, 0));
	OK(mkdir("r/old", 0755));
	OK(syscall(SYS_pivot_root, "r", "r/old"));
	OK(chdir("/"));
	OK(umount2("/old", MNT_DETACH));
	FAILS(ENOENT, access("/proc", F_OK));
}
PROBE(new_mount_calls) {
	become_root();
	OK(unshare(CLONE_NEWNS));
	OK(mkdir("m", 0700));
	int fs = OK(syscall(NEWER(430) /* fsopen */, "tmpfs", 1));
	OK(syscall(NEWER(431) /* fsconfig */, fs, 1 /* string */, "size", "1m", 0));
	OK(syscall(NEWER(431), fs, 6 /* create */, 0L, 0L, 0));
	int m = OK(syscall(NEWER(432) /* fsmount */, fs, 1, 0));
	OK(syscall(NEWER(429) /* move_mount */, m, "", AT_FDCWD, "m", 4));
	write_file("m/f", "x");
	struct { uint64_t set, clear, propagation, user; } a = {1 /* read only */, 0, 0, 0};
	OK(syscall(NEWER(442) /* mount_setattr */, AT_FDCWD, "m", 0, &a, sizeof a));
	FAILS(EROFS, open("m/g", O_CREAT | O_WRONLY, 0600));
	int tree = OK(syscall(NEWER(428) /* open_tree */, AT_FDCWD, "m", 1 | 02000000));
	OK(faccessat(tree, "f", F_OK, 0));
	OK(syscall(NEWER(433) /* fspick */, AT_FDCWD, "m", 1));
}
// E18: the kernel lets no signal end the first process but for its own fault. An emulator, which has
// caught that, says so by its exit status.
static pid_t first(int (*does)(void *)) { return OK(clone(does, stack + sizeof stack, CLONE_NEWUSER | CLONE_NEWPID | SIGCHLD, 0)); }
static int faults(void *arg) { return *(volatile int *)arg; }
PROBE(first_process_faults) {
	int status;
	OK(waitpid(first(faults), &status, 0));
	EQUAL(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status), 128 + SIGSEGV);
}
static int aborts(void *arg) { abort(); return arg != 0; }
PROBE(first_process_aborts) {
	int status;
	OK(waitpid(first(aborts), &status, 0));
	CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) > 128);
}
static int is_sent_signals(void *arg) {
	for (int n = 1; n < 32; n++)
		if (n != SIGSTOP && n != SIGTSTP && n != SIGTTIN && n != SIGTTOU) kill(getpid(), n);
	return arg ? 1 : 17;
}
PROBE(first_process_is_unkillable) { reap(first(is_sent_signals), 17); }
// lsns, nsenter, systemd
PROBE(kinds_are_told) {
	int fd = OK(open("/proc/self/ns/user", O_RDONLY));
	EQUAL(OK(ioctl(fd, NS_GET_NSTYPE)), CLONE_NEWUSER);
	uid_t owner = 77;
	OK(ioctl(fd, NS_GET_OWNER_UID, &owner));
	CHECK(owner != 77);
}

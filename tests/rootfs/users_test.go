package rootfs

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/commands"
)

// newUser makes an ordinary user with subordinate IDs, and removes them afterwards.
func newUser(t *testing.T) *user.User {
	t.Helper()
	for _, program := range []string{"useradd", "newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("makes a user with subordinate IDs: apt-get install uidmap: ", err)
		}
	}
	name := fmt.Sprint("crossrun-", os.Getpid())
	out, err := exec.Command("useradd", "--create-home", name).CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Cleanup(func() {
		out, err := exec.Command("userdel", "--remove", name).CombinedOutput()
		assert.NoError(t, err, "%s", out)
	})
	u, err := user.Lookup(name)
	require.NoError(t, err)
	ranges, err := os.ReadFile("/etc/subuid")
	require.NoError(t, err)
	if !strings.Contains(string(ranges), name+":") {
		t.Skip("useradd gives no subordinate IDs here: SUB_UID_COUNT in /etc/login.defs")
	}
	return u
}

// A usersSystem is a root file system of an ordinary user's.
type usersSystem struct {
	crossrun, dir, home string
	uid, gid            uint32
}

// unpacked has a new user unpack an archive.
func unpacked(t *testing.T, crossrun, archive string) *usersSystem {
	t.Helper()
	u := newUser(t)
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	s := &usersSystem{crossrun: crossrun, dir: filepath.Join(u.HomeDir, "system"), home: u.HomeDir, uid: uint32(uid), gid: uint32(gid)}
	s.in(t, "/", "mkdir", s.dir)
	file, err := os.Open(archive)
	require.NoError(t, err)
	defer file.Close()
	r := s.run(t, file, "/", "tar", "-C", s.dir, "--exclude=./dev/*", "-x")
	require.Zero(t, r.Status, r.Stderr)
	return s
}

// run runs crossrun --rootfs as the user.
func (s *usersSystem) run(t *testing.T, stdin *os.File, args ...string) commands.Result {
	t.Helper()
	cmd := exec.Command(s.crossrun, append([]string{"--rootfs"}, args...)...)
	cmd.Dir, cmd.Env, cmd.Stdin = s.home, []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"}, stdin
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: s.uid, Gid: s.gid}}
	return commands.Run(t, cmd)
}

// in is run for what succeeds, and returns its output.
func (s *usersSystem) in(t *testing.T, args ...string) string {
	t.Helper()
	r := s.run(t, nil, args...)
	require.Zero(t, r.Status, "%v: %s%s", args, r.Stdout, r.Stderr)
	return r.Stdout
}

// An ordinary user unpacks a system with many users, installs packages that have
// users, groups and set-group-ID programs of their own, and removes it.
func TestAnOrdinaryUsersSystemHasManyUsers(t *testing.T) {
	if os.Getenv("TEST_ROOTFS") == "" {
		t.Skip("makes systems of other architectures, which takes minutes: make test-rootfs")
	}
	if os.Geteuid() != 0 {
		t.Skip("makes a user, which takes root")
	}
	const port = "arm64"
	crossrun := built(t)
	s := unpacked(t, crossrun, archiveOf(t, crossrun, port))
	in := s.in

	assert.Equal(t, "65534 65534\n", in(t, s.dir, "su", "-s", "/bin/sh", "nobody", "-c", "echo $(id -u) $(id -g)"))
	in(t, s.dir, "apt-get", "-qq", "update") // by the user _apt
	r := s.run(t, nil, s.dir, "apt-get", "-qq", "-y", "--no-install-recommends", "install", "cron", "openssh-client", "postgresql", "redis", "nginx-light")
	require.Zero(t, r.Status, "%s%s", r.Stdout, r.Stderr)
	assert.Equal(t, "2755 root crontab\n2755 root _ssh\n700 postgres postgres\n750 redis redis\n",
		in(t, s.dir, "sh", "-c", "stat -c '%a %U %G' /usr/bin/crontab /usr/bin/ssh-agent /var/lib/postgresql/*/main /var/lib/redis"))
	assert.Contains(t, in(t, s.dir, "su", "postgres", "-s", "/bin/sh", "-c", "cd /var/lib/postgresql/*/main && version=$(cat PG_VERSION) &&"+
		" echo 'select 6 * 7 as answer' | /usr/lib/postgresql/$version/bin/postgres --single -D . -c config_file=/etc/postgresql/$version/main/postgresql.conf postgres"),
		`answer = "42"`)
	// The network is the machine's, whose ports below 1024 are root's.
	in(t, s.dir, "sh", "-c", "sed -i 's/80 default_server/48080 default_server/' /etc/nginx/sites-available/default && nginx -t")

	in(t, "/", "rm", "-r", s.dir)
	assert.NoDirExists(t, s.dir)
}

// Alpine's packages are not Debian's to give: a system of their kind, with Busybox for
// all commands and programs that musl loads, does what their scripts do.
func TestASystemOfBusyboxAndMuslHasManyUsers(t *testing.T) {
	if os.Getenv("TEST_ROOTFS") == "" {
		t.Skip("makes systems of other architectures, which takes minutes: make test-rootfs")
	}
	if os.Geteuid() != 0 {
		t.Skip("makes a user, which takes root")
	}
	compiler, err := exec.LookPath("aarch64-linux-gnu-gcc")
	if err != nil {
		t.Skip(err)
	}
	crossrun := built(t)
	s := unpacked(t, crossrun, commands.Archive(t, "musl-arm64", func(path, mirror string) *exec.Cmd {
		return exec.Command("mmdebstrap", "--variant=extract", "--include=busybox-static,musl,musl-dev", "--architectures=arm64", "--format=tar", "stable", path, mirror)
	}))
	busybox := func(args ...string) string {
		return s.in(t, append([]string{s.dir, "busybox"}, args...)...)
	}
	busybox("sh", "-c", `{ [ -e /lib ] || busybox ln -s usr/lib /lib; } && busybox mkdir -p /bin /etc /root /var/lib /tmp && echo root:x:0:0:root:/root:/bin/ash >/etc/passwd && echo root:x:0: >/etc/group &&
		busybox --install -s /bin`)
	// What the scripts before and after an installation of redis, nginx, postgresql and openssh do.
	script := `set -e
user() { echo "$1:x:$2:" >>/etc/group; echo "$1:x:$2:$2:$1:$3:$4" >>/etc/passwd; } # Debian's Busybox has no adduser
user redis 100 /var/lib/redis /sbin/nologin
user postgres 70 /var/lib/postgresql /bin/sh
install -d -m 750 -o redis -g redis /var/lib/redis
install -d -m 700 -o postgres -g postgres /var/lib/postgresql/data
touch /bin/crontab.own && chown root:redis /bin/crontab.own && chmod 2755 /bin/crontab.own
tar -C / -cf - bin/crontab.own var/lib/redis | (mkdir /copy && tar -C /copy -xf -)
stat -c '%a %U %G %n' /var/lib/redis /var/lib/postgresql/data /copy/bin/crontab.own /copy/var/lib/redis
su postgres -c 'id -u; cd && touch data/file && stat -c %U data/file; ls /var/lib/redis 2>/dev/null || echo denied'
`
	assert.Equal(t, strings.Join([]string{"750 redis redis /var/lib/redis", "700 postgres postgres /var/lib/postgresql/data", "2755 root redis /copy/bin/crontab.own",
		"750 redis redis /copy/var/lib/redis", "70", "postgres", "denied", ""}, "\n"), busybox("sh", "-c", script))

	source := filepath.Join(t.TempDir(), "user.c")
	require.NoError(t, os.WriteFile(source, []byte(`#include <pwd.h>
#include <stdio.h>
#include <unistd.h>
int main(void)
{
	struct passwd *p = getpwnam("postgres");
	return !p || setgid(p->pw_gid) || setuid(p->pw_uid) || printf("%d\n", getuid()) < 0;
}
`), 0o644))
	program, lib := filepath.Join(t.TempDir(), "user"), filepath.Join(s.dir, "usr/lib/aarch64-linux-musl")
	out, err := exec.Command(compiler, "-nostdinc", "-isystem", filepath.Join(s.dir, "usr/include/aarch64-linux-musl"), "-nostdlib", "-nostartfiles", "-no-pie", "-o", program,
		filepath.Join(lib, "crt1.o"), source, "-L"+lib, "-Wl,-dynamic-linker,/lib/ld-musl-aarch64.so.1", "-lc").CombinedOutput()
	require.NoError(t, err, "%s", out)
	file, err := os.Open(program)
	require.NoError(t, err)
	defer file.Close()
	r := s.run(t, file, s.dir, "busybox", "sh", "-c", "cat >/bin/user && chmod 755 /bin/user && user")
	assert.Equal(t, commands.Result{Stdout: "70\n"}, r)

	s.in(t, "/", "rm", "-r", s.dir)
}

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
	archive := archiveOf(t, crossrun, port)
	u := newUser(t)
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	run := func(stdin *os.File, args ...string) commands.Result {
		cmd := exec.Command(crossrun, append([]string{"--rootfs"}, args...)...)
		cmd.Dir, cmd.Env, cmd.Stdin = u.HomeDir, []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"}, stdin
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		return commands.Run(t, cmd)
	}
	in := func(args ...string) string {
		t.Helper()
		r := run(nil, args...)
		require.Zero(t, r.Status, "%v: %s%s", args, r.Stdout, r.Stderr)
		return r.Stdout
	}
	system := filepath.Join(u.HomeDir, "system")
	in("/", "mkdir", system)
	file, err := os.Open(archive)
	require.NoError(t, err)
	defer file.Close()
	r := run(file, "/", "tar", "-C", system, "--exclude=./dev/*", "-x")
	require.Zero(t, r.Status, r.Stderr)

	assert.Equal(t, "65534 65534\n", in(system, "su", "-s", "/bin/sh", "nobody", "-c", "echo $(id -u) $(id -g)"))
	in(system, "apt-get", "-qq", "update") // by the user _apt
	r = run(nil, system, "apt-get", "-qq", "-y", "--no-install-recommends", "install", "cron", "openssh-client", "postgresql", "redis", "nginx-light")
	require.Zero(t, r.Status, "%s%s", r.Stdout, r.Stderr)
	assert.Equal(t, "2755 root crontab\n2755 root _ssh\n700 postgres postgres\n750 redis redis\n",
		in(system, "sh", "-c", "stat -c '%a %U %G' /usr/bin/crontab /usr/bin/ssh-agent /var/lib/postgresql/*/main /var/lib/redis"))
	assert.Contains(t, in(system, "su", "postgres", "-s", "/bin/sh", "-c", "cd /var/lib/postgresql/*/main && version=$(cat PG_VERSION) &&"+
		" echo 'select 6 * 7 as answer' | /usr/lib/postgresql/$version/bin/postgres --single -D . -c config_file=/etc/postgresql/$version/main/postgresql.conf postgres"),
		`answer = "42"`)
	// The network is the machine's, whose ports below 1024 are root's.
	in(system, "sh", "-c", "sed -i 's/80 default_server/48080 default_server/' /etc/nginx/sites-available/default && nginx -t")

	in("/", "rm", "-r", system)
	assert.NoDirExists(t, system)
}

// Package isolation shows that what runs by crossrun --rootfs does not reach the
// machine. Whatever is attacked is harmless, and in namespaces of its own.
package isolation

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

func TestMain(m *testing.M) {
	kerneltest.Outside()
	// What the tests' caller has open is not what is tested.
	if err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		panic(err)
	}
	os.Exit(commands.Main(m))
}

// A caller is who calls crossrun.
type caller struct {
	name  string
	words []string // of a shell, before crossrun
	users string   // that there are then: /proc/self/uid_map, as a regular expression

	before string // a shell makes them what they are, in a mount namespace
}

// callers returns those that this process can be: one whose root file system is
// shifted, one who is root and cannot shift it, and an ordinary user.
func callers(t *testing.T) []caller {
	t.Helper()
	commands.Foreigners(t) // there are emulators
	if err := private.Available(t.Context()); err != nil {
		t.Skip(err)
	}
	if os.Geteuid() != 0 {
		return []caller{{"an ordinary user", nil, fmt.Sprintf(`0 %d 1( \d+ \d+ \d+)*`, os.Getuid()), ""}}
	}
	crossrun := commands.Command("crossrun").Path
	user := []string{"setpriv", "--reuid=1234", "--regid=1234", "--clear-groups"}
	all := []caller{
		{"root", nil, `0 [1-9]\d+ 65536`, ""},
		{"root of a user namespace", []string{crossrun, "--private"}, "0 0 4294967295", ""},
		{"an ordinary user", user, "0 1234 1", ""},
	}
	if _, err := exec.LookPath("newuidmap"); err != nil {
		t.Log("without an ordinary user who has others: apt-get install uidmap: ", err)
		return all
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	var before []string
	for name, content := range map[string]string{
		"passwd": commands.Read(t, "/etc/passwd") + "isolated:x:1234:1234::/:/bin/sh\n", "subuid": "isolated:100000:65536\n", "subgid": "isolated:100000:65536\n",
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
		before = append(before, "mount --bind "+path+" /etc/"+name)
	}
	return append(all, caller{"an ordinary user with others", user, "0 1234 1 1 100000 65536", strings.Join(before, "\n")})
}

// ordinary reports whether the caller is an ordinary user, where root runs the tests.
func (c caller) ordinary() bool { return slices.Contains(c.words, "setpriv") }

// in returns a command that a caller runs in a root file system, in mount and PID
// namespaces of its own, in which before is executed by a shell.
func (c caller) in(t *testing.T, before, root string, args ...string) *exec.Cmd {
	t.Helper()
	words := append(slices.Clone(c.words), commands.Command("crossrun").Path, "--rootfs", root)
	words = append(words, args...)
	if os.Geteuid() != 0 {
		return exec.Command(words[0], words[1:]...)
	}
	script := c.before + "\n" + before + "\n" + `exec "$@"`
	return exec.Command("unshare", append([]string{"--mount", "--pid", "--fork", "--mount-proc", "sh", "-e", "-c", script, "sh"}, words...)...)
}

// system returns a root file system that belongs to a caller, in which a program is.
func (c caller) system(t *testing.T, programs ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"proc", "sys", "dev", "etc", "tmp", "mnt", "bin"} {
		require.NoError(t, os.Mkdir(filepath.Join(root, dir), 0o755))
	}
	for _, program := range programs {
		commands.CopyFile(t, commands.GoProgram(t, program, runtime.GOARCH), filepath.Join(root, "bin", program))
	}
	require.NoError(t, os.WriteFile(filepath.Join(root, "etc/resolv.conf"), []byte("nameserver 192.0.2.1\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("root:x:0:0::/:/bin/sh\n"), 0o644))
	c.own(t, root)
	return root
}

// own gives a directory to the caller, and lets everybody reach it.
func (c caller) own(t *testing.T, root string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	for dir := filepath.Dir(root); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	if c.ordinary() {
		require.NoError(t, exec.Command("chown", "-hR", "1234:1234", root).Run())
	}
}

func each(t *testing.T, test func(t *testing.T, c caller)) {
	for _, c := range callers(t) {
		t.Run(c.name, func(t *testing.T) { test(t, c) })
	}
}

// The attempts and how they end, for all callers. An errno is one of several: which
// depends on who is root, and a file may not be there.
var denied = []string{"EACCES", "EPERM", "EROFS", "ENOENT", "empty"}

func TestTheMachineIsOutOfReach(t *testing.T) {
	each(t, func(t *testing.T, c caller) {
		root := c.system(t, "attacker")
		if os.Geteuid() == 0 { // one that was there before
			require.NoError(t, os.Mkdir(filepath.Join(root, "dev-of-others"), 0o755))
			require.NoError(t, unix.Mknod(filepath.Join(root, "dev-of-others/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
		}
		victim := exec.Command("sleep", "1000")
		require.NoError(t, victim.Start())
		defer func() {
			victim.Process.Kill()
			victim.Wait()
		}()
		outside := t.TempDir()
		require.NoError(t, os.Chmod(outside, 0o777))
		marker := filepath.Join(outside, "marker")
		require.NoError(t, os.WriteFile(marker, nil, 0o666))
		socket := fmt.Sprint("go-build-isolation-", os.Getpid())
		listener, err := net.Listen("unix", "@"+socket)
		require.NoError(t, err)
		defer listener.Close()
		machine := func() map[string]string {
			host, _ := os.Hostname()
			devices, _ := filepath.Glob("/dev/*")
			return map[string]string{"core_pattern": commands.Read(t, "/proc/sys/kernel/core_pattern"), "host name": host, "devices": strings.Join(devices, " ")}
		}
		before := machine()
		resolv, _ := os.ReadFile("/etc/resolv.conf")

		cmd := c.in(t, "mount -t tmpfs own /dev/shm", root, "attacker", fmt.Sprint(victim.Process.Pid), socket, outside)
		// Descriptors of crossrun's own do not reach the program; the caller's do.
		leaked, err := os.Open("/etc/passwd")
		require.NoError(t, err)
		defer leaked.Close()
		cmd.ExtraFiles = []*os.File{leaked}
		r := commands.Run(t, cmd)
		require.Zero(t, r.Status, "%s%s", r.Stdout, r.Stderr)
		var got map[string]string
		require.NoError(t, json.Unmarshal([]byte(r.Stdout), &got), r.Stdout)

		assert.Regexp(t, "^"+c.users+"$", got["users"])
		assert.Regexp(t, `^0=/dev/null 1=pipe 2=pipe 3=/\S+$`, got["descriptors"], "and none of crossrun's own")
		assert.Contains(t, []string{"0=socket", ""}, got["descriptors of process 1"])
		assert.Equal(t, "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero", got["devices"])
		assert.Regexp(t, `^1 \d+$`, got["processes"], "process 1 and the program")
		assert.Equal(t, strings.Join(strings.Fields(string(resolv)), " "), got["resolv.conf"], "the machine's")
		assert.Equal(t, "ENOENT", got["directory"])
		for line := range strings.Lines(got["mounts"]) {
			assert.Regexp(t, `^(/\S* /|/ /(dev|dev/pts|dev/shm|proc|proc/sys/fs/binfmt_misc|sys\S*)|/\S+ /(dev/\w+|proc/\S+|etc/resolv.conf|sys\S*)|/ /proc/\S+)$`, strings.TrimSpace(line))
			assert.NotContains(t, line, "/oldroot")
		}
		for name, result := range got {
			if strings.HasPrefix(name, "write /") || strings.HasPrefix(name, "read /") || strings.HasPrefix(name, "mknod") {
				assert.Contains(t, denied, result, name)
			}
		}
		assert.Contains(t, denied, got["write core_pattern in another /proc"])
		for name, want := range map[string]string{
			"kill": "ESRCH", "ptrace": "ESRCH", "remove": "ENOENT", "TIOCSTI": "EPERM", "TIOCLINUX": "EPERM",
			"kill the group": "done", "kill all": "ESRCH", "write resolv.conf": "done",
		} {
			assert.Equal(t, want, got[name], name)
		}
		if os.Geteuid() == 0 {
			assert.Equal(t, "EACCES", got["device in the directory"])
			if !c.ordinary() { // the pipe is root's
				assert.Equal(t, "done", got["open standard error"])
			}
		}

		assert.NoError(t, victim.Process.Signal(unix.Signal(0)), "it is alive")
		var status unix.WaitStatus
		ended, err := unix.Wait4(victim.Process.Pid, &status, unix.WNOHANG, nil)
		require.NoError(t, err)
		assert.Zero(t, ended, "it is alive")
		assert.FileExists(t, marker)
		assert.Equal(t, before, machine())
		after, _ := os.ReadFile("/etc/resolv.conf")
		assert.Equal(t, string(resolv), string(after))
		assert.Equal(t, "nameserver 192.0.2.1\n", commands.Read(t, filepath.Join(root, "etc/resolv.conf")), "the system's own is as it was")
	})
}

// Whatever the system has where something is mounted, it does not lead out.
func TestLinksInTheSystemDoNotLeadOut(t *testing.T) {
	each(t, func(t *testing.T, c caller) {
		outside := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(outside, "real"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(outside, "file"), []byte("outside\n"), 0o644))
		c.own(t, outside)
		for name, test := range map[string]struct {
			replace, target string // a link, "fifo" or "directory"
			status          int
		}{
			"proc out":       {"proc", outside + "/real", 125},
			"proc up":        {"proc", "../../../../../.." + outside + "/real", 125},
			"sys out":        {"sys", outside + "/real", 125},
			"dev out":        {"dev", outside + "/real", 125},
			"proc within":    {"proc", "/mnt", 0},
			"etc out":        {"etc", outside, 0},
			"a FIFO":         {"etc/resolv.conf", "fifo", 0},
			"a directory":    {"etc/resolv.conf", "directory", 0},
			"missing":        {"etc/resolv.conf", "", 0},
			"passwd":         {"etc/resolv.conf", "/etc/passwd", 0},
			"a file outside": {"etc/resolv.conf", outside + "/file", 0},
			"dangling":       {"etc/resolv.conf", "../run/resolv.conf", 0},
			"a loop":         {"etc/resolv.conf", "resolv.conf", 0},
			"no proc":        {"proc", "", 0},
			"no dev":         {"dev", "", 0},
		} {
			t.Run(name, func(t *testing.T) {
				root := c.system(t, "looker")
				path := filepath.Join(root, test.replace)
				require.NoError(t, os.RemoveAll(path))
				switch test.target {
				case "":
				case "fifo":
					require.NoError(t, unix.Mkfifo(path, 0o666))
				case "directory":
					require.NoError(t, os.Mkdir(path, 0o755))
				default:
					require.NoError(t, os.Symlink(test.target, path))
				}
				r := commands.Run(t, c.in(t, "", root, "looker", "/dev/null", "/proc/self/exe", "/etc/resolv.conf"))
				assert.Equal(t, test.status, r.Status, "%s%s", r.Stdout, r.Stderr)
				if test.status == 0 {
					assert.Contains(t, r.Stdout, "/dev/null: device")
					assert.Regexp(t, `/proc/self/exe: \d+ bytes`, r.Stdout)
				} else {
					assert.Contains(t, r.Stderr, "cannot make the root file system")
					assert.Contains(t, r.Stderr, "crossrun: hint: ")
				}
				real, err := os.ReadDir(filepath.Join(outside, "real"))
				require.NoError(t, err)
				assert.Empty(t, real)
				assert.Equal(t, "outside\n", commands.Read(t, filepath.Join(outside, "file")))
				if test.replace != "etc" {
					assert.Equal(t, "root:x:0:0::/:/bin/sh\n", commands.Read(t, filepath.Join(root, "etc/passwd")))
				}
			})
		}
	})
}

// A system that is to be booted has links to what is made then.
func TestResolvConfIsWhereLinksLead(t *testing.T) {
	host, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		t.Skip(err)
	}
	each(t, func(t *testing.T, c caller) {
		for _, links := range [][]string{
			{"../run/systemd/resolve/stub-resolv.conf"},
			{"/run/resolvconf/resolv.conf"},
			{"resolv.link", "../run/a/b"},
			{"../lib/../run/resolv.conf"}, // lib is a link itself
		} {
			root := c.system(t, "looker")
			require.NoError(t, os.RemoveAll(filepath.Join(root, "etc/resolv.conf")))
			require.NoError(t, os.MkdirAll(filepath.Join(root, "usr/lib"), 0o755))
			require.NoError(t, os.Symlink("usr/lib", filepath.Join(root, "lib")))
			for n, to := range links {
				require.NoError(t, os.Symlink(to, filepath.Join(root, "etc", []string{"resolv.conf", "resolv.link"}[n])))
			}
			c.own(t, root)
			r := commands.Run(t, c.in(t, "", root, "looker", "/etc/resolv.conf"))
			assert.Zero(t, r.Status, r.Stderr)
			assert.Contains(t, r.Stdout, fmt.Sprintf("/etc/resolv.conf: %d bytes", len(host)), "%q", links)
			to, err := os.Readlink(filepath.Join(root, "etc/resolv.conf"))
			require.NoError(t, err)
			assert.Equal(t, links[0], to, "it is still a link")
		}
	})
}

// The machine's own resolv.conf may be anything, too.
func TestTheMachinesResolvConfMayBeAnything(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts something on it, in a mount namespace: root does")
	}
	dir := t.TempDir()
	require.NoError(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o666))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "large"), make([]byte, 1<<20), 0o644))
	each(t, func(t *testing.T, c caller) {
		for _, of := range []string{dir + "/fifo", "/dev/null", dir + "/large"} {
			root := c.system(t, "looker")
			r := commands.Run(t, c.in(t, "mount --bind "+of+" /etc/resolv.conf", root, "looker", "/etc/resolv.conf"))
			assert.Zero(t, r.Status, r.Stderr)
			if strings.HasSuffix(of, "large") {
				assert.Contains(t, r.Stdout, "/etc/resolv.conf: 65536 bytes", "the beginning")
			} else {
				assert.Contains(t, r.Stdout, "/etc/resolv.conf: 21 bytes", "the system's own")
			}
		}
	})
}

// The exit status is the program's, whether it ends or is killed, and a signal that
// crossrun gets is the program's.
func TestTheProgramsEndIsCrossruns(t *testing.T) {
	each(t, func(t *testing.T, c caller) {
		root := c.system(t, "sleeper", "false")
		for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGKILL, unix.SIGHUP} {
			words := append(slices.Clone(c.words), commands.Command("crossrun").Path, "--rootfs", root, "sleeper")
			cmd := exec.Command(words[0], words[1:]...)
			require.NoError(t, cmd.Start())
			child := awaitChild(t, cmd.Process.Pid)
			require.NoError(t, cmd.Process.Signal(signal))
			err := cmd.Wait()
			assert.EqualError(t, err, "signal: "+signal.String())
			assert.Eventually(t, func() bool { return unix.Kill(child, 0) == unix.ESRCH }, time.Minute, 5*time.Millisecond, "%v: nothing is left", signal)
		}
		r := commands.Run(t, c.in(t, "", root, "false"))
		assert.Equal(t, 1, r.Status, r.Stderr)
		r = commands.Run(t, c.in(t, "", root, "/etc/passwd"))
		assert.Equal(t, 126, r.Status, r.Stderr)
	})
}

// awaitChild waits until a process has two children, of which one is the program,
// and returns that.
func awaitChild(t *testing.T, parent int) (child int) {
	t.Helper()
	require.Eventually(t, func() bool {
		children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
		for _, file := range children {
			text, _ := os.ReadFile(file)
			for word := range strings.FieldsSeq(string(text)) {
				line, _ := os.ReadFile("/proc/" + word + "/cmdline")
				if strings.HasPrefix(string(line), "sleeper\x00") {
					fmt.Sscan(word, &child)
				}
			}
		}
		return child != 0
	}, time.Minute, 5*time.Millisecond)
	return child
}

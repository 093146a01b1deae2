package private_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// The tests themselves run in a private instance: as root, who makes another,
// and as an ordinary user's root.
func TestMain(m *testing.M) { os.Exit(kerneltest.Main(m)) }

var ctx = context.Background()

func echo() binfmt.Entry {
	return binfmt.Entry{Name: "echo", Pattern: elfmagic.Pattern{Magic: []byte("magic")}, Interpreter: "/bin/echo", Flags: binfmt.FixBinary}
}

func TestCommandHasItsEntries(t *testing.T) {
	kerneltest.Need(t)
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("magic\n"), 0o755))
	out, err := private.Command(ctx, []binfmt.Entry{echo()}, file, "one", "two words").Output()
	require.NoError(t, err)
	assert.Equal(t, file+" one two words\n", string(out))

	assert.ErrorIs(t, exec.Command(file).Run(), unix.ENOEXEC, "nobody else does")
	entries, err := binfmt.New("").List()
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func TestSoDoItsChildren(t *testing.T) {
	kerneltest.Need(t)
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("magic\n"), 0o755))
	out, err := private.Command(ctx, []binfmt.Entry{echo()}, "sh", "-c", "ls /proc/sys/fs/binfmt_misc; "+file+" child").Output()
	require.NoError(t, err)
	assert.Equal(t, "echo\nregister\nstatus\n"+file+" child\n", string(out))
}

func TestTheCommandIsTheCallersOwn(t *testing.T) {
	kerneltest.Need(t)
	dir := t.TempDir()
	in, err := os.CreateTemp(dir, "")
	require.NoError(t, err)
	defer in.Close()
	_, err = in.WriteString("extra")
	require.NoError(t, err)
	_, err = in.Seek(0, 0)
	require.NoError(t, err)

	const files = `ls /proc/$$/fd; exit 0`
	plain := exec.Command("sh", "-c", files)
	plain.ExtraFiles = []*os.File{in}
	want, err := plain.Output()
	require.NoError(t, err)
	same := private.Command(ctx, nil, "sh", "-c", files)
	same.ExtraFiles = []*os.File{in}
	got, err := same.Output()
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got), "no more open files than without")

	c := private.Command(ctx, nil, "sh", "-c", `cat; cat <&3; pwd; echo $VALUE; echo error >&2; exit 7`)
	var out, stderr bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader("stdin "), &out, &stderr
	c.ExtraFiles = []*os.File{in}
	c.Dir, c.Env = dir, append(os.Environ(), "VALUE=a b")
	err = c.Run()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 7, exit.ExitCode())
	assert.Equal(t, "stdin extra"+dir+"\na b\n", out.String())
	assert.Equal(t, "error\n", stderr.String())
	assert.Len(t, c.ExtraFiles, 1, "the command is left as it was")
	assert.Equal(t, "sh", c.Args[0])
}

func TestRootKeepsAllUsers(t *testing.T) {
	kerneltest.Need(t)
	before, err := os.ReadFile("/proc/self/uid_map")
	require.NoError(t, err)
	out, err := private.Command(ctx, nil, "cat", "/proc/self/uid_map").Output()
	require.NoError(t, err)
	inside := strings.Fields(string(before))
	assert.Equal(t, []string{inside[0], inside[0], inside[2]}, strings.Fields(string(out)))
}

func TestArgumentsNeedNotBeUTF8(t *testing.T) {
	kerneltest.Need(t)
	out, err := private.Command(ctx, nil, "printf", "%s", "\xff\xfe").Output()
	require.NoError(t, err)
	assert.Equal(t, "\xff\xfe", string(out))
}

func TestWhatCannotBeSetUpIsSaid(t *testing.T) {
	kerneltest.Need(t)
	missing := echo()
	missing.Interpreter = "/no/such/file"
	err := private.Command(ctx, []binfmt.Entry{missing}, "true").Run()
	var failed *private.Error
	require.ErrorAs(t, err, &failed)
	assert.ErrorIs(t, err, unix.ENOENT)
	assert.Equal(t, private.OpRegister, failed.Op)
	assert.Equal(t, "echo", failed.Name)
	assert.NotErrorIs(t, err, errors.ErrUnsupported)

	invalid := echo()
	invalid.Name = "a/b"
	assert.ErrorContains(t, private.Command(ctx, []binfmt.Entry{invalid}, "true").Run(), "slash")
	assert.ErrorIs(t, private.Command(ctx, nil, "/no/such/command").Run(), unix.ENOENT)
	assert.ErrorIs(t, private.Command(ctx, nil, "no-such-command").Run(), exec.ErrNotFound)
	assert.ErrorIs(t, private.Command(ctx, nil, "/etc/passwd").Run(), unix.EACCES)

	elsewhere := private.Command(ctx, nil, "true")
	elsewhere.Dir = "/no/such/directory"
	err = elsewhere.Run()
	assert.ErrorIs(t, err, unix.ENOENT)
	assert.EqualError(t, err, "chdir /no/such/directory: no such file or directory", "as exec.Cmd says")
}

// fork(2) says EINVAL of it, as it does where namespaces are denied.
func TestWhatNoProgramCanBeGivenIsNoDenial(t *testing.T) {
	kerneltest.Need(t)
	_, rootErr := private.NewInstance(ctx, private.InstanceOptions{Root: "/a\x00b"})
	for what, err := range map[string]error{
		"an argument": private.Command(ctx, nil, "true", "a\x00b").Run(), "a path": private.Command(ctx, nil, "/bin/tr\x00ue").Run(), "a root": rootErr,
	} {
		assert.ErrorIs(t, err, unix.EINVAL, what)
		assert.NotErrorIs(t, err, errors.ErrUnsupported, what)
	}
}

func TestACommandWithoutArgumentsHasItsName(t *testing.T) {
	kerneltest.Need(t)
	shell, err := exec.LookPath("sh")
	require.NoError(t, err)
	c := &private.Cmd{Cmd: &exec.Cmd{Path: shell, Stdin: strings.NewReader("echo $0")}}
	out, err := c.Output()
	require.NoError(t, err)
	assert.Equal(t, shell+"\n", string(out), "as exec.Cmd has it")
}

func TestADeniedUserNamespaceIsExplained(t *testing.T) {
	kerneltest.Need(t)
	limit := "/proc/sys/user/max_user_namespaces"
	before, err := os.ReadFile(limit)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(limit, []byte("0"), 0)) // of this namespace only
	defer func() { require.NoError(t, os.WriteFile(limit, before, 0)) }()
	err = private.Available(ctx)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	assert.ErrorIs(t, private.Check(), syscall.ENOSPC)
	var failed *private.Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, private.OpNamespace, failed.Op)
}

func TestAvailable(t *testing.T) {
	kerneltest.Need(t)
	assert.NoError(t, private.Available(ctx))
	assert.NoError(t, private.Check())
}

func TestCancelling(t *testing.T) {
	kerneltest.Need(t)
	ctx, cancel := context.WithCancel(ctx)
	c := private.Command(ctx, nil, "sleep", "1000")
	require.NoError(t, c.Start())
	cancel()
	assert.Error(t, c.Wait())

	// What ends before it has begun says why, as exec.Cmd does.
	why := errors.New("nobody waits any more")
	ended, end := context.WithCancelCause(t.Context())
	end(why)
	_, err := private.NewInstance(ended, private.InstanceOptions{})
	_, rootErr := private.NewInstance(ended, private.InstanceOptions{Root: "/"})
	for name, err := range map[string]error{"Cmd": private.Command(ended, nil, "true").Run(), "Instance": err, "Root": rootErr, "Available": private.Available(ended)} {
		var failed *private.Error
		assert.ErrorAs(t, err, &failed, name)
		assert.ErrorIs(t, err, why, name)
		assert.ErrorIs(t, err, context.Canceled, name)
	}
}

// What ends while it is being set up says why, too, in whichever step that is.
func TestCancellingWhileItIsSetUp(t *testing.T) {
	kerneltest.Need(t)
	for range 20 {
		soon, cancel := context.WithCancel(t.Context())
		entries := func() ([]binfmt.Entry, error) { cancel(); return nil, nil }
		if _, err := private.NewInstance(soon, private.InstanceOptions{Entries: entries}); err != nil {
			assert.ErrorIs(t, err, context.Canceled)
		}
	}
	soon, cancel := context.WithCancel(t.Context())
	i, err := private.NewInstance(soon, private.InstanceOptions{Root: "/", Entries: func() ([]binfmt.Entry, error) { cancel(); return nil, nil }})
	assert.ErrorIs(t, err, context.Canceled, "with a root process 1 would stay")
	assert.Nil(t, i)
	assert.Empty(t, children(t))
}

// Of what the helper has opened only a part may be received.
func TestDescriptorsThatDoNotSufficeAreClosed(t *testing.T) {
	needInstances(t)
	open := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(list)
	}
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	before, failures := open(), 0
	for end := range uint64(20) {
		entries := func() ([]binfmt.Entry, error) {
			return nil, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: end, Max: limit.Max})
		}
		i, err := private.NewInstance(ctx, private.InstanceOptions{Entries: entries})
		require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
		if err == nil {
			i.Close()
		} else {
			failures++
			assert.ErrorIs(t, err, unix.EMFILE, "%d", end)
		}
		assert.Equal(t, before, open(), "%d: %v", end, err)
	}
	assert.Greater(t, failures, 5)
}

func TestTheMarkerAloneDoesNothing(t *testing.T) {
	c := exec.Command("/proc/self/exe")
	c.Args = []string{"binfmt-private"}
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 125, exit.ExitCode())
	assert.Contains(t, string(out), "own use")
}

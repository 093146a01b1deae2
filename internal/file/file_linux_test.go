package file_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/file"
)

func TestOpenReadsAndDoesNotPoll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte("content"), 0o600))
	f, err := file.Open(path)
	require.NoError(t, err)
	defer f.Close()
	assert.Equal(t, path, f.Name())
	data, err := io.ReadAll(f)
	require.NoError(t, err)
	assert.Equal(t, "content", string(data))
	_, err = f.Write([]byte("x"))
	assert.ErrorIs(t, err, syscall.EBADF, "it is open for reading")

	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
	require.NoError(t, err)
	assert.Equal(t, unix.FD_CLOEXEC, flags, "no child gets it")
	require.NoError(t, f.Close())
	assert.ErrorIs(t, f.Close(), os.ErrClosed)
}

// os.Open leaves a pipe non-blocking, which is how it is seen to poll.
func TestAPipeStaysBlocking(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, unix.Mkfifo(path, 0o600))
	writer, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer writer.Close()
	nonblocking := func(open func(string) (*os.File, error)) bool {
		f, err := open(path)
		require.NoError(t, err)
		defer f.Close()
		conn, err := f.SyscallConn()
		require.NoError(t, err)
		var flags int
		require.NoError(t, conn.Control(func(fd uintptr) { flags, err = unix.FcntlInt(fd, unix.F_GETFL, 0) }))
		require.NoError(t, err)
		return flags&unix.O_NONBLOCK != 0
	}
	assert.True(t, nonblocking(os.Open))
	assert.False(t, nonblocking(file.Open))
}

// A name from data may be that of anything.
func TestOnlyRegularFilesAreOpenedByNamesFromData(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(path, []byte("content"), 0o600))
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(path, link))
	pipe := filepath.Join(dir, "pipe")
	require.NoError(t, unix.Mkfifo(pipe, 0o600))
	for _, path := range []string{path, link} {
		f, err := file.OpenRegular(path)
		require.NoError(t, err)
		data, err := io.ReadAll(f)
		assert.NoError(t, err)
		assert.Equal(t, "content", string(data))
		f.Close()
	}
	for _, path := range []string{pipe, dir, "/dev/null", "/dev/tty"} {
		_, err := file.OpenRegular(path)
		assert.ErrorIs(t, err, file.ErrNotRegular)
		assert.EqualError(t, err, "open "+path+": not a regular file")
	}
	_, err := file.OpenRegular(filepath.Join(dir, "missing"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestErrorsAreThoseOfOS(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing")
	_, err := file.Open(path)
	_, want := os.Open(path)
	assert.Equal(t, want, err)
}

func TestMemoryHoldsAProgramThatNobodyInherits(t *testing.T) {
	script := "#!/bin/sh\necho \"$1\"\n"
	f, err := file.Memory("a name", []byte(script))
	require.NoError(t, err)
	defer f.Close()
	data := make([]byte, len(script)+1)
	n, err := f.ReadAt(data, 0)
	assert.ErrorIs(t, err, io.EOF)
	assert.Equal(t, script, string(data[:n]))
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
	require.NoError(t, err)
	assert.Equal(t, unix.FD_CLOEXEC, flags)
	cmd := exec.Command("/proc/self/fd/3", "it runs")
	cmd.ExtraFiles = []*os.File{f}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, "it runs\n", string(out))
}

func TestSealedMemoryStaysAsItIs(t *testing.T) {
	f, err := file.Memory("a name", nil)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteString("content")
	require.NoError(t, err)
	require.NoError(t, file.Seal(f))
	_, err = f.WriteString("more")
	assert.ErrorIs(t, err, unix.EPERM)
	assert.ErrorIs(t, f.Truncate(0), unix.EPERM)
}

// executed is the environment variable by which this test's program executes
// another.
const executed = "TEST_EXEC"

func TestExecTakesThisProcessesPlace(t *testing.T) {
	if path := os.Getenv(executed); path != "" {
		f, err := file.Open(path)
		require.NoError(t, err)
		require.NoError(t, file.Exec(f, []string{"a name", "-c", `echo "$0 $X $(ulimit -n)"; exit 3`, "argument"}, []string{"X=variable"}))
	}
	limit, err := exec.Command("/bin/sh", "-c", "ulimit -n").Output()
	require.NoError(t, err)
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), executed+"=/bin/sh")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "%s", out)
	assert.Equal(t, 3, exit.ExitCode())
	assert.Equal(t, "argument variable "+string(limit), string(out), "the limit of open files, too")

	f, err := file.Open("/etc/passwd")
	require.NoError(t, err)
	defer f.Close()
	assert.ErrorIs(t, file.Exec(f, []string{"x"}, nil), unix.EACCES)
}

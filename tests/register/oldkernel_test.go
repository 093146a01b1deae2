package register

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// uname26 is UNAME26 in linux/personality.h.
const uname26 = 0x0020000

// onOldKernel runs a command as kernels before 4.8 would: the kernel says that
// it is a 2.6 (the UNAME26 personality), and does not know the flag F. No such
// kernel can be had any more; this is a fake, on top of the real one.
func onOldKernel(t testing.TB, cmd *exec.Cmd) commands.Result {
	t.Helper()
	// Files, not pipes: nobody waits for what copies from these.
	stdout, stderr := filepath.Join(t.TempDir(), "stdout"), filepath.Join(t.TempDir(), "stderr")
	for path, to := range map[string]*io.Writer{stdout: &cmd.Stdout, stderr: &cmd.Stderr} {
		file, err := os.Create(path)
		require.NoError(t, err)
		defer file.Close()
		*to = file
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := personality(0xffffffff) // asks
	require.NoError(t, err)
	_, err = personality(before | uname26)
	require.NoError(t, err)
	defer func() {
		_, err := personality(before)
		require.NoError(t, err)
	}()
	status := trace(t, cmd, func(_ int, call *systemCall) {
		if call.number != unix.SYS_WRITE || call.leaving || call.args[2] == 0 {
			return
		}
		data := call.data(t)
		if flags := data[bytes.LastIndexByte(data, ':')+1:]; data[0] == ':' && bytes.ContainsRune(flags, 'F') {
			call.deny(unix.EINVAL)
		}
	})
	return commands.Result{Stdout: commands.Read(t, stdout), Stderr: commands.Read(t, stderr), Status: status.ExitStatus()}
}

func personality(persona uintptr) (uintptr, error) {
	before, _, errno := unix.RawSyscall(unix.SYS_PERSONALITY, persona, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return before, nil
}

func TestOnKernelsWithoutFOneRegistersWithoutIt(t *testing.T) {
	fs := kerneltest.Instance(t)
	r := onOldKernel(t, commands.Command("register", "arm64", "s390x"))
	require.Equal(t, 0, r.Status, r.Stderr)
	for _, name := range []string{"qemu-aarch64", "qemu-s390x"} {
		e, err := fs.Get(name)
		require.NoError(t, err)
		assert.Equal(t, binfmt.OpenBinary, e.Flags, "neither F, nor P, which such kernels do not tell the emulator of")
	}
	assert.Contains(t, r.Stdout, "added, runs")
	assert.Equal(t, commands.Result{Stdout: commands.GoSaying("arm64", commands.GoHello(t, "arm64"))}, commands.Run(t, exec.Command(commands.GoHello(t, "arm64"))))

	r = onOldKernel(t, commands.Command("register", "arm64"))
	require.Equal(t, 0, r.Status, r.Stderr)
	assert.Contains(t, r.Stdout, "kept, runs")
}

func TestOnKernelsWithoutFPersistenceCannotBeHad(t *testing.T) {
	fs := kerneltest.Instance(t)
	r := onOldKernel(t, commands.Command("register", "-p", "yes", "arm64"))
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "register: error: --persistent yes: Linux 2.6 does not have flag F: it came with 4.8")
	assert.Contains(t, r.Stderr, "register: hint: register without it")
	assert.Empty(t, commands.List(t, fs))
}

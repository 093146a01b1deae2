package tinyelf_test

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// hosts are those that both commands are built for.
var hosts = []string{"amd64", "arm64", "ppc64le", "riscv64", "s390x"}

// command makes a stub, as what the kernel, or an emulator, takes for an
// ordinary program, and returns the command that runs it.
func command(t *testing.T, host string, calls []tinyelf.Call, args ...string) *exec.Cmd {
	t.Helper()
	arch := lookup(t, host)
	program, err := tinyelf.Stub(arch, calls, 2, "a call failed: errno", "execve failed: errno")
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "stub")
	argv := append([]string{path, "ignored"}, args...)
	if host != runtime.GOARCH {
		search := emulator.Search{Dirs: emulator.DefaultDirs()}
		e, err := search.Find(arch)
		if err != nil {
			t.Skip("the stub for another host runs in an emulator: ", err)
		}
		argv = append([]string{e.Path, "-0", "ignored", path}, args...)
		program[elf.EI_VERSION] = byte(elf.EV_CURRENT) // emulators look at it
	}
	require.NoError(t, os.WriteFile(path, program, 0o755))
	cmd := exec.Command(argv[0], argv[1:]...)
	if host == runtime.GOARCH {
		cmd.Args = argv[1:]
		cmd.Path = path
	}
	return cmd
}

func status(t *testing.T, cmd *exec.Cmd) (status int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

func TestStubMakesCallsAndThenExecutes(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	for _, host := range hosts {
		t.Run(host, func(t *testing.T) {
			there, err := os.Open(dir)
			require.NoError(t, err)
			defer there.Close()
			closed, err := os.Open("/dev/null")
			require.NoError(t, err)
			defer closed.Close()
			// The child has them as 3 and 4.
			cmd := command(t, host, []tinyelf.Call{{"fchdir", []uint32{3}}, {"close", []uint32{3}}, {"close", []uint32{4}}},
				"/bin/sh", "the name", "-c", `pwd; echo "$0 $*"; echo "$VARIABLE"; [ ! -e /proc/$$/fd/3 ] && [ ! -e /proc/$$/fd/4 ] && exit 37`, "an argument", "")
			cmd.ExtraFiles = []*os.File{there, closed}
			cmd.Env = []string{"A=B", "VARIABLE=its value", "PATH=" + os.Getenv("PATH")}
			status, stdout, stderr := status(t, cmd)
			assert.Equal(t, 37, status, stderr)
			assert.Equal(t, dir+"\nan argument \nits value\n", stdout)
			assert.Empty(t, stderr)
		})
	}
}

func TestStubHandsOnArgv0(t *testing.T) {
	for _, host := range hosts {
		t.Run(host, func(t *testing.T) {
			_, stdout, stderr := status(t, command(t, host, nil, "/bin/sh", "the name", "-c", "tr '\\0' ' ' </proc/$$/cmdline"))
			assert.Contains(t, stdout, "the name -c tr", stderr)
		})
	}
}

func TestStubSaysWhatFailed(t *testing.T) {
	for _, host := range hosts {
		t.Run(host, func(t *testing.T) {
			code, stdout, stderr := status(t, command(t, host, []tinyelf.Call{{"close", []uint32{0}}, {"fchdir", []uint32{1 << 30}}, {"close", []uint32{2}}}, "/bin/echo", "echo", "ran"))
			assert.Equal(t, tinyelf.ExitFailed, code)
			assert.Equal(t, "a call failed: errno  9\n", stderr)
			assert.Empty(t, stdout)

			code, stdout, stderr = status(t, command(t, host, nil, "/no/such/program", "x"))
			assert.Equal(t, tinyelf.ExitFailed, code)
			assert.Equal(t, "execve failed: errno  2\n", stderr)
			assert.Empty(t, stdout)

			_, _, stderr = status(t, command(t, host, nil, "/dev/null/program", "x"))
			assert.Equal(t, "execve failed: errno 20\n", stderr)
		})
	}
}

// Constants arrive whole: the kernel is asked to write what is at an address.
func TestStubLoadsLargeConstants(t *testing.T) {
	filler := make([]byte, 0x11000)
	for i := range filler {
		filler[i] = byte(i>>8 ^ i)
	}
	for _, host := range hosts {
		for _, offset := range []uint32{0, 1, 0x7ff, 0x800, 0xfff, 0x1000, 0x1801, 0x8000, 0xffff, 0x10000} {
			calls := []tinyelf.Call{{"write", []uint32{1, 0x400000 + offset, 0x801}}}
			program, err := tinyelf.Stub(lookup(t, host), calls, 2, string(filler), "")
			require.NoError(t, err)
			cmd := command(t, host, calls, "/bin/true", "true")
			path := slices.Index(cmd.Args, "-0") + 2
			file := cmd.Path
			if path > 1 {
				file = cmd.Args[path]
				program[elf.EI_VERSION] = byte(elf.EV_CURRENT)
			}
			require.NoError(t, os.WriteFile(file, program, 0o755))
			_, stdout, stderr := status(t, cmd)
			assert.True(t, stdout == string(program[offset:offset+0x801]), "%s: %#x: %.100q", host, offset, stderr)
		}
	}
}

func TestUnknownMachinesAndCallsAreErrors(t *testing.T) {
	for _, arch := range elfmagic.Archs() {
		_, err := tinyelf.Stub(arch, nil, 2, "", "")
		supported := slices.Contains(hosts, arch.GOARCH)
		assert.Equal(t, supported, err == nil, arch.Name)
	}
	_, err := tinyelf.Stub(lookup(t, "amd64"), []tinyelf.Call{{"reboot", nil}}, 2, "", "")
	assert.EqualError(t, err, "no number of the system call reboot is known")
}

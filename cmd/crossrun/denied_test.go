package main

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/tinyelf"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// withoutSetns, in the environment, makes this program crossrun, in a process
// that may not call setns(2).
const withoutSetns = "CROSSRUN_TEST_WITHOUT_SETNS"

// denySetns installs a seccomp filter, as a container's runtime does: of all calls, or
// only of those with descriptors that may be open, which nobody can ask.
func denySetns(which string) error {
	descriptors := uint32(math.MaxUint32)
	if which == onlyOpen {
		descriptors = math.MaxUint32 - 1
	}
	low := uint32(16) // of the first argument
	if runtime.GOARCH == "s390x" {
		low += 4
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the system call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 3, K: unix.SYS_SETNS},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: low},
		{Code: unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K, Jt: 1, K: descriptors},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	return commands.Restrict(filter)
}

func TestDeniedSetnsFallsBackToASupervisor(t *testing.T) {
	for _, which := range []string{"all", onlyOpen} {
		t.Run(which, func(t *testing.T) { deniedSetns(t, which) })
	}
}

// onlyOpen, as the value of withoutSetns, is what no check can find out.
const onlyOpen = "open"

func deniedSetns(t *testing.T, which string) {
	kerneltest.Instance(t)
	arch := foreign(t)
	search := emulator.Search{Dirs: emulator.DefaultDirs()}
	if _, err := search.Find(arch); err != nil {
		t.Skip("runs a foreign program: ", err)
	}
	content, err := tinyelf.Program(arch)
	require.NoError(t, err)
	program := write(t, filepath.Join(t.TempDir(), "program"), content)
	crossrun := func(args ...string) (int, string) {
		cmd := exec.Command("/proc/self/exe", append(args, program)...)
		cmd.Env = append(os.Environ(), withoutSetns+"="+which)
		out, _ := cmd.CombinedOutput()
		return cmd.ProcessState.ExitCode(), string(out)
	}
	status, out := crossrun()
	assert.Equal(t, tinyelf.ExitCode, status, out)
	assert.Empty(t, out)

	status, out = crossrun("-v")
	assert.Equal(t, tinyelf.ExitCode, status, out)
	assert.Contains(t, out, "--private: unavailable: "+program+": private instance of binfmt_misc: cannot enter it: setns: operation not permitted")
	assert.Contains(t, out, "a supervisor has emulators executed for it, and for what it starts: "+program)

	status, out = crossrun("--private")
	assert.Equal(t, exitCannot, status, out)
	assert.Contains(t, out, "cannot enter it: setns: operation not permitted")

	if which == onlyOpen {
		return
	}
	status, out = crossrun("--print")
	assert.Zero(t, status, out)
	assert.True(t, strings.HasSuffix(out, " --watched "+program+"\n"), "it is known without an attempt: %s", out)
}

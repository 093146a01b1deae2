package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func FuzzSettings(f *testing.F) {
	f.Add("PATH=/bin", "--strace")
	f.Add("CROSSRUN_CPU_ARM64=a\n\"b\"\\,", "\xff=")
	f.Fuzz(func(t *testing.T, a, b string) {
		want := settings{a, b}
		got, err := parseSettings(want.String())
		require.NoError(t, err)
		assert.Equal(t, want, got)
		assert.NotContains(t, want.String(), "\x00")
	})
}

func TestSettingsOfOthersAreRefused(t *testing.T) {
	for _, text := range []string{"x", `"a`, `"a" "b"`} {
		_, err := parseSettings(text)
		assert.Error(t, err, text)
	}
	s, err := parseSettings("")
	assert.NoError(t, err)
	assert.Empty(t, s)
}

// What a tree of programs is run with is the environment's and the flags'.
func TestSettingsAreKept(t *testing.T) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "CROSSRUN_") {
			t.Setenv(name, "")
			require.NoError(t, os.Unsetenv(name))
		}
	}
	t.Setenv("PATH", "/first")
	t.Setenv("HOME", "/home")
	t.Setenv("CROSSRUN_CPU_ARM64", "max")
	t.Setenv("CROSSRUN_CPU_S390X", "max")
	t.Setenv("CROSSRUN_SYSROOT_AARCH64", "") // is made below, and not for other tests
	require.NoError(t, os.Unsetenv("CROSSRUN_SYSROOT_AARCH64"))
	kept := keep(lookup(t, "arm64"), &options{sysroot: "/r", strace: true})
	assert.ElementsMatch(t, settings{"PATH=/first", "CROSSRUN_CPU_ARM64=max", "CROSSRUN_CPU_S390X=max", "CROSSRUN_SYSROOT_AARCH64=/r", straced, rootSetting()}, kept)

	// A program's environment goes before, but for PATH.
	t.Setenv("PATH", "/second")
	t.Setenv("CROSSRUN_CPU_ARM64", "cortex-a57")
	require.NoError(t, os.Unsetenv("CROSSRUN_CPU_S390X"))
	require.NoError(t, kept.apply())
	assert.Equal(t, "/first", os.Getenv("PATH"))
	assert.Equal(t, "cortex-a57", os.Getenv("CROSSRUN_CPU_ARM64"))
	assert.Equal(t, "max", os.Getenv("CROSSRUN_CPU_S390X"))
	assert.Equal(t, "/r", os.Getenv("CROSSRUN_SYSROOT_AARCH64"))
}

// Whoever uses the helper's name is told what it is for.
func TestTheHelpersNameIsForEmulators(t *testing.T) {
	t.Setenv("PATH", os.Getenv("PATH")) // which settings change
	for _, test := range []struct {
		args   []string
		status int
		want   string
	}{
		{nil, 126, "this name is for emulators' use"},
		{[]string{"", "x", "/bin/true"}, 126, `descriptors "x"`},
		{[]string{"x", "1,-1,0", "/bin/true"}, 126, `settings "x"`},
		{[]string{"", "1,-1,0", "/no/such/program", "x"}, 127, "/no/such/program: no such file"},
		{[]string{"", "1,-1,0", "/", "x"}, 126, "/: is a directory"},
	} {
		var stderr strings.Builder
		assert.Equal(t, test.status, handOn(test.args, &stderr), test.args)
		assert.Contains(t, stderr.String(), "crossrun: error: "+test.want)
	}
}

// A native program that is handed on is executed as it is, with the signals ignored
// that the emulator says are: Go's run time would keep two of them so.
func TestNativeProgramsThatAreHandedOn(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Args = []string{helperName, "", fmt.Sprintf("9,-1,%x", 1<<(unix.SIGTERM-1)|1<<(unix.SIGPIPE-1)), "/bin/sh", "a name", "-c", `echo "$0 $1"; trap - TERM; kill -TERM $$; grep SigIgn /proc/$$/status`, "a name", "x"}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Regexp(t, `^a name x\nSigIgn:\s[0-9a-f]*5000\n$`, string(out))
}

// Descriptors for an emulator's use stay open on exec, where others are few.
func TestDescriptorsAreHighAndStayOpen(t *testing.T) {
	d := descriptors{least: highestInFirst}
	fd, err := d.add(0)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, fd, highestInFirst)
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	require.NoError(t, err)
	assert.Zero(t, flags&unix.FD_CLOEXEC)
	d.close()
	_, err = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	assert.ErrorIs(t, err, unix.EBADF)
}

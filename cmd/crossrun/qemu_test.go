package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheNameSaysWhoCalls(t *testing.T) {
	for name, want := range map[string]string{
		"crossrun": "", "/usr/bin/crossrun": "", "go_linux_arm64_exec": "", "buildkit-qemu-s390x": "", "/qemu-s390x/crossrun": "",
		"qemu-s390x": "s390x", "/opt/bin/qemu-aarch64-static": "aarch64", "qemu-arm64": "aarch64", "qemu-ppc64el-static": "ppc64le",
	} {
		arch, err := emulatorName(name)
		assert.NoError(t, err)
		if want == "" {
			assert.Nil(t, arch, name)
		} else if assert.NotNil(t, arch, name) {
			assert.Equal(t, want, arch.Name)
		}
	}
	var stdout, stderr strings.Builder
	assert.Equal(t, exitFailed, runAs([]string{"/bin/qemu-s309x", "a"}, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "crossrun: error: called as qemu-s309x: ")
	assert.Contains(t, stderr.String(), "crossrun: hint: did you mean s390x?")
	assert.Empty(t, stdout.String())
}

func TestBuildKitsArgumentsAreTheProgramsOwn(t *testing.T) {
	for _, name := range []string{"/dev/.buildkit_qemu_emulator", "buildkit-qemu-aarch64", "/usr/bin/buildkit-qemu-arm"} {
		assert.Equal(t, []string{"--", "sh", "-c", "x"}, arguments([]string{name, "sh", "-c", "x"}), name)
		assert.True(t, calledByBuildKit(name))
	}
	assert.False(t, calledByBuildKit("qemu-aarch64"))
	assert.False(t, inBuild())
}

// parsed returns the call that arguments make.
func parsed(t *testing.T, args ...string) (*qemuCall, error) {
	t.Helper()
	c := &qemuCall{name: "qemu-s390x", arch: lookup(t, "s390x")}
	return c, c.parse(args)
}

// restored puts variables back when the test ends.
func restored(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		t.Setenv(name, "")
		os.Unsetenv(name)
	}
}

func TestQEMUsFlags(t *testing.T) {
	restored(t, "QEMU_TRACE", "QEMU_STACK_SIZE", "QEMU_LOG", "QEMU_LOG_FILENAME", "QEMU_ONE_INSN_PER_TB", "QEMU_CPU", "CROSSRUN_CPU_S390X")
	t.Setenv("QEMU_CPU", "another")
	t.Setenv("QEMU_LOG", "another")
	c, err := parsed(t, "-L", "/srv/root", "--cpu", "max", "-E", "A=1,B=x=y", "-U", "HOME,TERM", "-E", "C=", "-0", "zero", "-g", "1234", "-strace",
		"-s", "1000", "-d", "in_asm", "-D", "-", "-one-insn-per-tb", "./program", "-L", "--", "x")
	require.NoError(t, err)
	assert.Equal(t, []string{"./program", "-L", "--", "x"}, c.args)
	assert.Equal(t, []string{"A=1", "B=x=y", "HOME", "TERM", "C="}, c.changes)
	assert.Equal(t, "zero", *c.argv0)
	assert.Equal(t, "/srv/root", c.prefix)
	assert.Equal(t, "1234", c.gdb)
	assert.True(t, c.strace)
	assert.False(t, c.asks)
	for name, value := range map[string]string{
		"QEMU_STACK_SIZE": "1000", "QEMU_LOG": "in_asm", "QEMU_LOG_FILENAME": "-", "QEMU_ONE_INSN_PER_TB": "1", "CROSSRUN_CPU_S390X": "max", "QEMU_CPU": "",
	} {
		assert.Equal(t, value, os.Getenv(name), name)
	}

	c, err = parsed(t, "--", "-program")
	require.NoError(t, err)
	assert.Equal(t, []string{"-program"}, c.args)
	for _, asks := range []string{"-h", "--help", "-version", "--version", "-cpu help", "-cpu ?", "-d help", "-trace help"} {
		c, err := parsed(t, strings.Fields(asks)...)
		require.NoError(t, err)
		assert.True(t, c.asks, asks)
		assert.Equal(t, strings.Fields(asks), c.given)
	}
	for args, want := range map[string]string{
		"":              "no program given",
		"-strace":       "no program given",
		"-foo a":        "unknown flag: -foo",
		"---L a":        "unknown flag: ---L",
		"-L":            "flag needs an argument: -L",
		"-E A a":        `-E A: "A" is not NAME=VALUE`,
		"-E A=b,c a":    `-E A=b,c: "c" is not NAME=VALUE`,
		"-E =b a":       `-E =b: "=b" is not NAME=VALUE`,
		"-U A=b a":      `-U A=b: "A=b" is no name of a variable`,
		"-L=/srv/x ./a": "unknown flag: -L=/srv/x",
	} {
		_, err := parsed(t, strings.Fields(args)...)
		assert.EqualError(t, err, want, args)
	}
}

// What installed emulators say that they take is taken.
func TestAllFlagsOfInstalledEmulatorsAreKnown(t *testing.T) {
	path, err := exec.LookPath("qemu-s390x")
	if err != nil {
		t.Skip("qemu-s390x is not installed")
	}
	help, _ := exec.Command(path, "-h").CombinedOutput() // the status is 0 or 1
	lines := regexp.MustCompile(`(?m)^-(\S+) ?(\S+)? +(QEMU_\w+)`).FindAllStringSubmatch(string(help), -1)
	require.Greater(t, len(lines), 15)
	for _, line := range lines {
		flag, err := findQEMUFlag("-" + line[1])
		require.NoError(t, err)
		if flag.variable != "" {
			assert.Equal(t, line[3], flag.variable)
		}
		if line[2] != "" {
			assert.True(t, flag.hasValue, line[1])
		}
	}
}

// A hint that says more stays.
func TestHintsOfACommandLineOfQEMUs(t *testing.T) {
	for args, hint := range map[string]string{"-E A=1,2 x": "a comma begins another variable", "-x": "where the flags are QEMU's", "": "where the flags are QEMU's"} {
		var stdout, stderr strings.Builder
		status := runAs(append([]string{"qemu-s390x"}, strings.Fields(args)...), &stdout, &stderr)
		assert.Equal(t, exitFailed, status, args)
		assert.Contains(t, stderr.String(), hint, args)
	}
}

func TestOnlyProgramsOfTheArchitectureAreRun(t *testing.T) {
	dir := t.TempDir()
	arm64 := write(t, filepath.Join(dir, "program"), binaryFor(t, lookup(t, "arm64"), ""))
	script := write(t, filepath.Join(dir, "script"), []byte("#!"+arm64+"\n"))
	text := write(t, filepath.Join(dir, "text"), []byte("text"))
	for _, test := range []struct{ path, text, hint string }{
		{arm64, arm64 + ": invalid ELF image for this architecture: it is for linux/arm64, not for linux/s390x", "qemu-aarch64 runs it, and crossrun, which looks by itself"},
		{script, arm64 + ": invalid ELF image for this architecture", "qemu-aarch64 runs it"},
		{text, text + ": not an ELF file", ""},
		{dir + "/missing", dir + "/missing: no such file", ""},
	} {
		var stdout, stderr strings.Builder
		status := runAs([]string{"qemu-s390x", test.path}, &stdout, &stderr)
		assert.Contains(t, stderr.String(), "crossrun: error: "+test.text)
		assert.Contains(t, stderr.String(), test.hint)
		assert.Contains(t, []int{exitCannot, exitNotFound}, status)
		assert.Empty(t, stdout.String())
	}
}

func TestChangesOfAnEnvironmentAreMadeInTheirOrder(t *testing.T) {
	env := []string{"A=1", "B=2", "AB=3"}
	assert.Equal(t, env, changed(env, nil))
	assert.Equal(t, []string{"B=2", "AB=3"}, changed(env, []string{"A"}))
	assert.Equal(t, []string{"B=2", "AB=3", "A=x=y"}, changed(env, []string{"A=x=y"}))
	assert.Equal(t, []string{"B=2", "AB=3"}, changed(env, []string{"A=x", "A"}))
	assert.Equal(t, []string{"A=1", "B=2", "AB=3", "C="}, changed(env, []string{"C", "C="}))
	assert.Equal(t, []string{"A=1", "B=2", "AB=3"}, env, "it is the caller's")
}

package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A repository of one command, which says what it is told.
func fakeRepository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	script(t, "sudo", `exec "$@"`)
	built := filepath.Join("bin/emulators", runtime.GOARCH)
	require.NoError(t, os.MkdirAll(built, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(built, "manifest.json"), []byte("{}"), 0o644))
	require.NoError(t, os.WriteFile("bin/register", []byte("#!/bin/sh\necho \"register $*\"\n"), 0o755))
	return dir
}

func TestRegisterIsToldWhichEmulators(t *testing.T) {
	dir := fakeRepository(t)
	for word, want := range map[string]string{
		"":      "register \n",
		"built": "register --qemu-path " + dir + "/bin/emulators/" + runtime.GOARCH + "\n",
		"bin":   "register --qemu-path " + dir + "/bin\n",
	} {
		status, stdout, stderr := called(t, "register", "--emulators", word)
		assert.Zero(t, status, stderr)
		assert.Equal(t, want, stdout)
	}
	require.NoError(t, os.Remove(filepath.Join("bin/emulators", runtime.GOARCH, "manifest.json")))
	status, stdout, stderr := called(t, "register", "--emulators", "built")
	assert.Equal(t, exitUsage, status)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "no built emulators in bin/emulators/"+runtime.GOARCH)

	require.NoError(t, os.Remove("bin/register"))
	status, stdout, stderr = called(t, "register", "--emulators", "bin")
	assert.Equal(t, exitFailure, status)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "image register: hint: make build\n")
}

// Only foreign architectures are registered, and none before all is looked at.
func TestForeignArchitecturesAreRegisteredFirst(t *testing.T) {
	fakeRepository(t)
	script(t, "docker", "exit 0")
	script(t, "mmdebstrap", "exit 1")
	for _, test := range []struct {
		args []string
		want bool
	}{
		{[]string{"--register", "--arch", "linux/s390x"}, true},
		{[]string{"--register", "--arch", "linux/s390x", "--tag", "UPPER"}, false},
		{[]string{"--register", "--arch", "linux/s390x", "--emulators", "ours"}, false},
		{[]string{"--arch", "s390x"}, false},
		{[]string{"--register"}, false},
	} {
		status, stdout, stderr := called(t, append([]string{"base"}, test.args...)...)
		assert.NotZero(t, status, "there is no mmdebstrap")
		assert.Empty(t, stdout)
		assert.Equal(t, test.want, strings.HasPrefix(stderr, "register s390x\n"), stderr)
	}
	_, _, stderr := called(t, "base", "--arch", "s390x,arm64")
	assert.Contains(t, stderr, "image base: linux/s390x, 1 of 2 architectures\n")
}

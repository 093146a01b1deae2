package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/versions"
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
	own, err := os.ReadFile("bin/register")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile("bin/register", []byte("#!/bin/sh\nexit 3\n"), 0o755))
	status, _, stderr := called(t, "register")
	assert.Equal(t, exitFailure, status)
	assert.Contains(t, stderr, "bin/register: exit status 3\nimage register: hint: see what it said above; root is required\n")
	require.NoError(t, os.WriteFile("bin/register", own, 0o755))

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

// aMirror puts a mirror of Debian's in front of the machine's, whose stable is for
// amd64, arm64 and s390x.
func aMirror(t *testing.T) (apt string) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "dists/stable"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "dists/stable/InRelease"), []byte("Suite: stable\nArchitectures: all amd64 arm64 s390x\n"), 0o644))
	apt = "echo 'Debian|bookworm|stable|file:" + dir + "/'"
	script(t, "apt-get", apt)
	return apt
}

// What there is no image for, or cannot be made here, is found out before anything is
// registered, made or removed: with a hint.
func TestNothingIsChangedForWhatCannotBeMade(t *testing.T) {
	file, err := filepath.Abs(versions.File)
	require.NoError(t, err)
	dir := fakeRepository(t)
	apt := aMirror(t)
	tools := filepath.Join(dir, "tools")
	require.NoError(t, os.Mkdir(tools, 0o755))
	t.Setenv("PATH", tools+":"+os.Getenv("PATH"))
	install := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(tools, name), []byte("#!/bin/sh\n"+text), 0o755))
	}
	docker := `[ "$1" = version ] || touch ` + dir + `/changed`
	install("docker", docker)
	require.NoError(t, os.WriteFile("bin/register", []byte("#!/bin/sh\ntouch "+dir+"/changed\n"), 0o755))
	refused := func(status int, want string, args ...string) {
		t.Helper()
		got, stdout, stderr := called(t, args...)
		assert.Equal(t, status, got, stderr)
		assert.Empty(t, stdout)
		assert.Contains(t, stderr, want)
		assert.Contains(t, stderr, "image "+args[0]+": hint: ")
		assert.NoFileExists(t, "changed")
		assert.NoDirExists(t, "dist")
	}
	for _, test := range []struct {
		status int
		want   string
		args   string
	}{
		{2, "there is no image for riscv64", "build --register --arch riscv64"},
		{2, "there is no image for loongarch64", "build --register --arch loongarch64-linux-gnu"},
		{2, "there is no image for i386", "parts --arch 386"},
		{2, "could not parse reference: a::b", "build --register --arch s390x --base a::b"},
		{2, "repository can only contain", "build --register --arch s390x --repository UPPER"},
		{1, "release \"stable\" of Debian has no riscv64", "base --register --arch riscv64"},
		{1, "release \"stable\" of Debian has no ppc64el", "base --register --arch amd64,linux/ppc64le"},
		{2, "hexagon: there is no port of Debian for it", "base --register --arch hexagon"},
		{1, `no release "bookwarm" of Debian`, "base --register --arch s390x --suite bookwarm"},
		{1, `"../x" is not the name of a release`, "base --register --arch s390x --suite ../x"},
		{2, "--tag is for one architecture, not 2", "base --register --arch s390x,arm64 --tag x"},
		{2, "repository can only contain", "base --register --arch s390x --repository UPPER"},
		{2, "--tarball is for one architecture, not 2", "register-images --arch s390x,arm64 --tarball x.tar"},
		{2, "repository can only contain", "register-images --repository UPPER"},
		{2, "--dir is for one architecture, not 4", "parts --arch all --dir x"},
		{2, "--dir is for one architecture, not 2", "emulators --install --arch amd64,arm64 --dir x"},
		{2, `"pdp11"`, "emulators --install pdp11"},
		{2, `"crossrum" is none of register, crossrun`, "single-files --commands crossrum"},
	} {
		args := strings.Fields(test.args)
		if args[0] == "build" {
			args = append(args, "--file", file)
		}
		refused(test.status, test.want, args...)
	}

	base, build := []string{"base", "--register", "--arch", "s390x"}, []string{"build", "--register", "--arch", "s390x", "--file", file}
	install("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
	refused(1, "Cannot connect to the Docker daemon", base...)
	refused(1, "Cannot connect to the Docker daemon", build...)
	refused(1, "Cannot connect to the Docker daemon", "register-images")
	install("docker", docker)
	t.Setenv("PATH", tools)
	install("apt-get", apt)
	refused(1, "mmdebstrap is not installed", base...)
	install("mmdebstrap", "")
	refused(1, "arch-test is not installed", base...)
	install("apt-get", "echo 'Debian|bookworm|stable|file:/nowhere'")
	refused(1, "no release \"stable\" of Debian", base...)
	require.NoError(t, os.Remove("bin/register"))
	refused(1, "bin/register", base...)
	refused(1, "bin/register", build...)
	require.NoError(t, os.Remove(filepath.Join(tools, "docker")))
	refused(1, "docker is not installed", base[0])
	refused(1, "docker is not installed", "build", "--file", file)
	refused(1, "docker is not installed", "push", "--registry", "localhost:1", "--file", file)
}

// Only foreign architectures are registered, and none before all is looked at.
func TestForeignArchitecturesAreRegisteredFirst(t *testing.T) {
	fakeRepository(t)
	script(t, "docker", "exit 0")
	script(t, "mmdebstrap", "exit 1")
	script(t, "arch-test", "exit 0")
	aMirror(t)
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
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for _, register := range []string{"--register=false", "--register"} {
		_, _, stderr := called(t, "base", "--arch", "s390x", "--emulators", "debian:trixie", register)
		assert.Equal(t, register == "--register", strings.Contains(stderr, "Debian's emulators for"), "nothing is fetched that is not registered: %s", stderr)
	}
	_, _, stderr := called(t, "base", "--arch", "s390x,arm64")
	assert.Contains(t, stderr, "image base: linux/s390x, 1 of 2 architectures\n")
}

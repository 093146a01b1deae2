// Package gobuild plays with the go-build image in containers without network
// and, but for registering, without privilege. What it takes is an image:
// `make test-image` builds the whole, `make test-image-core` a part of it.
package gobuild

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/workdir"
	"github.com/projectcalico/go-build/tests/commands"
)

// whole skips a test of what is in the whole image only.
func whole(t *testing.T) {
	t.Helper()
	if isCore(t) {
		t.Skip("the image's core does not have it: make test-image")
	}
}

func isCore(t *testing.T) bool {
	t.Helper()
	return strings.Contains(tested(t), ":core-")
}

// tested returns the image that is tested, or skips the test.
func tested(t *testing.T) string {
	t.Helper()
	img := os.Getenv("TEST_IMAGE")
	if img == "" {
		t.Skip("runs the go-build image with Docker: make test-image, or make test-image-core")
	}
	return img
}

// goarch returns the architecture that the tested image is for.
func goarch(t *testing.T) string {
	t.Helper()
	r := run(t, "docker", "image", "inspect", "--format", "{{.Architecture}}", tested(t))
	require.Zero(t, r.Status, r.Stderr)
	return strings.TrimSpace(r.Stdout)
}

// foreign reports whether the tested image is emulated here.
func foreign(t *testing.T) bool {
	t.Helper()
	return goarch(t) != runtime.GOARCH
}

// native skips tests that only an image for the host's architecture can pass.
func native(t *testing.T) {
	t.Helper()
	if foreign(t) {
		t.Skip("the image is a foreign one: an emulator that it has would run under an emulator")
	}
}

func run(t *testing.T, name string, args ...string) commands.Result {
	t.Helper()
	return commands.Run(t, exec.Command(name, args...))
}

// container runs a command in a container of the tested image.
func container(t *testing.T, flags []string, args ...string) commands.Result {
	t.Helper()
	return run(t, "docker", slices.Concat([]string{"run", "--rm", "--platform", "linux/" + goarch(t), "--network", "none"}, flags, []string{tested(t)}, args)...)
}

// prints runs a command in a container, and returns what it prints; it must
// succeed.
func prints(t *testing.T, flags []string, args ...string) string {
	t.Helper()
	r := container(t, flags, args...)
	require.Zero(t, r.Status, "%v: %s%s", args, r.Stdout, r.Stderr)
	return strings.TrimSpace(r.Stdout)
}

// aUser is whom directories belong to that a user would have, if root tests.
const aUser = 1234

// source mounts a directory of testdata as /src, and the caches that all tests
// share, as CI does between builds. As a user's, it is not everybody's to write to.
func source(t *testing.T, name string) []string {
	t.Helper()
	return append([]string{"--volume", sourceDir(t, name) + ":/src", "--workdir", "/src"}, caches(t)...)
}

func sourceDir(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join("testdata", name))))
	if os.Geteuid() == 0 {
		require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, aUser, aUser))
		}))
	}
	return dir
}

func caches(t *testing.T) []string {
	t.Helper()
	cache, err := workdir.Cache("test-caches")
	require.NoError(t, err)
	return []string{"--volume", cache + ":/caches"}
}

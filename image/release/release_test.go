package release_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/release"
	"github.com/projectcalico/go-build/internal/file"
)

// made returns the directories of releases of one commit that make test-release has made.
func made(t *testing.T) []string {
	t.Helper()
	dirs := os.Getenv("TEST_RELEASE")
	if dirs == "" {
		t.Skip("TEST_RELEASE names no releases: make test-release makes them")
	}
	return strings.Split(dirs, ":")
}

// digests returns the digest of each file of a release, but of what it was made in.
func digests(t *testing.T, dir string) map[string]string {
	t.Helper()
	sums := make(map[string]string)
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == filepath.Join(dir, "work"):
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		below, err := filepath.Rel(dir, path)
		if err == nil {
			sums[below], err = file.SHA256(path)
		}
		return err
	}))
	return sums
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	return text
}

// Who makes a release of a commit again gets the same bytes: in another directory, by
// another user's settings, in another language and time zone, with nothing compiled before.
func TestAReleaseThatIsMadeAgainIsTheSame(t *testing.T) {
	dirs := made(t)
	require.Greater(t, len(dirs), 1, "there is one to compare with")
	first := digests(t, dirs[0])
	for _, dir := range dirs[1:] {
		again := digests(t, dir)
		var differ []string
		for name := range first {
			if again[name] != first[name] {
				differ = append(differ, name)
			}
		}
		slices.Sort(differ)
		assert.Empty(t, differ, "of %d files", len(first))
		assert.Len(t, again, len(first))
	}
	t.Logf("%d files", len(first))
}

// All that is fetched from a release is named by its checksums, and so has a provenance.
func TestAReleaseIsWhole(t *testing.T) {
	dir := made(t)[0]
	sums := digests(t, dir)
	named := make(map[string]string)
	for line := range strings.Lines(string(read(t, dir, release.ChecksumsFile))) {
		sum, name, found := strings.Cut(strings.TrimSpace(line), "  ")
		require.True(t, found, line)
		named[name] = sum
	}
	var statement struct {
		Subject []struct {
			Name   string
			Digest map[string]string
		}
	}
	require.NoError(t, json.Unmarshal(read(t, dir, release.ProvenanceFile), &statement))
	vouched := make(map[string]string)
	for _, s := range statement.Subject {
		vouched[s.Name] = s.Digest["sha256"]
	}
	assert.Equal(t, named, vouched)
	for _, name := range []string{release.ChecksumsFile, release.ProvenanceFile, "NOTES.md"} { // what names the others, and what is only read
		assert.Contains(t, sums, name)
		delete(sums, name)
	}
	assert.Equal(t, sums, named)
	for _, host := range []string{"amd64", "arm64", "ppc64le", "riscv64", "s390x"} {
		for _, file := range []string{"crossrun-linux-HOST", "register-linux-HOST", "crossrun-linux-HOST.licenses.tar.gz", "register-linux-HOST.spdx.json",
			"crossrun-linux-HOST.deb", "crossrun-linux-HOST.rpm", "crossrun-linux-HOST.apk", "register-images-linux-HOST.tar"} {
			assert.Contains(t, named, strings.ReplaceAll(file, "HOST", host))
		}
	}
	assert.Contains(t, named, release.SourcesFile)
	assert.Contains(t, named, release.InstallerFile)
}

// The source of each emulator in a release is in it, and the archive has nothing that is
// missing.
func TestAReleaseHasItsSources(t *testing.T) {
	out, err := exec.Command("tar", "-xOf", filepath.Join(made(t)[0], release.SourcesFile), "sources/README").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.NotContains(t, string(out), "These are missing")
	lines := strings.Split(string(out), "\n")
	assert.True(t, slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "qemu/qemu_") }), "%s", out)
	assert.True(t, slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "glibc/glibc_") }), "%s", out)
}

// install.sh, as it is in a release, installs what runs.
func TestAReleaseIsInstalled(t *testing.T) {
	dir := made(t)[0]
	to := filepath.Join(t.TempDir(), "bin")
	t.Setenv("FROM", dir)
	t.Setenv("TO", to)
	run(t, dir, "sh", release.InstallerFile)
	for _, command := range []string{"crossrun", "register"} {
		out, err := exec.Command(filepath.Join(to, command), "--version").CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Contains(t, string(out), command+" ")
	}
}

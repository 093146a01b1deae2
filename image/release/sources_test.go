package release_test

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/release"
	"github.com/projectcalico/go-build/internal/cli"
)

// commands puts scripts in the place of the machine's commands.
func commands(t *testing.T, scripts map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, script := range scripts {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755))
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	keyring := debian.Keyring
	t.Cleanup(func() { debian.Keyring = keyring })
	debian.Keyring = filepath.Join(dir, "apt-get") // any file
}

// archive is a directory with the files of sources, as Debian has them; it returns the
// script of an apt-get that fetches them.
func archive(t *testing.T, sources map[string]string) (apt, dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range sources { // q_1 has q_1.dsc and q_1.orig.tar.xz
		orig := name + ".orig.tar.xz"
		dsc := fmt.Sprintf("Format: 3.0 (quilt)\nChecksums-Sha1:\n 00 3 %[1]s\nChecksums-Sha256:\n %x %d %[1]s\nFiles:\n 11 3 %[1]s\n", orig, sha256.Sum256([]byte(content)), len(content))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".dsc"), []byte(dsc), 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(dir, orig), []byte(content), 0o644))
	}
	return `case $* in
indextargets*) echo 'Debian|trixie|stable|http://mirror.example/debian/' ;;
*source*)
	for last; do :; done
	[ "$last" = --print-uris ] && last=$4
	file=$(echo "$last" | sed 's/=\([0-9]*:\)\?/_/')
	[ -e '` + dir + `'/$file.dsc ] || { echo "E: there is no $last" >&2; exit 100; }
	case $* in
	*print-uris*) echo "'http://mirror.example/$file.dsc' $file.dsc 3 SHA256:abc" ;;
	*) cp '` + dir + `'/$file* . ;;
	esac ;;
esac`, dir
}

// repository is a directory with a commit.
func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hello"), []byte("hello\n"), 0o644))
	run(t, dir, "git", "init", "--quiet")
	run(t, dir, "git", "add", "hello")
	run(t, dir, "git", "-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "--quiet", "--message=hello")
	return dir
}

func builder(t *testing.T) (s release.Sources, said *strings.Builder) {
	said = new(strings.Builder)
	return release.Sources{
		Root: repository(t), Dir: t.TempDir(), Work: t.TempDir(),
		Say: func(format string, args ...any) { fmt.Fprintf(said, format+"\n", args...) },
	}, said
}

// content reads an archive.
func content(t *testing.T, path string) map[string]string {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	files := make(map[string]string)
	for in := tar.NewReader(file); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		text, err := io.ReadAll(in)
		require.NoError(t, err)
		if header.Typeflag == tar.TypeReg {
			files[header.Name] = string(text)
		}
	}
}

func TestSourcesAreCollected(t *testing.T) {
	apt, _ := archive(t, map[string]string{"q_1": "source of q", "z_2": "source of z"})
	commands(t, map[string]string{"apt-get": apt})
	s, _ := builder(t)
	packages := []debian.Package{{Name: "q", Version: "1:1"}, {Name: "z", Version: "2"}}
	path, err := s.Build(t.Context(), packages)
	require.NoError(t, err)
	files := content(t, path)
	assert.Equal(t, "source of q", files["sources/q/q_1.orig.tar.xz"])
	assert.Equal(t, "source of z", files["sources/z/z_2.orig.tar.xz"])
	assert.Contains(t, files, "sources/q/q_1.dsc")
	assert.Contains(t, files["sources/go-build.tar"], "go-build/hello")
	assert.Contains(t, files["sources/README"], "\nq/q_1.dsc\nz/z_2.dsc\n")
	assert.NotContains(t, files["sources/README"], "missing")
	assert.Len(t, files, 6)

	first, err := os.ReadFile(path)
	require.NoError(t, err)
	s.Work = t.TempDir()
	_, err = s.Build(t.Context(), packages)
	require.NoError(t, err)
	second, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.True(t, string(first) == string(second), "the same sources give the same bytes")
}

func TestASourceThatIsUnavailableIsAnError(t *testing.T) {
	apt, _ := archive(t, map[string]string{"q_1": "source of q"})
	commands(t, map[string]string{"apt-get": apt, "debsnap": "echo 'no such version' >&2; exit 2"})
	s, said := builder(t)
	packages := []debian.Package{{Name: "gone", Version: "3-1"}, {Name: "q", Version: "1"}}
	_, err := s.Build(t.Context(), packages)
	assert.ErrorContains(t, err, "the source of gone 3-1 is unavailable")
	assert.Contains(t, cli.Hint(err), "--partial")
	assert.Contains(t, said.String(), "no source of gone 3-1: ")
	assert.NoFileExists(t, filepath.Join(s.Dir, release.SourcesFile))

	s.Partial = true
	path, err := s.Build(t.Context(), packages)
	require.NoError(t, err)
	files := content(t, path)
	assert.Contains(t, files, "sources/q/q_1.dsc")
	assert.Contains(t, files["sources/README"], "gone 3-1: https://snapshot.debian.org/package/gone/3-1/")
}

func TestWhatTheMirrorNoLongerHasIsFetchedFromTheArchive(t *testing.T) {
	_, dir := archive(t, map[string]string{"q_1": "source of q"})
	empty, _ := archive(t, nil)
	commands(t, map[string]string{"apt-get": empty, "debsnap": `[ "$1 $2 $4 $5" = "--force --destdir q 1:1" ] && mkdir -p "$3" && cp '` + dir + `'/* "$3"`})
	s, _ := builder(t)
	path, err := s.Build(t.Context(), []debian.Package{{Name: "q", Version: "1:1"}})
	require.NoError(t, err)
	assert.Equal(t, "source of q", content(t, path)["sources/q/q_1.orig.tar.xz"])
}

func TestASourceThatIsNotWhatItsListSaysIsNotPassedOn(t *testing.T) {
	apt, dir := archive(t, map[string]string{"q_1": "source of q"})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "q_1.orig.tar.xz"), []byte("another"), 0o644))
	commands(t, map[string]string{"apt-get": apt})
	s, _ := builder(t)
	_, err := s.Build(t.Context(), []debian.Package{{Name: "q", Version: "1"}})
	assert.ErrorContains(t, err, "q_1.orig.tar.xz is not what q_1.dsc says")
	for name, dsc := range map[string]string{
		"no checksums":           "Format: 3.0\n",
		"is no checksum":         "Checksums-Sha256:\n abc 3 q_1.orig.tar.xz\n",
		"../passwd\" is no chec": "Checksums-Sha256:\n " + strings.Repeat("0", 64) + " 3 ../passwd\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "q_1.dsc"), []byte(dsc), 0o644))
		s.Work = t.TempDir()
		_, err := s.Build(t.Context(), []debian.Package{{Name: "q", Version: "1"}})
		assert.ErrorContains(t, err, name)
	}
}

func TestMergedSourcesAreEachThereOnce(t *testing.T) {
	q, z, g := debian.Package{Name: "q", Version: "1"}, debian.Package{Name: "z", Version: "2"}, debian.Package{Name: "g", Version: "3"}
	assert.Equal(t, []debian.Package{g, q, z}, release.Merge(
		debian.Sources{Source: q, Using: []debian.Package{z}}, debian.Sources{}, debian.Sources{Source: q, Using: []debian.Package{z, g}}))
}

package singlefiles

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// names returns what is in an archive.
func names(t *testing.T, path string) (names []string) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	zip, err := gzip.NewReader(f)
	require.NoError(t, err)
	for archive := tar.NewReader(zip); ; {
		h, err := archive.Next()
		if err == io.EOF {
			return names
		}
		require.NoError(t, err)
		if h.Typeflag == tar.TypeReg {
			names = append(names, h.Name)
		}
	}
}

func TestEmulatorsHaveArchivesUnderTheNamesThatReleasesOfOthersHave(t *testing.T) {
	for goarch, want := range map[string][]string{
		"amd64": {"qemu-licenses-linux-amd64.tar.gz", "x86_64_qemu-s390x-static.tar.gz", "qemu-s390x-static.tar.gz"},
		"arm64": {"qemu-licenses-linux-arm64.tar.gz", "aarch64_qemu-s390x-static.tar.gz"},
	} {
		host, err := elfmagic.Lookup(goarch)
		require.NoError(t, err)
		program, err := tinyelf.Program(host)
		require.NoError(t, err)
		from := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(from, "qemu-s390x-static"), program, 0o755))
		emulators, err := artifacts.ReadEmulators(t.Context(), host, from, nil, func(string, ...any) {})
		require.NoError(t, err)
		b := Builder{Host: host, Dir: t.TempDir()}
		paths, err := b.archives(emulators, t.TempDir())
		require.NoError(t, err)
		var got []string
		for _, path := range paths {
			got = append(got, filepath.Base(path))
		}
		assert.Equal(t, want, got)
		assert.Contains(t, names(t, paths[0]), "qemu-licenses/SOURCE")
		assert.Equal(t, []string{"qemu-s390x-static"}, names(t, paths[1]))
		require.NoError(t, os.WriteFile(filepath.Join(b.Dir, "."+want[0]+"-1234"), nil, 0o600)) // of a run that was killed
		require.NoError(t, Checksums(b.Dir))
		sums, err := os.ReadFile(filepath.Join(b.Dir, "SHA256SUMS"))
		require.NoError(t, err)
		for _, name := range want {
			assert.Contains(t, string(sums), "  "+name+"\n")
		}
		assert.NotContains(t, string(sums), "1234")
	}
}

package gobuild

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/versions"
)

// What is copied into the image everybody may read there, and run: also if it is of a clone
// that was made with another umask, or is on another file system than dist.
func TestFilesInTheImageAreEverybodys(t *testing.T) {
	b := Builder{Builder: artifacts.Builder{Root: t.TempDir(), Dir: t.TempDir()}}
	for path := range ours {
		content, err := os.ReadFile(filepath.Join("../..", path))
		require.NoError(t, err)
		path = filepath.Join(b.Root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, content, 0o600))
	}
	for _, part := range append(artifacts.Parts(), "manifest") {
		require.NoError(t, os.WriteFile(filepath.Join(b.Dir, part+".tar"), []byte(part), 0o600))
	}
	dir, err := b.context(nil)
	require.NoError(t, err)
	for path, mode := range ours {
		info, err := os.Stat(filepath.Join(dir, filepath.Base(path)))
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode(), path)
		info, err = os.Stat(filepath.Join("../..", path))
		require.NoError(t, err)
		assert.Equal(t, mode&0o100 != 0, info.Mode()&0o100 != 0, "%s is a program in both, or in none", path)
	}
	for _, part := range append(artifacts.Parts(), "manifest") {
		there, err := os.Stat(filepath.Join(dir, part+".tar"))
		require.NoError(t, err)
		original, err := os.Stat(filepath.Join(b.Dir, part+".tar"))
		require.NoError(t, err)
		assert.True(t, os.SameFile(original, there), "it is not copied")
	}
}

// An image's label names a commit, of which a tree with changes is not.
func TestAnImageOfADirtyTreeIsSaidToBe(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	require.NoError(t, os.WriteFile(filepath.Join(bin, "docker"), []byte("#!/bin/sh\necho '[{\"Architecture\": \"amd64\"}]'\n"), 0o755))
	for described, want := range map[string]string{"v1.0.0": "", "v1.0.0-dirty": "warning: there are changes that are in no commit: nobody else can make this image\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(bin, "git"), []byte("#!/bin/sh\n[ $1 != describe ] || echo "+described+"\n"), 0o755))
		said := ""
		b := Builder{Core: true, Repository: "calico", Progress: io.Discard, Builder: artifacts.Builder{
			Arch: versions.Architectures()[0], Versions: new(versions.Versions),
			Say: func(format string, args ...any) { said += fmt.Sprintf(format, args...) + "\n" },
		}}
		names, err := b.image(t.Context(), t.TempDir())
		require.NoError(t, err)
		assert.Equal(t, []string{"calico/go-build:core-amd64"}, names)
		assert.Equal(t, want+"building calico/go-build:core-amd64 from  …\n", said)
	}
}

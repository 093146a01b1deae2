package base

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/rootfs"
)

// A root file system that is kept is of the packages of its day.
func TestARootFileSystemThatIsThereIsSaidToBe(t *testing.T) {
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "docker"), []byte("#!/bin/sh\ncat >/dev/null\n"), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	arch, err := Port("arm64")
	require.NoError(t, err)
	tag, err := Tag("calico/go-build-base:latest-arm64", arch)
	require.NoError(t, err)
	i := Image{Arch: arch, Suite: "stable", Tag: tag, Dir: t.TempDir()}
	file := filepath.Join(i.Dir, "stable-arm64.tar")
	require.NoError(t, rootfs.WriteFile(file, nil, time.Unix(0, 0)))
	require.NoError(t, os.Chtimes(file, time.Time{}, time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)))
	said := ""
	require.NoError(t, i.Make(t.Context(), func(format string, args ...any) { said += fmt.Sprintf(format, args...) }))
	assert.Equal(t, file+" is there, made on 2026-02-03: remove it for one of today's packages", said)
}

func TestMmdebstrapsStagesAreShown(t *testing.T) {
	for line, want := range map[string]string{"I: extracting archives...": "extracting archives", "I: done": "done", "W: no": "W: no"} {
		assert.Equal(t, want, stage(line))
	}
}

package emulator_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/internal/emulator"
)

// An image without a package manager is not told to use one.
func TestHowEmulatorsAreInstalledDependsOnTheSystem(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	assert.Equal(t, "add static emulators of QEMU's to this image or system (qemu-user-static in most distributions)", emulator.HowToInstall())
	for _, name := range []string{"apk", "pacman", "zypper", "dnf", "apt-get"} { // of several, the last here is the one
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755))
		assert.Regexp(t, "^"+name+" .*qemu", emulator.HowToInstall())
	}

	_, err := (&emulator.Search{Dirs: []string{dir}}).Find(lookup(t, "aarch64"))
	var failed *emulator.Error
	require.ErrorAs(t, err, &failed)
	assert.Regexp(t, "^apt-get install .*, or name others with "+emulator.Option+"$", failed.Hint())
}

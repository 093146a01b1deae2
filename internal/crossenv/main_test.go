package crossenv

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

func TestMain(m *testing.M) {
	status := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(status)
}

var lookup = kerneltest.Lookup

// compilers makes PATH a directory with the named programs.
func compilers(t *testing.T, names ...string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755))
	}
	t.Setenv("PATH", dir)
}

// everything returns the compilers of all targets.
func everything() (names []string) {
	for _, arch := range elfmagic.Archs() {
		for _, port := range arch.Debian {
			names = append(names, port.Triplet+"-gcc", port.Triplet+"-g++")
		}
	}
	return names
}

package qemu

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/internal/cli"
)

// A machine with nothing of what a build requires gets the newest clang that its
// apt knows, with its linker and tools.
func TestWhatBuildsIsInstalled(t *testing.T) {
	bin := t.TempDir()
	log := filepath.Join(bin, "log")
	scripts := map[string]string{
		"dpkg":      "echo arm64",
		"apt-cache": `shift; for p; do case $p in clang-19 | clang-20) echo "$p | 1:1-1 | http://mirror.example s/main arm64 Packages" ;; esac; done`,
		"apt-get":   `echo "$@" >>` + log,
		"env":       `shift; exec "$@"`,
		"sudo":      `exec "$@"`,
	}
	write := func() {
		for name, script := range scripts {
			require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
		}
	}
	write()
	t.Setenv("PATH", bin)
	var said string
	say := func(format string, args ...any) { said += fmt.Sprintf(format, args...) }
	require.NoError(t, InstallTools(t.Context(), say))
	assert.Contains(t, said, "installing bison flex ninja-build patch diffutils pkg-config dpkg-dev ")
	done, err := os.ReadFile(log)
	require.NoError(t, err)
	assert.Contains(t, string(done), " clang-20 lld-20 llvm-20 libclang-rt-20-dev\n")

	scripts["apt-cache"] = "exit 0"
	write()
	err = InstallTools(t.Context(), say)
	assert.ErrorContains(t, err, "clang 19 or newer is not installed\napt knows no clang 19 or newer")
	assert.NotEmpty(t, cli.Hint(err))
}

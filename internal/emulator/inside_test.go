package emulator

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNumberIsTheFirstVersionThatIsSaid(t *testing.T) {
	for text, want := range map[string]string{
		"Box64 arm64 v0.4.3 nogit with Dynarec built on Jan 1 2026\n": "0.4.3",
		"Box64 with Dynarec v0.2.2 a1b2c3d4\n":                        "0.2.2",
		"FEX-2506\n":                                                  "2506",
		"FEX-Emu (FEX-2506.1-12-gabcdef)\n":                           "2506.1",
		"very vague v, v1\n":                                          "1",
		"version 3":                                                   "",
		"":                                                            "",
	} {
		assert.Equal(t, want, number(text), text)
	}
}

// A program that runs is on a file system where that is allowed; on FUSE is none of the
// kernel's own file systems.
func TestFileSystemOfAnOpenFile(t *testing.T) {
	f, err := openFile("/proc/self/exe")
	require.NoError(t, err)
	defer f.close()
	_, execs := f.fileSystem()
	assert.True(t, execs)

	status, err := openFile("/proc/self/status")
	require.NoError(t, err)
	defer status.close()
	fuse, _ := status.fileSystem()
	assert.False(t, fuse)

	fuse, execs = descriptor(-1).fileSystem()
	assert.False(t, fuse || execs, "nothing is known")
}

// What a process that is left behind holds open is not waited for.
func TestAnEmulatorIsAskedForItsVersionForAWhile(t *testing.T) {
	dir := t.TempDir()
	path, left := filepath.Join(dir, "box64"), filepath.Join(dir, "left")
	script := "#!/bin/sh\nsleep 20 &\necho $! >>" + left + "\necho Box64 version v0.4.3\n"
	require.NoError(t, os.WriteFile(path, []byte(script), 0o755))
	began := time.Now()
	assert.Equal(t, "v0.4.3", (&Emulator{Path: path}).askVersion())
	assert.Equal(t, "box64 0.4.3", (&Emulator{Path: path, Product: "box64"}).askProduct())
	assert.Less(t, time.Since(began), 15*time.Second)
	assert.Equal(t, "box64", (&Emulator{Path: "/bin/false", Product: "box64"}).askProduct())
	processes, err := os.ReadFile(left)
	require.NoError(t, err)
	assert.NoError(t, exec.Command("kill", strings.Fields(string(processes))...).Run())
}

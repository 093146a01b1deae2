package emulator

import (
	"testing"

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

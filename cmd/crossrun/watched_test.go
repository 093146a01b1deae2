package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// A supervisor that has no descriptor left for a while has not seen that nothing runs.
func TestASupervisorTriesAgainWhatItCouldNotTry(t *testing.T) {
	kerneltest.Need(t)
	arch, err := elfmagic.Lookup("s390x")
	require.NoError(t, err)
	w := &emulations{native: native(), archs: make(map[*elfmagic.Arch]*emulated)}
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: limit.Max}))
	by := w.of(arch)
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	assert.ErrorIs(t, by.err, unix.EMFILE)
	assert.NotErrorIs(t, w.of(arch).err, unix.EMFILE)
}

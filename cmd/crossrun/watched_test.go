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
	var by *emulated
	kerneltest.WithDescriptors(t, 3, func() { by = w.of(arch) })
	assert.ErrorIs(t, by.err, unix.EMFILE)
	assert.NotErrorIs(t, w.of(arch).err, unix.EMFILE)
}

package keep

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

func TestClaimsAreSeenByOthersWhileTheirKeeperIsThere(t *testing.T) {
	fs := kerneltest.Instance(t)
	arm64, s390x := lookups(t, "arm64")[0], lookups(t, "s390x")[0]
	mine, err := claim(context.Background(), fs)
	require.NoError(t, err)
	defer mine.close()
	theirs, err := claim(context.Background(), fs)
	require.NoError(t, err)
	require.NoError(t, mine.add(arm64))
	assert.False(t, mine.others(arm64), "its own are none of others")
	assert.True(t, theirs.others(arm64))
	assert.False(t, theirs.others(s390x))
	claimed, err := Claimed(fs)
	require.NoError(t, err)
	assert.Equal(t, []*elfmagic.Arch{arm64}, claimed, "whoever asks")
	require.NoError(t, theirs.add(arm64), "several keep the same")
	assert.True(t, mine.others(arm64))
	require.NoError(t, mine.drop(arm64))
	assert.False(t, theirs.others(arm64))
	assert.True(t, mine.others(arm64))
	theirs.close() // as if it was killed
	assert.False(t, mine.others(arm64))
	mine.close()
	claimed, err = Claimed(fs)
	require.NoError(t, err)
	assert.Empty(t, claimed)
	elsewhere := t.TempDir()
	_, err = Claimed(binfmt.New(elsewhere))
	assert.ErrorIs(t, err, binfmt.ErrNotMounted)
	require.NoError(t, unix.Mkfifo(filepath.Join(elsewhere, "register"), 0o600))
	_, err = Claimed(binfmt.New(elsewhere))
	assert.ErrorIs(t, err, binfmt.ErrNotMounted, "it does not wait for who reads that")
}

func TestEachArchitectureHasBytesOfItsOwn(t *testing.T) {
	seen := make(map[int64]*elfmagic.Arch)
	for _, arch := range elfmagic.Archs() {
		assert.Nil(t, seen[first(arch)], arch.Name)
		assert.GreaterOrEqual(t, first(arch), int64(0))
		seen[first(arch)] = arch
	}
}

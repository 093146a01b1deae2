package file_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/internal/file"
)

func TestALockIsWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := file.Lock(t.Context(), path, func() { t.Error("it is free") })
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	waited := 0
	_, err = file.Lock(ctx, path, func() { waited++; cancel() })
	assert.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, 1, waited)

	waited = 0
	again, err := file.Lock(t.Context(), path, func() { waited++; unlock() })
	require.NoError(t, err)
	assert.Equal(t, 1, waited)
	again()

	_, err = file.Lock(t.Context(), filepath.Join(path, "below"), func() {})
	assert.Error(t, err)
}

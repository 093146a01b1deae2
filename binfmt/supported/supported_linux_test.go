package supported

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestThisProgramsOwnPlatformComesFirst(t *testing.T) {
	list, err := Platforms(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, list)
	assert.Equal(t, "linux", list[0].OS)
	assert.Equal(t, runtime.GOARCH, list[0].Architecture)
	if runtime.GOARCH == "amd64" {
		assert.Empty(t, list[0].Variant)
	}
	for _, p := range list {
		assert.NotEmpty(t, p.Architecture)
	}
}

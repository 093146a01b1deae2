package publish

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRegistriesAreNamedAsDockerNamesThem(t *testing.T) {
	for registry, want := range map[string]string{
		"docker.io": "index.docker.io/calico/go-build", "quay.io": "quay.io/calico/go-build",
		"localhost:5000": "localhost:5000/calico/go-build", "docker.io/mirror": "index.docker.io/mirror/calico/go-build",
	} {
		p, err := New(nil, registry, "calico", false)
		require.NoError(t, err)
		assert.Equal(t, want, p.remote.Name())
	}
}

package versions_test

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/internal/cli"
)

func TestTheBaseImageIsPinnedToTheListOfAllArchitectures(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	repository := strings.TrimPrefix(server.URL, "http://") + "/library/debian"
	content, err := os.ReadFile("../versions.yaml")
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "versions.yaml")
	before := strings.Replace(string(content), "base: debian:", "base: "+repository+":", 1)
	require.NotEqual(t, string(content), before)
	require.NoError(t, os.WriteFile(path, []byte(before), 0o644))

	_, err = versions.PinBase(t.Context(), path)
	assert.ErrorContains(t, err, "cannot look up the base image")
	assert.Contains(t, cli.Hint(err), repository+":trixie-slim")
	same, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, before, string(same), "nothing is lost")

	index, err := random.Index(100, 1, 2)
	require.NoError(t, err)
	tag, err := name.NewTag(repository + ":trixie-slim")
	require.NoError(t, err)
	require.NoError(t, remote.WriteIndex(tag, index))
	digest, err := index.Digest()
	require.NoError(t, err)
	base, err := versions.PinBase(t.Context(), path)
	require.NoError(t, err)
	assert.Equal(t, tag.String()+"@"+digest.String(), base)
	v, err := versions.Load(path)
	require.NoError(t, err)
	assert.Equal(t, base, v.Base)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Len(t, strings.Split(string(after), "\n"), len(strings.Split(before, "\n")), "the rest is as it was")
}

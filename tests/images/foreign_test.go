package images

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/require"

	dockerd "github.com/projectcalico/go-build/image/docker"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// system loads an image of a BusyboxRoot, for its platform, and returns its tag.
func system(t *testing.T, goarch string) (tag string) {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "layer.tar")
	out, err := exec.Command("tar", "-C", commands.BusyboxRoot(t, goarch), "--owner=0", "--group=0", "-cf", archive, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	layer, err := tarball.LayerFromFile(archive)
	require.NoError(t, err)
	platform, err := v1.ParsePlatform(kerneltest.Lookup(t, goarch).Platform())
	require.NoError(t, err)
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant, RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{Env: []string{"PATH=/bin"}, Cmd: []string{"sh"}},
	})
	require.NoError(t, err)
	image, err = mutate.AppendLayers(image, layer)
	require.NoError(t, err)
	ref, err := name.NewTag(repository + "/system:" + goarch)
	require.NoError(t, err)
	require.NoError(t, dockerd.Load(t.Context(), map[name.Reference]v1.Image{ref: image}))
	t.Cleanup(func() { run(t, "docker", "rmi", ref.String()) })
	return ref.String()
}

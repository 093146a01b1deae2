package images

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/debian"
	dockerd "github.com/projectcalico/go-build/image/docker"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// busyboxRoot makes a small system of another architecture's: Debian's Busybox, with
// the names of it that people try first, and a hello. It skips without apt.
func busyboxRoot(t *testing.T, goarch string) (dir string) {
	t.Helper()
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("Busybox comes from Debian, through apt: ", err)
	}
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	apt, err := debian.Open(filepath.Join(cache, "calico-go-build", "apt"), kerneltest.Lookup(t, goarch).Debian[0].Name, "bookworm")
	require.NoError(t, err)
	require.NoError(t, apt.Update(t.Context()))
	versions, err := apt.Versions(t.Context(), "busybox-static")
	require.NoError(t, err)
	require.NotEmpty(t, versions)
	deb, err := apt.Download(t.Context(), "busybox-static", versions[0])
	require.NoError(t, err)
	dir = t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, debian.Unpack(t.Context(), deb, dir))
	for _, name := range []string{"sh", "uname", "cat", "env", "ls"} {
		require.NoError(t, os.Symlink("busybox", filepath.Join(dir, "bin", name)))
	}
	return dir
}

// system loads an image of busyboxRoot, for its platform, and returns its tag.
func system(t *testing.T, goarch string) (tag string) {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "layer.tar")
	out, err := exec.Command("tar", "-C", busyboxRoot(t, goarch), "--owner=0", "--group=0", "-cf", archive, ".").CombinedOutput()
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

package fleet

import (
	"archive/tar"
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/require"
)

// startRegistry starts the cluster's registry, and pushes all images to it.
func (f *fleet) startRegistry(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", registryAddress)
	require.NoError(t, err)
	server := &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	for _, tag := range []string{"a", "b"} {
		f.push(t, "calico/qemu-user-static:"+tag, f.registerImage(t, tag))
	}
	f.push(t, "pause:latest", f.programImage(t, runtime.GOARCH, "pause"))
	f.push(t, "native:latest", f.programImage(t, runtime.GOARCH, "hello-"+runtime.GOARCH))
	f.another = f.push(t, "another:one", f.programImage(t, another, "hello-"+another))
	foreign := f.programImage(t, "arm64", "hello-arm64")
	f.foreign = f.push(t, "foreign:one", foreign)
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{
		Add: foreign, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}},
	})
	ref, err := name.ParseReference(registryAddress+"/foreign:index", name.Insecure)
	require.NoError(t, err)
	require.NoError(t, remote.WriteIndex(ref, index))
}

// push pushes an image, and returns its name with the digest.
func (f *fleet) push(t *testing.T, tag string, image v1.Image) string {
	t.Helper()
	ref, err := name.ParseReference(registryAddress+"/"+tag, name.Insecure)
	require.NoError(t, err)
	require.NoError(t, remote.Write(ref, image))
	digest, err := image.Digest()
	require.NoError(t, err)
	return ref.Context().Digest(digest.String()).Name()
}

// registerImage reads an image that prepare made.
func (f *fleet) registerImage(t *testing.T, tag string) v1.Image {
	t.Helper()
	index, err := layout.ImageIndexFromPath(f.path("register-"+tag, runtime.GOARCH, "oci"))
	require.NoError(t, err)
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	for _, d := range manifest.Manifests {
		if d.Annotations["org.opencontainers.image.ref.name"] == repository+"/qemu-user-static:latest-"+runtime.GOARCH {
			image, err := index.Image(d.Digest)
			require.NoError(t, err)
			return image
		}
	}
	require.Fail(t, "no image qemu-user-static", "%+v", manifest)
	return nil
}

// programImage is an image of one program, for a GOARCH.
func (f *fleet) programImage(t *testing.T, goarch, program string) v1.Image {
	t.Helper()
	content, err := os.ReadFile(f.path(program))
	require.NoError(t, err)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "program", Mode: 0o755, Size: int64(len(content))}))
	_, err = w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil }, tarball.WithMediaType(types.OCILayer))
	require.NoError(t, err)
	image, err := mutate.ConfigFile(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), &v1.ConfigFile{
		OS: "linux", Architecture: goarch, RootFS: v1.RootFS{Type: "layers"}, Config: v1.Config{Entrypoint: []string{"/program"}},
	})
	require.NoError(t, err)
	image, err = mutate.AppendLayers(image, layer)
	require.NoError(t, err)
	return image
}

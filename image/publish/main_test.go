package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image"
)

func called(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err strings.Builder
	status = run(t.Context(), append([]string{"-file", "../versions.yaml"}, args...), &out, &err)
	return status, out.String(), err.String()
}

// aRegistry starts a registry in this process, and returns its host. What it
// is asked can be changed on the way.
func aRegistry(t *testing.T, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	if wrap != nil {
		handler = wrap(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// put pushes an image that says it is for an architecture.
func put(t *testing.T, host, tag, goarch string, labels map[string]string) v1.Hash {
	t.Helper()
	img, err := random.Image(1000, 2)
	require.NoError(t, err)
	config, err := img.ConfigFile()
	require.NoError(t, err)
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config.Labels = "linux", goarch, labels
	img, err = mutate.ConfigFile(img, config)
	require.NoError(t, err)
	ref, err := name.NewTag(host + "/calico/go-build:" + tag)
	require.NoError(t, err)
	require.NoError(t, remote.Write(ref, img))
	digest, err := img.Digest()
	require.NoError(t, err)
	return digest
}

func versions(t *testing.T) *image.Versions {
	t.Helper()
	v, err := image.Load("../versions.yaml")
	require.NoError(t, err)
	return v
}

func labelsOf(v *image.Versions, goarch, revision string) map[string]string {
	return map[string]string{
		"org.opencontainers.image.version":  v.String() + "-" + goarch,
		"org.opencontainers.image.revision": revision,
		"org.opencontainers.image.title":    "go-build",
		"org.opencontainers.image.created":  "of " + goarch,
		"org.golang.version":                v.Go,
	}
}

func TestManifestJoinsWhatWasPushed(t *testing.T) {
	v := versions(t)
	host := aRegistry(t, nil)
	digests := make(map[string]v1.Hash)
	for _, arch := range image.Architectures() {
		digests[arch.GOARCH] = put(t, host, v.Tag(arch), arch.GOARCH, labelsOf(v, arch.GOARCH, "abc"))
	}
	status, stdout, stderr := called(t, "-registry", host, "manifest")
	require.Zero(t, status, stderr)

	for _, tag := range []string{v.String(), "latest"} {
		ref, err := name.NewTag(host + "/calico/go-build:" + tag)
		require.NoError(t, err)
		index, err := remote.Index(ref)
		require.NoError(t, err)
		digest, err := index.Digest()
		require.NoError(t, err)
		assert.Contains(t, stdout, ref.String()+"@"+digest.String()+"\n")
		manifest, err := index.IndexManifest()
		require.NoError(t, err)
		assert.Equal(t, types.OCIImageIndex, manifest.MediaType)
		assert.Equal(t, map[string]string{
			"org.opencontainers.image.version":  v.String(),
			"org.opencontainers.image.revision": "abc",
			"org.opencontainers.image.title":    "go-build",
		}, manifest.Annotations, "what all images say alike")
		require.Len(t, manifest.Manifests, len(digests))
		for _, m := range manifest.Manifests {
			assert.Equal(t, digests[m.Platform.Architecture], m.Digest)
			assert.Equal(t, "linux", m.Platform.OS)
			assert.Equal(t, "abc", m.Annotations["org.opencontainers.image.revision"])
		}
		for goarch, want := range digests {
			img, err := remote.Image(ref, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: goarch}))
			require.NoError(t, err)
			got, err := img.Digest()
			require.NoError(t, err)
			assert.Equal(t, want, got, "what %s pulls", goarch)
		}
	}
	again, stdoutAgain, stderr := called(t, "-registry", host, "manifest")
	assert.Zero(t, again, stderr)
	assert.Equal(t, stdout, stdoutAgain, "the same images, the same index")
}

func TestManifestOfSomeArchitectures(t *testing.T) {
	v := versions(t)
	host := aRegistry(t, nil)
	for _, arch := range image.Architectures()[:2] {
		put(t, host, v.Tag(arch), arch.GOARCH, labelsOf(v, arch.GOARCH, "abc"))
	}
	status, stdout, stderr := called(t, "-registry", host, "manifest")
	assert.Equal(t, 1, status)
	assert.Empty(t, stdout)
	for _, arch := range image.Architectures()[2:] {
		assert.Contains(t, stderr, v.Tag(arch)+": ")
		assert.Contains(t, stderr, "publish: hint: make push ARCH="+arch.GOARCH+" ")
	}
	ref, err := name.NewTag(host + "/calico/go-build:latest")
	require.NoError(t, err)
	_, err = remote.Head(ref)
	assert.Error(t, err, "nothing half-done is left")

	status, _, stderr = called(t, "-registry", host, "manifest", "amd64", "arm64")
	assert.Zero(t, status, stderr)
	assert.Contains(t, stderr, "for amd64, arm64 …")
}

func TestImagesThatDoNotBelongTogether(t *testing.T) {
	v := versions(t)
	archs := image.Architectures()[:2]
	for what, test := range map[string]struct {
		goarch   string
		labels   map[string]string
		contains string
	}{
		"another commit":  {"arm64", labelsOf(v, "arm64", "def"), `the images for x86_64 and aarch64 differ in org.opencontainers.image.revision: "abc" and "def"`},
		"another version": {"arm64", map[string]string{"org.opencontainers.image.revision": "abc", "org.opencontainers.image.version": "1-arm64"}, `differ in org.opencontainers.image.version`},
		"no labels":       {"arm64", nil, "differ in org.opencontainers.image."},
		"another's image": {"amd64", labelsOf(v, "arm64", "abc"), "it is for linux/amd64, not linux/arm64"},
	} {
		host := aRegistry(t, nil)
		put(t, host, v.Tag(archs[0]), "amd64", labelsOf(v, "amd64", "abc"))
		put(t, host, v.Tag(archs[1]), test.goarch, test.labels)
		status, stdout, stderr := called(t, "-registry", host, "manifest", "amd64", "arm64")
		assert.Equal(t, 1, status, what)
		assert.Empty(t, stdout, what)
		assert.Contains(t, stderr, test.contains, what)
		assert.Contains(t, stderr, "publish: hint: ", what)
	}
}

// A registry that takes an index and gives another back is found out.
func TestWhatDidNotArriveIsNoticed(t *testing.T) {
	v := versions(t)
	lose := false
	host := aRegistry(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if lose && r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/blobs/") {
				http.NotFound(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	for _, arch := range image.Architectures()[:2] {
		put(t, host, v.Tag(arch), arch.GOARCH, labelsOf(v, arch.GOARCH, "abc"))
	}
	lose = true
	status, _, stderr := called(t, "-registry", host, "manifest", "amd64", "arm64")
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "what came back is not what was pushed")
}

// docker is a stand-in for Docker's command that has one image.
func docker(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "docker"), []byte("#!/bin/sh\n"+script), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestPushNeedsTheImages(t *testing.T) {
	host := aRegistry(t, nil)
	docker(t, `echo "Error: No such image" >&2; exit 1`)
	status, stdout, stderr := called(t, "-registry", host, "push", "amd64", "arm64")
	assert.Equal(t, 1, status)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "calico/go-build:"+versions(t).String()+"-amd64: Docker has no such image")
	assert.Contains(t, stderr, "publish: hint: build it first: make image ARCH=arm64\n")

	docker(t, `echo '[{"Id": "sha256:1", "Architecture": "s390x"}]'`)
	_, _, stderr = called(t, "-registry", host, "push", "amd64")
	assert.Contains(t, stderr, "-amd64: it is for s390x")
}

// What the registry has is compared with what Docker has.
func TestPushSeesWhatArrived(t *testing.T) {
	v := versions(t)
	arch := image.Architectures()[0]
	host := aRegistry(t, nil)
	digest := put(t, host, v.Tag(arch), arch.GOARCH, nil) // as a push would
	ref, err := name.NewTag(host + "/calico/go-build:" + v.Tag(arch))
	require.NoError(t, err)
	img, err := remote.Image(ref)
	require.NoError(t, err)
	config, err := img.ConfigName()
	require.NoError(t, err)

	for _, id := range []string{config.String(), digest.String()} {
		docker(t, `[ "$1" != image ] || echo '[{"Id": "`+id+`", "Architecture": "amd64"}]'`)
		status, stdout, stderr := called(t, "-registry", host, "push", "amd64")
		assert.Zero(t, status, stderr)
		assert.Equal(t, ref.String()+"@"+digest.String()+"\n", stdout)
	}
	latest, err := remote.Head(ref.Context().Tag("latest-amd64"))
	require.NoError(t, err)
	assert.Equal(t, digest, latest.Digest)

	docker(t, `[ "$1" != image ] || echo '[{"Id": "sha256:other", "Architecture": "amd64"}]'`)
	status, stdout, stderr := called(t, "-registry", host, "push", "amd64")
	assert.Equal(t, 1, status)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "Docker has sha256:other")

	docker(t, `[ "$1" = image ] && echo '[{"Id": "`+config.String()+`", "Architecture": "amd64"}]' && exit; [ "$1" = push ] && echo denied && exit 1; exit 0`)
	status, _, stderr = called(t, "-registry", host, "push", "amd64")
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "docker push: exit status 1: denied")
	assert.Contains(t, stderr, "publish: hint: docker login "+host)
}

func TestArguments(t *testing.T) {
	for _, test := range []struct {
		args     []string
		contains string
	}{
		{nil, `"" is no command`},
		{[]string{"pull"}, `"pull" is no command`},
		{[]string{"push"}, "no registry is named"},
		{[]string{"-registry", "myorg", "push"}, `"myorg" is taken for an organization of index.docker.io`},
		{[]string{"-registry", "UPPER:5000/x y", "push"}, "publish: error: "},
		{[]string{"-registry", "localhost:5000", "push", "sparc"}, "there is no image for sparc"},
		{[]string{"-registry", "localhost:5000", "-file", "missing.yaml", "manifest"}, "missing.yaml"},
	} {
		status, stdout, stderr := called(t, test.args...)
		assert.Equal(t, 2, status, test.args)
		assert.Empty(t, stdout)
		assert.Contains(t, stderr, test.contains)
		assert.Contains(t, stderr, "publish: hint: ", test.args)
	}
	for registry, want := range map[string]string{
		"docker.io": "index.docker.io/calico/go-build", "quay.io": "quay.io/calico/go-build",
		"localhost:5000": "localhost:5000/calico/go-build", "docker.io/mirror": "index.docker.io/mirror/calico/go-build",
	} {
		p := publisher{local: "calico"}
		require.NoError(t, p.configure(registry, "../versions.yaml"))
		assert.Equal(t, want, p.remote.Name())
	}
	_, archs, err := arguments([]string{"push"})
	require.NoError(t, err)
	assert.Equal(t, runtime.GOARCH, archs[0].GOARCH)
}

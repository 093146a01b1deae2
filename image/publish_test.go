package main

import (
	"bufio"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/progress"
	"github.com/projectcalico/go-build/image/publish"
	"github.com/projectcalico/go-build/image/versions"
)

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

func pinned(t *testing.T) *versions.Versions {
	t.Helper()
	v, err := versions.Load(versions.File)
	require.NoError(t, err)
	return v
}

func labelsOf(v *versions.Versions, goarch, revision string) map[string]string {
	return map[string]string{
		"org.opencontainers.image.version":  v.String() + "-" + goarch,
		"org.opencontainers.image.revision": revision,
		"org.opencontainers.image.title":    "go-build",
		"org.opencontainers.image.created":  "of " + goarch,
		"org.golang.version":                v.Go,
	}
}

func TestManifestJoinsWhatWasPushed(t *testing.T) {
	v := pinned(t)
	host := aRegistry(t, nil)
	digests := make(map[string]v1.Hash)
	for _, arch := range versions.Architectures() {
		digests[arch.GOARCH] = put(t, host, v.Tag(arch), arch.GOARCH, labelsOf(v, arch.GOARCH, "abc"))
	}
	status, stdout, stderr := called(t, "manifest", "--registry", host)
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
	again, stdoutAgain, stderr := called(t, "manifest", "--registry", host)
	assert.Zero(t, again, stderr)
	assert.Equal(t, stdout, stdoutAgain, "the same images, the same index")
}

func TestManifestOfSomeArchitectures(t *testing.T) {
	v := pinned(t)
	host := aRegistry(t, nil)
	for _, arch := range versions.Architectures()[:2] {
		put(t, host, v.Tag(arch), arch.GOARCH, labelsOf(v, arch.GOARCH, "abc"))
	}
	status, stdout, stderr := called(t, "manifest", "--registry", host)
	assert.Equal(t, 1, status)
	assert.Empty(t, stdout)
	for _, arch := range versions.Architectures()[2:] {
		assert.Contains(t, stderr, v.Tag(arch)+": ")
		assert.Contains(t, stderr, "image manifest: hint: make push ARCH="+arch.GOARCH+" ")
	}
	ref, err := name.NewTag(host + "/calico/go-build:latest")
	require.NoError(t, err)
	_, err = remote.Head(ref)
	assert.Error(t, err, "nothing half-done is left")

	status, _, stderr = called(t, "manifest", "--registry", host, "--arch", "amd64,arm64")
	assert.Zero(t, status, stderr)
	assert.Contains(t, stderr, "for amd64, arm64 …")
}

func TestImagesThatDoNotBelongTogether(t *testing.T) {
	v := pinned(t)
	archs := versions.Architectures()[:2]
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
		status, stdout, stderr := called(t, "manifest", "--registry", host, "--arch", "amd64,arm64")
		assert.Equal(t, 1, status, what)
		assert.Empty(t, stdout, what)
		assert.Contains(t, stderr, test.contains, what)
		assert.Contains(t, stderr, "image manifest: hint: ", what)
	}
	// Whichever of them is without.
	host := aRegistry(t, nil)
	put(t, host, v.Tag(archs[0]), "amd64", nil)
	put(t, host, v.Tag(archs[1]), "arm64", labelsOf(v, "arm64", "abc"))
	status, stdout, stderr := called(t, "manifest", "--registry", host, "--arch", "amd64,arm64")
	assert.Equal(t, 1, status)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, `differ in org.opencontainers.image.version: "" and "`)
}

// A registry that accepts an index and returns another is found out.
func TestWhatDidNotArriveIsNoticed(t *testing.T) {
	v := pinned(t)
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
	for _, arch := range versions.Architectures()[:2] {
		put(t, host, v.Tag(arch), arch.GOARCH, labelsOf(v, arch.GOARCH, "abc"))
	}
	lose = true
	status, _, stderr := called(t, "manifest", "--registry", host, "--arch", "amd64,arm64")
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "what came back is not what was pushed")
	assert.Contains(t, stderr, "image manifest: hint: docker login "+host)
}

// One that does not answer is not waited for without a word.
func TestARegistryThatIsSlowIsNamed(t *testing.T) {
	v := pinned(t)
	host := aRegistry(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	})
	arch := versions.Architectures()[0]
	ref, err := name.NewTag(host + "/calico/go-build:" + v.Tag(arch))
	require.NoError(t, err)
	for want, do := range map[string]func(ctx context.Context) error{
		"reading " + ref.String() + ", ": func(ctx context.Context) error {
			p, err := publish.New(v, host, "calico", false)
			require.NoError(t, err)
			return p.Manifest(ctx, versions.Architectures()[:1])
		},
		"pushing " + ref.String() + ", ": func(ctx context.Context) error {
			_, err := publish.Write(ctx, ref, empty.Image)
			return err
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		display := progress.New(w, "x")
		display.Interval = time.Millisecond
		done := make(chan error, 1)
		go func() { done <- do(progress.With(ctx, display)) }()
		line, err := bufio.NewReader(r).ReadString('\n')
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(line, "x: "+want), line)
		cancel()
		go io.Copy(io.Discard, r)
		assert.ErrorIs(t, <-done, context.Canceled)
		r.Close()
	}
}

// Some registries say of what they do not have that it is forbidden, too.
func TestARegistryThatWantsCredentials(t *testing.T) {
	v := pinned(t)
	var refuses func(r *http.Request) bool
	host := aRegistry(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if refuses != nil && refuses(r) {
				http.Error(w, `{"errors": [{"code": "DENIED", "message": "access is denied"}]}`, http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	put(t, host, v.Tag(versions.Architectures()[0]), "amd64", labelsOf(v, "amd64", "abc"))
	for _, refuses = range []func(r *http.Request) bool{
		func(*http.Request) bool { return true },
		func(r *http.Request) bool { return r.Method == http.MethodPut },
	} {
		status, stdout, stderr := called(t, "manifest", "--registry", host, "--arch", "amd64")
		assert.Equal(t, 1, status)
		assert.Empty(t, stdout)
		assert.Contains(t, stderr, "DENIED: access is denied")
		assert.Contains(t, stderr, "docker login "+host+" if it wants credentials")
	}
}

func TestPushNeedsTheImages(t *testing.T) {
	host := aRegistry(t, nil)
	script(t, "docker", `[ "$1" = version ] && exit; echo "Error: No such image" >&2; exit 1`)
	status, stdout, stderr := called(t, "push", "--registry", host, "--arch", "amd64,arm64")
	assert.Equal(t, 1, status)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "calico/go-build:"+pinned(t).String()+"-amd64: Docker has no such image")
	assert.Contains(t, stderr, "image push: hint: build it first: make image ARCH=arm64\n")

	script(t, "docker", `echo '[{"Id": "sha256:1", "Architecture": "s390x"}]'`)
	_, _, stderr = called(t, "push", "--registry", host, "--arch", "amd64")
	assert.Contains(t, stderr, "-amd64: it is for s390x")
}

// What the registry has is compared with what Docker has.
func TestPushSeesWhatArrived(t *testing.T) {
	v := pinned(t)
	arch := versions.Architectures()[0]
	host := aRegistry(t, nil)
	digest := put(t, host, v.Tag(arch), arch.GOARCH, nil) // as a push would
	ref, err := name.NewTag(host + "/calico/go-build:" + v.Tag(arch))
	require.NoError(t, err)
	img, err := remote.Image(ref)
	require.NoError(t, err)
	config, err := img.ConfigName()
	require.NoError(t, err)

	for _, id := range []string{config.String(), digest.String()} {
		script(t, "docker", `[ "$1" != image ] || echo '[{"Id": "`+id+`", "Architecture": "amd64"}]'`)
		status, stdout, stderr := called(t, "push", "--registry", host, "--arch", "amd64")
		assert.Zero(t, status, stderr)
		assert.Equal(t, ref.String()+"@"+digest.String()+"\n", stdout)
	}
	latest, err := remote.Head(ref.Context().Tag("latest-amd64"))
	require.NoError(t, err)
	assert.Equal(t, digest, latest.Digest)

	script(t, "docker", `[ "$1" != image ] || echo '[{"Id": "sha256:other", "Architecture": "amd64"}]'`)
	status, stdout, stderr := called(t, "push", "--registry", host, "--arch", "amd64")
	assert.Equal(t, 1, status)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "Docker has sha256:other")
	assert.Contains(t, stderr, "image push: hint: docker login "+host)

	script(t, "docker", `[ "$1" = image ] && echo '[{"Id": "`+config.String()+`", "Architecture": "amd64"}]' && exit; [ "$1" = push ] && echo denied && exit 1; exit 0`)
	status, _, stderr = called(t, "push", "--registry", host, "--arch", "amd64")
	assert.Equal(t, 1, status)
	assert.Regexp(t, "docker push --quiet .*: exit status 1: denied", stderr)
	assert.Contains(t, stderr, "image push: hint: docker login "+host)
}

// Where containerd stores Docker's images, an index is pushed, with an attestation beside
// the image, and stays one. What is joined is the images.
func TestPushKeepsAnIndex(t *testing.T) {
	v := pinned(t)
	host := aRegistry(t, nil)
	images := make(map[string]v1.Hash)
	for _, arch := range versions.Architectures()[:2] {
		images[arch.GOARCH] = put(t, host, v.Tag(arch), arch.GOARCH, labelsOf(v, arch.GOARCH, "abc"))
		ref, err := name.NewTag(host + "/calico/go-build:" + v.Tag(arch))
		require.NoError(t, err)
		img, err := remote.Image(ref)
		require.NoError(t, err)
		attestation, err := random.Image(100, 1)
		require.NoError(t, err)
		index := mutate.AppendManifests(empty.Index,
			mutate.IndexAddendum{Add: attestation, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}},
			mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch.GOARCH}}})
		digest, err := index.Digest()
		require.NoError(t, err)
		require.NoError(t, remote.WriteIndex(ref, index))

		script(t, "docker", `[ "$1" != image ] || echo '[{"Id": "`+digest.String()+`", "Architecture": "`+arch.GOARCH+`"}]'`)
		status, stdout, stderr := called(t, "push", "--registry", host, "--arch", arch.GOARCH)
		assert.Zero(t, status, stderr)
		assert.Equal(t, ref.String()+"@"+digest.String()+"\n", stdout)
		latest, err := remote.Head(ref.Context().Tag("latest-" + arch.GOARCH))
		require.NoError(t, err)
		assert.Equal(t, digest, latest.Digest)
	}
	status, _, stderr := called(t, "manifest", "--registry", host, "--arch", "amd64,arm64")
	require.Zero(t, status, stderr)
	ref, err := name.NewTag(host + "/calico/go-build:latest")
	require.NoError(t, err)
	index, err := remote.Index(ref)
	require.NoError(t, err)
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, manifest.Manifests, 2)
	for _, m := range manifest.Manifests {
		assert.Equal(t, images[m.Platform.Architecture], m.Digest)
	}
}

func TestWhatIsWrongWithARegistryIsSaid(t *testing.T) {
	script(t, "docker", "exit 0")
	for _, test := range []struct {
		args     []string
		status   int
		contains string
	}{
		{[]string{"push"}, 2, "no registry is named"},
		{[]string{"push", "--registry", "myorg"}, 2, `"myorg" is taken for an organization of index.docker.io`},
		{[]string{"register-images", "--push"}, 2, `"calico" is taken for an organization of index.docker.io`},
		{[]string{"register-images", "--push", "--repository", "/calico"}, 2, `--repository "/calico" begins with no name`},
		{[]string{"push", "--registry", "localhost:5000", "--repository", ""}, 2, `--repository "" begins with no name`},
		{[]string{"push", "--registry", "https://quay.io"}, 2, `"https://quay.io" is a URL, not a name`},
		{[]string{"manifest", "--registry", "http://localhost:5000"}, 2, `"http://localhost:5000" is a URL, not a name`},
		{[]string{"register-images", "--push", "--repository", "https://quay.io/calico"}, 2, `"https://quay.io/calico" is a URL, not a name`},
		{[]string{"build", "--repository", "https://quay.io/calico"}, 2, `"https://quay.io/calico" is a URL, not a name`},
		{[]string{"push", "--registry", "UPPER:5000/x y"}, 2, "image push: error: "},
		{[]string{"push", "--registry", "localhost:5000", "--arch", "sparc"}, 2, "there is no image for sparc"},
		{[]string{"manifest", "--registry", "localhost:5000", "--file", "missing.yaml"}, 1, "missing.yaml"},
	} {
		status, stdout, stderr := called(t, test.args...)
		assert.Equal(t, test.status, status, test.args)
		assert.Empty(t, stdout)
		assert.Contains(t, stderr, test.contains)
		assert.Contains(t, stderr, ": hint: ", test.args)
	}
}

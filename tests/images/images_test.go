package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// saved returns an image that the daemon has.
func saved(t *testing.T, tag string) v1.Image {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image.tar")
	r := run(t, "docker", "save", "--output", file, tag)
	require.Equal(t, 0, r.Status, r.Stderr)
	ref, err := name.NewTag(tag)
	require.NoError(t, err)
	image, err := tarball.ImageFromPath(file, &ref)
	require.NoError(t, err)
	return image
}

// files returns the regular files and links in an image, with the first bytes
// or the target of each, and the sizes of all together, plain and compressed.
func files(t *testing.T, image v1.Image) (heads map[string][]byte, size, compressed int64) {
	t.Helper()
	content := mutate.Extract(image)
	defer content.Close()
	heads = make(map[string][]byte)
	var count counter
	zip := gzip.NewWriter(&count)
	archive := tar.NewReader(io.TeeReader(content, zip))
	for {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		switch header.Typeflag {
		case tar.TypeDir:
			continue
		case tar.TypeSymlink:
			heads[header.Name] = []byte(header.Linkname)
			continue
		}
		head := make([]byte, elfmagic.HeaderSize)
		n, _ := io.ReadFull(archive, head)
		heads[header.Name] = head[:n]
		size += header.Size
	}
	require.NoError(t, zip.Close())
	return heads, size, int64(count)
}

type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

func TestImagesHoldTheCommandAndEmulatorsOnly(t *testing.T) {
	need(t)
	for tag, entrypoint := range map[string][]string{
		multiarch:  {"/usr/bin/register"},
		tonistiigi: {"/usr/bin/binfmt"},
		noFiles:    {"/usr/bin/register", "--persistent", "no"},
	} {
		image := saved(t, tag)
		config, err := image.ConfigFile()
		require.NoError(t, err)
		assert.Equal(t, entrypoint, config.Config.Entrypoint)
		assert.Equal(t, "amd64", config.Architecture)
		for _, label := range []string{"title", "description", "source", "licenses", "version", "revision", "created"} {
			assert.NotEmpty(t, config.Config.Labels["org.opencontainers.image."+label], "%s: %s", tag, label)
		}
		heads, size, compressed := files(t, image)
		assert.Contains(t, heads, "usr/bin/register")
		assert.Contains(t, heads, "usr/bin/binfmt")
		delete(heads, "usr/bin/register")
		delete(heads, "usr/bin/binfmt")
		assert.Contains(t, heads, "usr/share/go-build/licenses/LICENSE", tag)
		maps.DeleteFunc(heads, func(name string, _ []byte) bool { return strings.HasPrefix(name, "usr/share/go-build/") })
		for name, head := range heads {
			if _, isLink := heads[name+"-static"]; isLink {
				assert.Equal(t, filepath.Base(name)+"-static", string(head))
				continue
			}
			arch, err := elfmagic.Lookup(filepath.Base(name))
			require.NoError(t, err, "%s is an emulator", name)
			assert.Equal(t, "usr/bin/qemu-"+arch.Name+"-static", name)
			assert.Contains(t, heads, "usr/bin/qemu-"+arch.Name)
			assert.NotEqual(t, "amd64", arch.GOARCH, "the host's own is not needed")
			header, err := elfmagic.ParseHeader(head)
			require.NoError(t, err)
			assert.Equal(t, "amd64", header.Arch.GOARCH)
		}
		if tag == noFiles {
			assert.Empty(t, heads)
		} else {
			assert.NotEmpty(t, config.Config.Labels["org.qemu.version"])
			assert.Greater(t, len(heads), 20)
		}
		t.Logf("%s: %d emulators, %.0f MB, %.0f MB as gzip has it", tag, len(heads), float64(size)/1e6, float64(compressed)/1e6)
	}
}

func TestTheSameInputsGiveTheSameImages(t *testing.T) {
	need(t)
	t.Setenv("GOFLAGS", "-tags=x")
	t.Setenv("GOAMD64", "v3")
	require.NoError(t, build("amd64", t.TempDir(), repository+"/again"))
	for _, image := range []string{"qemu-user-static:latest-amd64", "qemu-user-static:register-amd64", "binfmt:latest-amd64"} {
		want, err := saved(t, repository+"/"+image).ConfigName()
		require.NoError(t, err)
		again, err := saved(t, repository+"/again/"+image).ConfigName()
		require.NoError(t, err)
		assert.Equal(t, want, again)
	}
}

// Somebody's own image is the same as one of the tests', and stays.
func TestImagesOfOthersAreNotRemoved(t *testing.T) {
	need(t)
	others, ours := repository+"-of-others:kept", repository+"/removed/hello:latest"
	t.Cleanup(func() { run(t, "docker", "rmi", others) })
	for _, name := range []string{others, ours} {
		require.Equal(t, 0, run(t, "docker", "tag", scratch, name).Status)
	}
	require.NoError(t, removeImages(repository+"/removed"))
	assert.NotEqual(t, 0, run(t, "docker", "image", "inspect", ours).Status)
	for _, name := range []string{others, scratch} {
		assert.Equal(t, 0, run(t, "docker", "image", "inspect", name).Status, name)
	}
}

// packed returns an emulator that is in the images.
func packed(t *testing.T, arch string) *emulator.Emulator {
	t.Helper()
	search := emulator.Search{Dirs: []string{filepath.Join(built, "amd64/fetched/usr/bin")}}
	found, err := search.Find(kerneltest.Lookup(t, arch))
	require.NoError(t, err)
	return found
}

func TestImagesForAnotherHostAreForIt(t *testing.T) {
	need(t)
	require.NoError(t, build("arm64", t.TempDir(), repository))
	image := saved(t, repository+"/qemu-user-static:latest-arm64")
	config, err := image.ConfigFile()
	require.NoError(t, err)
	assert.Equal(t, "linux/arm64", config.OS+"/"+config.Architecture)
	heads, _, _ := files(t, image)
	assert.Contains(t, heads, "usr/bin/qemu-x86_64-static")
	assert.NotContains(t, heads, "usr/bin/qemu-aarch64-static")
	for name, head := range heads {
		if _, isLink := heads["usr/bin/"+string(head)]; isLink || !strings.HasPrefix(name, "usr/bin/") {
			continue // a link, or a text
		}
		header, err := elfmagic.ParseHeader(head)
		require.NoError(t, err, name)
		assert.Equal(t, "arm64", header.Arch.GOARCH, name)
	}
}

// What an old container left is named, and replaced without a gap; a container
// of the same image again changes nothing.
func TestEntriesOfAnOldContainerAreReplaced(t *testing.T) {
	fs := mounted(t)
	old := t.TempDir()
	content, err := os.ReadFile(packed(t, "aarch64").Path)
	require.NoError(t, err)
	marker := []byte("qemu-aarch64 version ")
	at := bytes.Index(content, marker)
	require.Positive(t, at)
	copy(content[at+len(marker):], "6")
	require.NoError(t, os.WriteFile(filepath.Join(old, "qemu-aarch64-static"), content, 0o755))
	require.NoError(t, build("amd64", t.TempDir(), repository+"/old", "--emulators", old))
	oldImage := repository + "/old/qemu-user-static:latest-amd64"
	register(t, oldImage, "arm64")
	for _, image := range []string{oldImage, repository + "/old/binfmt:latest-amd64"} {
		require.Equal(t, 0, run(t, "docker", "rmi", image).Status)
	}

	r := docker(t, least, multiarch, "--status")
	assert.Equal(t, 0, r.Status, r.Stderr)
	assert.Regexp(t, `linux/arm64 +qemu-aarch64 +POF +\S+ +60?\.`, r.Stdout, "the version that the kernel holds")
	assert.Contains(t, r.Stdout, "not by the file that is there now")

	stop, failed := make(chan struct{}), make(chan string)
	go func() {
		for {
			select {
			case <-stop:
				failed <- ""
				return
			default:
				if r := runQuietly(hello("arm64")); r != "" {
					failed <- r
					return
				}
			}
		}
	}()
	r = register(t, multiarch, "arm64")
	close(stop)
	assert.Empty(t, <-failed, "it ran all the time")
	assert.Contains(t, r.Stdout, "replaced (it holds another file than /usr/bin/qemu-aarch64-static: version 6")
	before, err := fs.Get("qemu-aarch64")
	require.NoError(t, err)

	r = register(t, multiarch, "arm64")
	assert.Contains(t, r.Stdout, "kept, runs")
	after, err := fs.Get("qemu-aarch64")
	require.NoError(t, err)
	assert.Equal(t, before, after, "not even registered anew")
}

// runQuietly returns why a program failed.
func runQuietly(path string) string {
	out, err := execCombined(path)
	if err != nil || !strings.Contains(out, "hello from") {
		return out + err.Error()
	}
	return ""
}

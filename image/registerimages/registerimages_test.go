package registerimages

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/internal/tinyelf"
	"github.com/projectcalico/go-build/tests/spdx"
)

// The builder works in the root of the repository.
func TestMain(m *testing.M) {
	if err := os.Chdir("../.."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func lookup(t *testing.T, name string) *elfmagic.Arch {
	t.Helper()
	arch, err := elfmagic.Lookup(name)
	require.NoError(t, err)
	return arch
}

// emulators makes programs for a host that are called as emulators are.
func emulators(t *testing.T, host string, targets ...string) string {
	t.Helper()
	dir := t.TempDir()
	program, err := tinyelf.Program(lookup(t, host))
	require.NoError(t, err)
	for _, target := range targets {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "qemu-"+target+"-static"), program, 0o755))
	}
	return dir
}

// build makes the images, and returns what was said.
func build(t *testing.T, arch, repository, emulators string, guests ...*elfmagic.Arch) (Images, string) {
	t.Helper()
	versions, err := versions.Load(versions.File)
	require.NoError(t, err)
	tc, err := toolchain.Find(t.Context(), versions.Go)
	if err != nil {
		t.Skipf("no pinned toolchain: %v", err)
	}
	var said strings.Builder
	b := Builder{
		Toolchain: tc, Arch: lookup(t, arch), Repository: repository, Emulators: emulators, Guests: guests, Dir: t.TempDir(),
		Say: func(format string, args ...any) { fmt.Fprintf(&said, format+"\n", args...) },
	}
	images, err := b.Build(t.Context())
	require.NoError(t, err)
	return images, said.String()
}

func printed(t *testing.T, images Images) string {
	t.Helper()
	names, err := images.Names()
	require.NoError(t, err)
	return strings.Join(names, "\n") + "\n"
}

// content returns what is in an image: the targets of links, the modes of programs,
// and of other files, whose names are below papers, the content.
func content(t *testing.T, image v1.Image) map[string]string {
	t.Helper()
	r := mutate.Extract(image)
	defer r.Close()
	all := make(map[string]string)
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		assert.Zero(t, h.Uid+h.Gid, h.Name)
		switch h.Typeflag {
		case tar.TypeSymlink:
			all[h.Name] = "-> " + h.Linkname
		case tar.TypeReg:
			all[h.Name] = fmt.Sprintf("%o", h.Mode)
			if strings.HasPrefix(h.Name, papers) {
				text, err := io.ReadAll(archive)
				require.NoError(t, err)
				assert.EqualValues(t, 0o644, h.Mode, h.Name)
				all[h.Name] = string(text)
			}
		}
	}
}

const papers = "usr/share/go-build/"

// checkPapers sees that what is to be distributed with an image's programs is there,
// and takes it out of its content.
func checkPapers(t *testing.T, all map[string]string, license string, programs []string) {
	t.Helper()
	document := spdx.Parse(t, []byte(all[papers+"programs.spdx.json"]))
	assert.Equal(t, license, document.Packages[0].LicenseDeclared, "the label says the same")
	for _, name := range programs {
		p := document.Package(t, filepath.Base(name))
		assert.Equal(t, "/"+name, p.PackageFileName)
		want := "Apache-2.0"
		if strings.Contains(name, "qemu-") {
			want = "GPL-2.0-only"
		}
		assert.Equal(t, want, p.LicenseConcluded)
	}
	assert.Contains(t, all[papers+"licenses/LICENSE"], "Apache License")
	assert.Contains(t, all[papers+"licenses/modules.txt"], "github.com/spf13/pflag v")
	if _, emulated := all[papers+"licenses/SOURCE"]; assert.Equal(t, len(programs) > 1, emulated) && emulated {
		assert.Contains(t, all[papers+"licenses/SOURCE"], "Written offer")
		assert.Contains(t, all[papers+"licenses/qemu/GPL-2"], "Version 2, June 1991")
		assert.Contains(t, all[papers+"licenses/qemu/LGPL-2.1"], "Version 2.1, February 1999")
	}
	maps.DeleteFunc(all, func(name, _ string) bool { return strings.HasPrefix(name, papers) })
}

func TestImagesAreThoseOfTheirCommandLines(t *testing.T) {
	images, said := build(t, "arm64", "calico", emulators(t, "arm64", "x86_64", "s390x"))
	assert.Contains(t, said, "building register for linux/arm64 …\n")
	assert.Contains(t, said, "no emulator for arm\n")
	revision := toolchain.ReadRevision(t.Context(), ".")
	assert.Equal(t, revision.Dirty(), strings.Contains(said, "warning: there are changes that are in no commit"))

	command := map[string]string{"usr/bin/register": "755", "usr/bin/binfmt": "-> register"}
	all := map[string]string{
		"usr/bin/qemu-x86_64-static": "755", "usr/bin/qemu-s390x-static": "755",
		"usr/bin/qemu-x86_64": "-> qemu-x86_64-static", "usr/bin/qemu-s390x": "-> qemu-s390x-static",
	}
	maps.Copy(all, command)
	require.Len(t, images, 3)
	for i, want := range []struct {
		tag        string
		title      string
		licenses   string
		entrypoint []string
		content    map[string]string
	}{
		{"calico/qemu-user-static:latest-arm64", "qemu-user-static", "Apache-2.0 AND BSD-3-Clause AND GPL-2.0-only AND MIT", []string{"/usr/bin/register"}, all},
		{"calico/qemu-user-static:register-arm64", "register", "Apache-2.0 AND BSD-3-Clause AND MIT", []string{"/usr/bin/register", "--persistent", "no"}, command},
		{"calico/binfmt:latest-arm64", "binfmt", "Apache-2.0 AND BSD-3-Clause AND GPL-2.0-only AND MIT", []string{"/usr/bin/binfmt"}, all},
	} {
		require.NoError(t, validate.Image(images[i]), want.tag)
		assert.Equal(t, want.tag, images[i].Tag.String())
		config, err := images[i].ConfigFile()
		require.NoError(t, err)
		assert.Equal(t, "linux/arm64", config.Platform().String())
		assert.Equal(t, revision.Time, config.Created.UTC())
		assert.Equal(t, want.entrypoint, config.Config.Entrypoint)
		assert.Equal(t, []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, config.Config.Env)
		assert.Empty(t, config.Config.Cmd)
		got, programs := content(t, images[i]), []string{"usr/bin/register"}
		for name := range want.content {
			if strings.HasSuffix(name, "-static") {
				programs = append(programs, name)
			}
		}
		checkPapers(t, got, want.licenses, programs)
		assert.Equal(t, want.content, got)
		labels := config.Config.Labels
		assert.NotEmpty(t, labels[oci+"description"])
		_, qemu := labels["org.qemu.version"]
		_, debian := labels["org.debian.package"]
		assert.Equal(t, want.title != "register", qemu && debian)
		for _, name := range []string{oci + "description", "org.qemu.version", "org.debian.package"} {
			delete(labels, name)
		}
		assert.Equal(t, map[string]string{
			oci + "title": want.title, oci + "licenses": want.licenses, "org.opencontainers.image.source": "https://github.com/projectcalico/go-build",
			"org.opencontainers.image.version": revision.Version, "org.opencontainers.image.revision": revision.Commit,
			"org.opencontainers.image.created": revision.Time.Format(time.RFC3339),
		}, labels)
	}
}

func TestTheSameSourceAndEmulatorsGiveTheSameDigests(t *testing.T) {
	images, _ := build(t, "amd64", "calico", emulators(t, "amd64", "aarch64"))
	want := printed(t, images)
	assert.Regexp(t, `^calico/qemu-user-static:latest-amd64@sha256:[0-9a-f]{64}\n(.*@sha256:[0-9a-f]{64}\n){2}$`, want)

	t.Setenv("GOFLAGS", "-tags=x")
	t.Setenv("GOAMD64", "v3")
	from := emulators(t, "amd64", "aarch64")
	require.NoError(t, os.Chtimes(filepath.Join(from, "qemu-aarch64-static"), time.Unix(1, 0), time.Unix(1, 0)))
	again, _ := build(t, "amd64", "calico", from)
	assert.Equal(t, want, printed(t, again))

	other, _ := build(t, "amd64", "calico", emulators(t, "amd64", "aarch64", "arm"))
	assert.NotEqual(t, want, printed(t, other), "the digests say what is in the images")
	assert.Equal(t, strings.Split(want, "\n")[1], strings.Split(printed(t, other), "\n")[1], "one has no emulators in it")
}

// What is written, loaded and pushed has the digests that are printed.
func TestUsesOfOneValue(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	images, _ := build(t, "amd64", strings.TrimPrefix(server.URL, "http://")+"/calico", emulators(t, "amd64", "aarch64"))

	dir := filepath.Join(t.TempDir(), "oci")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "old"), nil, 0o644))
	require.NoError(t, images.Layout(dir))
	assert.NoFileExists(t, filepath.Join(dir, "old"))
	index, err := layout.ImageIndexFromPath(dir)
	require.NoError(t, err)
	require.NoError(t, validate.Index(index))
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, manifest.Manifests, len(images))

	var archive bytes.Buffer
	require.NoError(t, images.Tarball(&archive))
	for range 5 {
		var again bytes.Buffer
		require.NoError(t, images.Tarball(&again))
		require.True(t, bytes.Equal(archive.Bytes(), again.Bytes()), "the same images give the same bytes")
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil }

	require.NoError(t, images.Push(t.Context()))
	for i, image := range images {
		want, err := image.Digest()
		require.NoError(t, err)
		m := manifest.Manifests[i]
		assert.Equal(t, want, m.Digest)
		assert.Equal(t, "linux/amd64", m.Platform.String())
		assert.Equal(t, image.Tag.String(), m.Annotations["org.opencontainers.image.ref.name"])

		// Docker's archive has the configuration and the layers.
		loaded, err := tarball.Image(open, &image.Tag)
		require.NoError(t, err)
		require.NoError(t, validate.Image(loaded))
		id, err := loaded.ConfigName()
		require.NoError(t, err)
		wanted, err := image.ConfigName()
		require.NoError(t, err)
		assert.Equal(t, wanted, id)

		pulled, err := remote.Image(image.Tag)
		require.NoError(t, err)
		require.NoError(t, validate.Image(pulled))
		digest, err := pulled.Digest()
		require.NoError(t, err)
		assert.Equal(t, want, digest)
	}
}

// versioned makes emulators in which their version is, where it is looked for.
func versioned(t *testing.T, host, version string, targets ...string) string {
	t.Helper()
	dir := emulators(t, host, targets...)
	for _, target := range targets {
		file := filepath.Join(dir, "qemu-"+target+"-static")
		program, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, append(program, "qemu-"+target+" version "+version+"\n\x00"...), 0o755))
	}
	return dir
}

// Emulators have images of their own, and those with all of them tags that stay.
func TestTagsOfOneEmulatorAndOfAVersion(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	repository := strings.TrimPrefix(server.URL, "http://") + "/calico"
	guests := []*elfmagic.Arch{lookup(t, "s390x"), lookup(t, "m68k"), lookup(t, "riscv64")}
	var all []Images
	archs := []*elfmagic.Arch{lookup(t, "arm64"), lookup(t, "amd64")}
	for _, arch := range archs {
		targets := []string{"s390x", "riscv64"}
		if arch.GOARCH == "amd64" {
			targets = targets[:1]
		}
		images, said := build(t, arch.GOARCH, repository, versioned(t, arch.GOARCH, "10.2.2 (Debian 1:10.2.2+ds-1)", targets...), guests...)
		assert.Contains(t, said, "no image of an emulator for m68k\n")
		require.NoError(t, images.Push(t.Context()))
		all = append(all, images)
	}
	one := all[0][len(all[0])-2]
	assert.Equal(t, repository+"/qemu-user-static:s390x-arm64", one.Tag.String())
	got := content(t, one)
	assert.Equal(t, "755", got["usr/bin/qemu-s390x-static"])
	assert.Equal(t, "-> qemu-s390x-static", got["usr/bin/qemu-s390x"])
	assert.Contains(t, got[papers+"licenses/SOURCE"], "Written offer")
	assert.NotContains(t, got, "usr/bin/register")
	assert.NotContains(t, got, "usr/bin/qemu-riscv64-static")

	names, err := Join(t.Context(), archs, all)
	require.NoError(t, err)
	var tags []string
	for _, text := range names {
		ref, err := name.NewDigest(text)
		require.NoError(t, err)
		index, err := remote.Index(ref)
		require.NoError(t, err)
		require.NoError(t, validate.Index(index))
		manifest, err := index.IndexManifest()
		require.NoError(t, err)
		var platforms []string
		for _, m := range manifest.Manifests {
			platforms = append(platforms, m.Platform.String())
		}
		tag, _, _ := strings.Cut(strings.TrimPrefix(text, repository+"/"), "@")
		tags = append(tags, tag+" "+strings.Join(platforms, " "))
	}
	const both = " linux/arm64 linux/amd64"
	assert.Equal(t, []string{
		"qemu-user-static:latest" + both, "qemu-user-static:register" + both, "binfmt:latest" + both,
		"binfmt:qemu-v10.2.2" + both, "qemu-user-static:10.2.2" + both,
		"qemu-user-static:s390x" + both, "qemu-user-static:riscv64 linux/arm64",
	}, tags)
}

func TestWhatCannotBeMadeIsSaid(t *testing.T) {
	b := Builder{Arch: lookup(t, "sparc")}
	_, err := b.Build(t.Context())
	assert.ErrorContains(t, err, "Go has no port")
}

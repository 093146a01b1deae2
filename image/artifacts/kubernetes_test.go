package artifacts

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/internal/cli"
)

// The module in the repository is that of the versions file.
func TestModuleIsOfThePinnedKubernetes(t *testing.T) {
	m, err := readModule(filepath.Join(repository, kubernetesModule))
	require.NoError(t, err)
	require.NoError(t, pins(m, pinned(t).Kubernetes))
	assert.Greater(t, len(m.Replace), 20)
	for _, r := range m.Replace {
		assert.Equal(t, module.Version{Path: r.Old.Path, Version: versions.Staging(pinned(t).Kubernetes)}, r.New)
	}
	for _, name := range kubernetesPrograms {
		assert.True(t, slices.ContainsFunc(m.Tool, func(tool *modfile.Tool) bool { return tool.Path == kubernetesCommands+name }), name)
	}
	sums, err := os.ReadFile(filepath.Join(repository, kubernetesModule, "go.sum"))
	require.NoError(t, err)
	assert.Contains(t, string(sums), "k8s.io/kubernetes v"+pinned(t).Kubernetes+" h1:")
	assert.Contains(t, string(sums), "k8s.io/apiserver "+versions.Staging(pinned(t).Kubernetes)+" h1:")
}

func TestModuleIsWrittenFromKubernetesOwn(t *testing.T) {
	theirs := t.TempDir()
	write(t, filepath.Join(theirs, "go.mod"), `module k8s.io/kubernetes

go 1.26.0

godebug default=go1.26

require k8s.io/api v0.0.0

replace (
	k8s.io/api => ./staging/src/k8s.io/api
	k8s.io/kubectl => ./staging/src/k8s.io/kubectl
	example.org/x => example.org/y v1.0.0
)
`)
	m, err := readModule(theirs)
	require.NoError(t, err)
	ours := t.TempDir()
	text := string(goMod(m, "1.37.2"))
	write(t, filepath.Join(ours, "go.mod"), text)
	assert.Contains(t, text, "\ngo 1.26.0\n")
	assert.Contains(t, text, "\ngodebug default=go1.26\n")
	assert.Contains(t, text, "\tk8s.io/api => k8s.io/api v0.37.2\n\tk8s.io/kubectl => k8s.io/kubectl v0.37.2\n)\n")
	assert.NotContains(t, text, "example.org")
	m, err = readModule(ours)
	require.NoError(t, err)
	require.NoError(t, pins(m, "1.37.2"))

	err = pins(m, "1.37.3")
	require.ErrorContains(t, err, "it requires Kubernetes v1.37.2, not v1.37.3")
	assert.Equal(t, "go run ./image pin", cli.Hint(err))

	write(t, filepath.Join(ours, "go.mod"), "module x\n")
	m, err = readModule(ours)
	require.NoError(t, err)
	assert.ErrorContains(t, pins(m, "1.37.2"), "it requires Kubernetes nowhere")

	_, err = readModule(t.TempDir())
	assert.Error(t, err)
}

func TestAModuleOfAnotherKubernetesIsNotBuilt(t *testing.T) {
	b, _ := newBuilder(t, "arm64")
	b.Versions.Kubernetes = "1.37.99"
	_, err := b.kubernetes(t.Context())
	require.ErrorContains(t, err, "not v1.37.99")
	assert.Equal(t, "go run ./image pin", cli.Hint(err))
}

func TestProgramsSayTheVersion(t *testing.T) {
	flags := kubernetesLinked("1.37.2")
	for _, want := range []string{
		" -X k8s.io/component-base/version.gitVersion=v1.37.2 ", " -X k8s.io/component-base/version.gitMajor=1 ",
		" -X k8s.io/client-go/pkg/version.gitMinor=37 ",
	} {
		assert.Contains(t, flags, want)
	}
}

// After go run ./image updates --write the checksums of a newer Go are still to be added.
func TestPinningTakesAGoThatHasNoChecksumYet(t *testing.T) {
	b, said := newBuilder(t, "amd64")
	newer := *b.Versions
	newer.Go, b.Versions, b.Root = "1.99.0", &newer, t.TempDir()
	root, source := t.TempDir(), t.TempDir()
	write(t, filepath.Join(root, "VERSION"), "go1.99.0\ntime 2026-08-28T16:20:06Z\n")
	write(t, filepath.Join(root, "go.env"), "")
	write(t, filepath.Join(source, "go.mod"), "module k8s.io/kubernetes\n\ngo 1.26.0\n\nreplace k8s.io/api => ./staging/src/k8s.io/api\n")
	write(t, filepath.Join(root, "bin", "go"), `#!/bin/sh
case "$1 $2" in
"env -json") echo '{"GOVERSION": "go1.99.0", "GOROOT": "`+root+`", "GOHOSTARCH": "amd64", "GOHOSTOS": "linux"}' ;;
"mod download") echo '{"Dir": "`+source+`"}' ;;
"mod tidy") [ ! -e `+root+`/offline ] || { echo 'dial tcp: i/o timeout' >&2; exit 1; } ;;
esac
`)
	require.NoError(t, os.Chmod(filepath.Join(root, "bin", "go"), 0o755))
	require.NoError(t, os.MkdirAll(b.kubernetesDir(), 0o755))
	t.Setenv("PATH", filepath.Join(root, "bin")+":"+os.Getenv("PATH"))
	require.NoError(t, b.Pin(t.Context()), said)
	m, err := readModule(b.kubernetesDir())
	require.NoError(t, err)
	assert.NoError(t, pins(m, newer.Kubernetes))
	// What cannot be resolved leaves what was.
	write(t, filepath.Join(root, "offline"), "")
	pinned := newer.Kubernetes
	newer.Kubernetes = "1.99.0"
	assert.ErrorContains(t, b.Pin(t.Context()), "i/o timeout")
	m, err = readModule(b.kubernetesDir())
	require.NoError(t, err)
	assert.NoError(t, pins(m, pinned))
	_, err = toolchain.Find(t.Context(), newer.Go)
	assert.ErrorContains(t, err, "toolchain.sum has no checksum", "what is shipped is not built by it")
}

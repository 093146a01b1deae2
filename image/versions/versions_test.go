package versions_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/internal/cli"
)

const some = `
calico: master
go: 1.26.8
llvm: 22.1.8
kubernetes: 1.37.2
base: debian:trixie-slim@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
tools:
  - {name: ginkgo, package: github.com/onsi/ginkgo/ginkgo, version: v1.16.5}
  - {name: ginkgo2, also: [ginkgo-cli], package: github.com/onsi/ginkgo/v2/ginkgo, version: v2.34.0}
  - {name: old, package: example.org/old, version: v1.0.0, with: [example.org/x@v0.1.0], patch: patches/old.patch, stamp: example.org/old/version.version}
`

func TestNamesAreMadeOfVersions(t *testing.T) {
	v, err := versions.Parse([]byte(some))
	require.NoError(t, err)
	assert.Equal(t, &versions.Versions{
		Calico: "master", Go: "1.26.8", LLVM: "22.1.8", Kubernetes: "1.37.2",
		Base: "debian:trixie-slim@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		Tools: []versions.Tool{
			{Name: "ginkgo", Package: "github.com/onsi/ginkgo/ginkgo", Version: "v1.16.5"},
			{Name: "ginkgo2", Also: []string{"ginkgo-cli"}, Package: "github.com/onsi/ginkgo/v2/ginkgo", Version: "v2.34.0"},
			{Name: "old", Package: "example.org/old", Version: "v1.0.0", With: []string{"example.org/x@v0.1.0"}, Patch: "patches/old.patch", Stamp: "example.org/old/version.version"},
		},
	}, v)
	var tags []string
	for _, arch := range versions.Architectures() {
		tags = append(tags, v.Tag(arch), versions.Latest(arch))
	}
	assert.Equal(t, []string{
		"1.26.8-llvm22.1.8-k8s1.37.2-amd64", "latest-amd64",
		"1.26.8-llvm22.1.8-k8s1.37.2-arm64", "latest-arm64",
		"1.26.8-llvm22.1.8-k8s1.37.2-ppc64le", "latest-ppc64le",
		"1.26.8-llvm22.1.8-k8s1.37.2-s390x", "latest-s390x",
	}, tags)
	assert.Equal(t, "1.26.8-llvm22.1.8-k8s1.37.2", v.String())
	assert.Equal(t, "image-1.26.8-llvm22.1.8-k8s1.37.2", v.Branch())
	assert.Equal(t, "22", v.LLVMMajor())

	v, err = versions.Parse([]byte(strings.Replace(some, "1.37.2\n", "1.38.0-beta.0\nrebuild: 2\n", 1)))
	require.NoError(t, err)
	assert.Equal(t, "1.26.8-llvm22.1.8-k8s1.38.0-beta.0-2", v.String())
	assert.Equal(t, "1.26.8-llvm22.1.8-k8s1.38.0-beta.0-2-s390x", v.Tag(versions.Architectures()[3]))
}

func TestArchitecturesHaveAllTheirNames(t *testing.T) {
	for _, name := range []string{"arm64", "aarch64", "linux/arm64"} {
		arch, err := versions.Architecture(name)
		require.NoError(t, err)
		assert.Equal(t, "arm64", arch.GOARCH)
	}
	for _, name := range []string{"riscv64", "m68k", "nonsense", ""} {
		_, err := versions.Architecture(name)
		require.Error(t, err, name)
		assert.Contains(t, cli.Hint(err), "amd64, arm64, ppc64le, s390x")
	}
}

func TestGetKnowsAllVersions(t *testing.T) {
	v, err := versions.Parse([]byte(some))
	require.NoError(t, err)
	for name, want := range map[string]string{"go": "1.26.8", "calico": "master", "llvm": "22.1.8", "kubernetes": "1.37.2", "ginkgo2": "v2.34.0", "ginkgo-cli": "v2.34.0"} {
		got, err := v.Get(name)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	_, err = v.Get("gingko")
	require.EqualError(t, err, `no version of "gingko"`)
	assert.Equal(t, "there are calico, ginkgo, ginkgo-cli, ginkgo2, go, kubernetes, llvm, old", cli.Hint(err))
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	tests := []struct{ old, new, want string }{
		{"llvm:", "lvm:", "line 4: field lvm not found"},
		{"package: github.com/onsi/ginkgo/v2", "path: github.com/onsi/ginkgo/v2", "line 9: field path not found"},
		{"llvm: 22.1.8", "llvm: 22.1.8\nllvm: 22.1.9", "line 5: mapping key \"llvm\" already defined"},
		{"go: 1.26.8", "", `go: "" is not valid`},
		{"go: 1.26.8", "go: 1.26", `go: "1.26" is not valid`},
		{"go: 1.26.8", "go: go1.26.8", `go: "go1.26.8" is not valid`},
		{"llvm: 22.1.8", "llvm: 22", `llvm: "22" is not valid`},
		{"trixie-slim@", "trixie-slim:", `base: "debian:trixie-slim:sha256:`},
		{"debian:trixie-slim@sha256", "debian@sha256", `base: "debian@sha256:`},
		{"abcdef\n", "abcde\n", "is not valid"},
		{"kubernetes: 1.37.2", "kubernetes: v1.37.2", `kubernetes: "v1.37.2" is not valid`},
		{"v1.16.5", "latest", `tools: ginkgo: version: "latest" is not valid`},
		{"v1.16.5", "v1.16", `tools: ginkgo: version: "v1.16" is not valid`},
		{"github.com/onsi/ginkgo/ginkgo", "ginkgo", `tools: ginkgo: package: "ginkgo" is not valid`},
		{"name: ginkgo,", "name: ../ginkgo,", `tools: name: "../ginkgo" is not valid`},
		{"name: ginkgo2", "name: ginkgo", "tools: ginkgo is there twice"},
		{some[strings.Index(some, "tools:"):], "", "tools: the list is empty"},
		{"llvm: 22.1.8", "llvm: [22.1.8]", "line 4: cannot unmarshal"},
		{"calico: master", "calico: main", `calico: "main" is not valid`},
		{"kubernetes: 1.37.2", "kubernetes: 1.37.2-dev.1", `kubernetes: "1.37.2-dev.1" is not valid`},
		{"kubernetes: 1.37.2", "kubernetes: 1.37.2\nrebuild: -1", `rebuild: -1 is not valid`},
		{"[ginkgo-cli]", "[ginkgo]", "tools: ginkgo is there twice"},
		{"example.org/x@v0.1.0", "example.org/x@latest", `tools: old: with: "example.org/x@latest" is not valid`},
		{"patches/old.patch", "../old.patch", `tools: old: patch: "../old.patch" is not valid`},
		{", stamp: example.org/old/version.version", "", `tools: old: stamp: "" is not valid`},
	}
	for _, test := range tests {
		require.Contains(t, some, test.old)
		v, err := versions.Parse([]byte(strings.Replace(some, test.old, test.new, 1)))
		assert.ErrorContains(t, err, test.want, "%v", v)
	}
	_, err := versions.Parse([]byte(some + "---\nmore: 1\n"))
	assert.Error(t, err)
	_, err = versions.Parse(nil)
	assert.ErrorContains(t, err, `go: "" is not valid`)
}

func TestErrorsNameTheFile(t *testing.T) {
	_, err := versions.Load("nowhere.yaml")
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.NotEmpty(t, cli.Hint(err))
	file := t.TempDir() + "/versions.yaml"
	require.NoError(t, os.WriteFile(file, []byte("go: 1\n"), 0o644))
	_, err = versions.Load(file)
	assert.ErrorContains(t, err, file+`: go: "1" is not valid`)
}

// The generators know the APIs of one release of Kubernetes.
func TestGeneratorsAreOfTheSameKubernetes(t *testing.T) {
	v, err := versions.Load("../versions.yaml")
	require.NoError(t, err)
	_, release, _ := strings.Cut(v.Kubernetes, ".")
	count := 0
	for _, tool := range v.Tools {
		if strings.HasPrefix(tool.Package, "k8s.io/code-generator/") {
			assert.Equal(t, "v0."+release, tool.Version, tool.Name)
			count++
		}
	}
	assert.NotZero(t, count)
}

package versions_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/semver"

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
		{"kubernetes: 1.37.2", "kubernetes: 1.37.2\nrebuild: 1.5", `"1.5" is not a whole number`},
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

// The generators are of one release of Kubernetes, and of none newer than the image's: the
// client-go that Calico pins may lack what newer ones write calls of.
func TestGeneratorsAreOfOneKubernetes(t *testing.T) {
	v, err := versions.Load("../versions.yaml")
	require.NoError(t, err)
	_, release, _ := strings.Cut(v.Kubernetes, ".")
	first, err := v.Get("client-gen")
	require.NoError(t, err)
	assert.LessOrEqual(t, semver.Compare(first, "v0."+release), 0)
	if v.Differs["client-gen"] == "" { // where it is not said why, they are the image's
		assert.Equal(t, "v0."+release, first)
	}
	for _, tool := range v.Tools {
		if strings.HasPrefix(tool.Package, "k8s.io/code-generator/") {
			assert.Equal(t, first, tool.Version, tool.Name)
		}
	}
}

// A file for another branch of Calico's says what differs, and is for images of other names.
func TestAFileMayDifferFromAnother(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		require.NoError(t, os.WriteFile(dir+"/"+name, []byte(text), 0o644))
		return dir + "/" + name
	}
	write("versions.yaml", some+"differs: {go: newer}\n")
	const other = "from: versions.yaml\ncalico: release-v3.32\nllvm: 18.1.8\ntools:\n  - {name: ginkgo2, package: example.org/ginkgo, version: v2.1.0}\n  - {name: more, package: example.org/more, version: v0.1.0}\n"
	v, err := versions.Load(write("other.yaml", other))
	require.NoError(t, err)
	master, err := versions.Load(dir + "/versions.yaml")
	require.NoError(t, err)
	assert.Equal(t, &versions.Versions{
		From: "versions.yaml", Calico: "release-v3.32", Go: master.Go, LLVM: "18.1.8", Kubernetes: master.Kubernetes, Base: master.Base,
		Tools: []versions.Tool{
			master.Tools[0],
			master.Tools[2],
			{Name: "ginkgo2", Package: "example.org/ginkgo", Version: "v2.1.0"},
			{Name: "more", Package: "example.org/more", Version: "v0.1.0"},
		},
	}, v)
	assert.Equal(t, map[string]string{"go": "newer"}, master.Differs)
	arm64 := versions.Architectures()[1]
	assert.Equal(t, "1.26.8-llvm18.1.8-k8s1.37.2-release-v3.32-arm64", v.Tag(arm64))
	assert.Equal(t, "release-v3.32-arm64", v.NewestFor(arm64))
	assert.Equal(t, "latest-arm64", master.NewestFor(arm64))

	for text, want := range map[string]string{
		strings.Replace(other, "release-v3.32", "master", 1):       "calico: versions.yaml is for master, too",
		strings.Replace(other, "versions.yaml", "../x.yaml", 1):    `from: "../x.yaml" is not the name of a file beside it`,
		strings.Replace(other, "versions.yaml", "nowhere.yaml", 1): "no such file",
		strings.Replace(other, "versions.yaml", "other.yaml", 1):   "from: other.yaml differs from versions.yaml itself",
		strings.Replace(other, "versions.yaml", "third.yaml", 1):   "from: third.yaml differs from third.yaml itself",
		strings.Replace(other, "llvm: 18.1.8", "go: 1.25.0", 1):    "go, kubernetes: those of versions.yaml are taken",
		strings.Replace(other, "v2.1.0", "latest", 1):              `tools: ginkgo2: version: "latest" is not valid`,
		strings.Replace(other, "name: more", "name: ginkgo2", 1):   "tools: ginkgo2 is there twice",
	} {
		_, err := versions.Load(write("third.yaml", text))
		assert.ErrorContains(t, err, want)
	}
	_, err = versions.Parse([]byte(other))
	assert.Error(t, err, "it is not whole")
}

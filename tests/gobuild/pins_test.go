package gobuild

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/versions"
)

// A pin is where a branch of Calico's says a version of what its image has: a file, or
// a pattern of files, and a line of it.
type pin struct {
	name, file string
	line       *regexp.Regexp
}

var pins = []pin{
	{"go", "metadata.mk", regexp.MustCompile(`(?m)^GO_VERSION=(\S+)$`)},
	{"llvm", "metadata.mk", regexp.MustCompile(`(?m)^LLVM_VERSION=(\S+)$`)},
	{"kubernetes", "metadata.mk", regexp.MustCompile(`(?m)^K8S_VERSION=v(\S+)$`)},
	{"client-gen", "go.mod", regexp.MustCompile(`(?m)^\tk8s\.io/code-generator => \S+ (v\S+)$`)},
	{"openapi-gen", "api/go.mod", regexp.MustCompile(`(?m)^\tk8s\.io/kube-openapi (v\S+)$`)},
	{"ginkgo", "go.mod", regexp.MustCompile(`(?m)^\tgithub\.com/onsi/ginkgo(?:/v2)? (v\S+)$`)},
	{"controller-gen", "libcalico-go/config/crd/*.yaml", regexp.MustCompile(`controller-gen\.kubebuilder\.io/version: (v\S+)`)},
	{"mockery", "guardian/pkg/tunnel/mocks/Session.go", regexp.MustCompile(`by mockery (v\S+)\. `)},
	{"protoc", "felix/proto/felixbackend.pb.go", regexp.MustCompile(`(?m)^// \tprotoc +(v\S+)$`)},
	{"protoc-gen-go", "felix/proto/felixbackend.pb.go", regexp.MustCompile(`(?m)^// \tprotoc-gen-go (v\S+)$`)},
	{"protoc-gen-go-grpc", "felix/proto/felixbackend_grpc.pb.go", regexp.MustCompile(`(?m)^// - protoc-gen-go-grpc (v\S+)$`)},
}

// versions adds the versions that a branch pins.
func (f facts) versions(names []string, read func(name string) string) {
	for _, p := range pins {
		for _, name := range names {
			if is, _ := filepath.Match(p.file, name); !is {
				continue
			}
			for _, m := range p.line.FindAllStringSubmatch(read(name), -1) {
				f.add("version", p.name+" "+m[1])
			}
		}
	}
}

// versionsFile is that of an image for a branch of Calico's.
func versionsFile(branch string) string {
	if branch == branches[0] {
		return "../../" + versions.File
	}
	return strings.TrimSuffix("../../"+versions.File, ".yaml") + "-" + branch + ".yaml"
}

// Each branch has a versions file, which says of all that the branch pins either the same
// or what differs, and of nothing else.
func TestVersionsFilesSayWhatDiffersFromWhatCalicoPins(t *testing.T) {
	files, err := filepath.Glob(filepath.Dir(versionsFile("master")) + "/versions*.yaml")
	require.NoError(t, err)
	var want []string
	for _, branch := range branches {
		want = append(want, versionsFile(branch))
		t.Run(branch, func(t *testing.T) {
			v, err := versions.Load(versionsFile(branch))
			require.NoError(t, err)
			assert.Equal(t, branch, v.Calico)
			pinned := make(map[string][]string)
			for key := range known(t, branch) {
				if name, version, ok := strings.Cut(key.name, " "); ok && key.kind == "version" {
					pinned[name] = append(pinned[name], version)
				}
			}
			require.Subset(t, slices.Collect(maps.Keys(pinned)), []string{"go", "llvm", "kubernetes", "client-gen", "ginkgo", "protoc"})
			for name, theirs := range pinned {
				ours, _ := v.Get(name) // Debian's have no version there
				_, said := v.Differs[name]
				assert.Equal(t, !slices.Contains(theirs, ours), said, "%s: %v is pinned, and %q is in the image", name, theirs, ours)
			}
			for name, why := range v.Differs {
				assert.Contains(t, pinned, name, "the branch does not pin it")
				assert.NotEmpty(t, why, name)
			}
			for _, tool := range v.Tools {
				if generators, _ := v.Get("client-gen"); strings.HasPrefix(tool.Package, "k8s.io/code-generator/") {
					assert.Equal(t, generators, tool.Version, "%s: generators are of one version", tool.Name)
				}
			}
		})
	}
	assert.ElementsMatch(t, want, files)
}

// What an image says that its protoc is, its versions file does: no other does.
func TestProtocIsAsSaid(t *testing.T) {
	whole(t)
	version := strings.TrimPrefix(prints(t, nil, "protoc", "--version"), "libprotoc ")
	assert.Contains(t, pinned(t).Differs["protoc"], version)
}

func TestPinsAreFound(t *testing.T) {
	f := make(facts)
	files := map[string]string{
		"metadata.mk":                        "# GO\nGO_VERSION=1.2.3\nK8S_VERSION=v1.9.0\nXGO_VERSION=2\n",
		"go.mod":                             "require (\n\tgithub.com/onsi/ginkgo v1.1.0\n\tgithub.com/onsi/ginkgo/v2 v2.1.0\n\tk8s.io/code-generator => k8s.io/code-generator v0.9.0\n)\n",
		"libcalico-go/config/crd/a.yaml":     "    controller-gen.kubebuilder.io/version: v0.1.0\n",
		"libcalico-go/config/crd/old/b.yaml": "    controller-gen.kubebuilder.io/version: v0.0.9\n",
		"felix/proto/felixbackend.pb.go":     "// versions:\n// \tprotoc-gen-go v1.2.0\n// \tprotoc        v6.1.0\n",
	}
	f.versions(slices.Collect(maps.Keys(files)), func(name string) string { return files[name] })
	var found []string
	for key := range f {
		require.Equal(t, "version", key.kind)
		found = append(found, key.name)
	}
	assert.ElementsMatch(t, []string{"go 1.2.3", "kubernetes 1.9.0", "ginkgo v1.1.0", "ginkgo v2.1.0", "client-gen v0.9.0", "controller-gen v0.1.0",
		"protoc-gen-go v1.2.0", "protoc v6.1.0"}, found)
}

// branchesOf returns those that a tested image is for: all, if it is that of the first.
func branchesOf(t *testing.T) []string {
	t.Helper()
	if v := pinned(t); v.From != "" {
		return []string{v.Calico}
	}
	return branches
}

// pinnedFile returns the versions file of the tested image, if one is tested.
func pinnedFile() string {
	for _, branch := range branches[1:] {
		if strings.Contains(os.Getenv("TEST_IMAGE"), branch) {
			return versionsFile(branch)
		}
	}
	return versionsFile(branches[0])
}

func pinned(t *testing.T) *versions.Versions {
	t.Helper()
	v, err := versions.Load(pinnedFile())
	require.NoError(t, err)
	return v
}

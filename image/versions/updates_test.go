package versions_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/internal/cli"
)

func registries(modules, packages map[string]string) versions.Registries {
	from := func(all map[string]string) func(context.Context, string) ([]string, error) {
		return func(_ context.Context, name string) ([]string, error) {
			list, ok := all[name]
			if !ok {
				return nil, errors.New("no " + name)
			}
			return strings.Fields(list), nil
		}
	}
	return versions.Registries{Module: from(modules), Debian: from(packages)}
}

func TestUpdatesAreNewerReleasesOfASeries(t *testing.T) {
	content := []byte(strings.Replace(some, "kubernetes: 1.37.2\n", "kubernetes: 1.37.2\nrebuild: 3\n", 1) +
		"  - {name: client-gen, package: k8s.io/code-generator/cmd/client-gen, version: v0.37.2}\n" +
		"  - {name: informer-gen, package: k8s.io/code-generator/cmd/informer-gen, version: v0.32.13}\n" + // an older branch's: it stays
		"  - name: merge\n    package: example.org/merge\n    version: v0.0.0-20160331181800-b5bfa59ec0ad\n")
	v, err := versions.Parse(content)
	require.NoError(t, err)
	modules := map[string]string{
		"go":                               "1.25.9 1.26.8 1.26.10 1.26.9 1.27.0 1.27rc1",
		"k8s.io/kubernetes":                "v1.36.9 v1.37.2 v1.37.3 v1.37.4-rc.0 v1.38.0",
		"github.com/onsi/ginkgo/ginkgo":    "v1.16.5 v1.16.4",
		"github.com/onsi/ginkgo/v2/ginkgo": "v2.34.0 v2.35.0-beta v2.34.1",
	}
	updates, err := v.Updates(t.Context(), registries(modules, map[string]string{"clang-22": "1:22.1.8-1~deb13u5 1:22.2.1-1"}))
	require.NoError(t, err)
	assert.Equal(t, []versions.Update{
		{"go", "1.26.8", "1.26.10", "image/toolchain/toolchain.sum: checksums of the new version"},
		{"kubernetes", "1.37.2", "1.37.3", "go run ./image pin"},
		{"llvm", "22.1.8", "22.2.1", ""},
		{"ginkgo2", "v2.34.0", "v2.34.1", ""},
		{"client-gen", "v0.37.2", "v0.37.3", ""},
	}, updates)
	written, err := versions.Write(content, updates)
	require.NoError(t, err)
	got, err := versions.Parse(written)
	require.NoError(t, err)
	assert.Equal(t, "1.26.10-llvm22.2.1-k8s1.37.3", got.String(), "a first image of them")
	assert.Equal(t, "v1.16.5", got.Tools[0].Version)
	assert.Equal(t, "v2.34.1", got.Tools[1].Version)
	assert.Equal(t, "v1.0.0", got.Tools[2].Version, "what is patched stays")
	again, err := got.Updates(t.Context(), registries(modules, map[string]string{"clang-22": "1:22.2.1-1"}))
	require.NoError(t, err)
	assert.Empty(t, again)

	text := versions.Text(updates)
	assert.Contains(t, text, "| go | 1.26.8 | 1.26.10 |\n")
	assert.Contains(t, text, "- [ ] kubernetes: go run ./image pin\n")
	assert.Empty(t, versions.Text(nil))

	_, err = v.Updates(t.Context(), registries(nil, nil))
	assert.ErrorContains(t, err, "go: no go")
	assert.ErrorContains(t, err, "llvm: no clang-22")
	_, err = v.Updates(t.Context(), registries(modules, map[string]string{"clang-22": ""}))
	assert.ErrorContains(t, err, "llvm: there is no clang-22 in Debian's release", "which is not: nothing is newer")
	assert.Contains(t, cli.Hint(err), "--suite")
}

// Every version of the real file is found in it.
func TestUpdatesAreWrittenWhereTheVersionsAre(t *testing.T) {
	content, err := os.ReadFile("../versions.yaml")
	require.NoError(t, err)
	v, err := versions.Parse(content)
	require.NoError(t, err)
	updates := []versions.Update{{Name: "go", Old: v.Go, New: "1.99.0"}, {Name: "llvm", Old: v.LLVM, New: "99.1.1"}, {Name: "kubernetes", Old: v.Kubernetes, New: "1.99.1"}}
	for _, tool := range v.Tools {
		updates = append(updates, versions.Update{Name: tool.Name, Old: tool.Version, New: "v99.0.0"})
	}
	written, err := versions.Write(content, updates)
	require.NoError(t, err)
	got, err := versions.Parse(written)
	require.NoError(t, err)
	assert.Equal(t, "1.99.0-llvm99.1.1-k8s1.99.1", got.String())
	for _, tool := range got.Tools {
		assert.Equal(t, "v99.0.0", tool.Version, tool.Name)
	}
	_, err = versions.Write(content, []versions.Update{{Name: "go", Old: "1.2.3", New: "1.2.4"}})
	assert.ErrorContains(t, err, "go 1.2.3 is not found")
}

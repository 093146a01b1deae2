package versions_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"

	"github.com/projectcalico/go-build/image/versions"
)

const analysis = "golang.org/x/tools"

// compiles reports whether Go 1.25 and newer compile a version of golang.org/x/tools. Its
// internal/tokeninternal had an array of a negative length for sizes that changed then:
// "invalid array length -delta * delta". 0.24.1, 0.25.1 and 0.26.0 were the first without; those
// before 0.1 did not have it yet.
func compiles(version string) bool {
	return semver.Compare(version, "v0.1.0") < 0 || semver.Compare(version, "v0.24.1") >= 0 && version != "v0.25.0"
}

// goMod returns the go.mod of a package's module: of this machine's cache, or the proxy's.
func goMod(t *testing.T, path, version string) *modfile.File {
	t.Helper()
	said := ""
	for _, environment := range [][]string{{"GOPROXY=off"}, nil} {
		for module := path; module != "."; module = filepath.Dir(module) {
			cmd := exec.Command("go", "mod", "download", "-json", module+"@"+version)
			cmd.Dir, cmd.Env = t.TempDir(), append(os.Environ(), environment...)
			out, _ := cmd.Output()
			var downloaded struct{ GoMod, Error string }
			require.NoError(t, json.Unmarshal(out, &downloaded), "%s", out)
			if downloaded.Error != "" {
				said = downloaded.Error
				continue
			}
			data, err := os.ReadFile(downloaded.GoMod)
			require.NoError(t, err)
			file, err := modfile.ParseLax(downloaded.GoMod, data, nil)
			require.NoError(t, err)
			return file
		}
	}
	t.Skipf("no module proxy? %s", said)
	return nil
}

// Old tools, which images for older branches of Calico's have, are built with the Go of
// today.
func TestGoCompilesWhatToolsAreBuiltOf(t *testing.T) {
	files, err := filepath.Glob("../versions*.yaml")
	require.NoError(t, err)
	require.Greater(t, len(files), 3)
	seen := make(map[string]bool)
	for _, file := range files {
		v, err := versions.Load(file)
		require.NoError(t, err)
		for _, tool := range v.Tools {
			key := tool.Package + "@" + tool.Version
			if seen[key] {
				continue
			}
			seen[key] = true
			t.Run(filepath.Base(file)+" "+tool.Name, func(t *testing.T) {
				has := ""
				for _, required := range goMod(t, tool.Package, tool.Version).Require {
					if required.Mod.Path == analysis {
						has = required.Mod.Version
					}
				}
				for _, with := range tool.With {
					if path, version, _ := strings.Cut(with, "@"); path == analysis {
						has = version
					}
				}
				assert.True(t, has == "" || compiles(has), "%s requires %s %s: with: [%s@…]", key, analysis, has, analysis)
			})
		}
	}
}

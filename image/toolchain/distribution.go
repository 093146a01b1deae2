package toolchain

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

// Tools are the commands of a Go distribution: in 1.26 cmd/distpack/pack.go has
// these, and cmd/go builds others on demand.
var Tools = []string{"go", "gofmt", "asm", "cgo", "compile", "cover", "fix", "link", "preprofile", "vet"}

// ToolPath returns where a distribution for an architecture has a command.
func ToolPath(tool string, arch *elfmagic.Arch) string {
	if tool == "go" || tool == "gofmt" {
		return path.Join("bin", tool)
	}
	return path.Join("pkg/tool", "linux_"+arch.GOARCH, tool)
}

// Source returns the names of the files in GOROOT besides commands, as far as the
// go command's own downloads of toolchains have them: the result is the same
// wherever GOROOT comes from.
func (t *Toolchain) Source() ([]string, error) {
	var files []string
	err := fs.WalkDir(os.DirFS(t.Root), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil || name == ".":
			return err
		case entry.IsDir() && !inDistribution(name+"/"):
			return fs.SkipDir
		case entry.IsDir() || !inDistribution(name):
			return nil
		case !entry.Type().IsRegular():
			return cli.WithHint(fmt.Errorf("%s: not a regular file", filepath.Join(t.Root, name)), fromGo)
		}
		files = append(files, name)
		return nil
	})
	return files, err
}

// inDistribution reports whether a file or directory ("src/") of GOROOT is in
// the distribution as it is, going by cmd/distpack/pack.go.
func inDistribution(name string) bool {
	first, rest, nested := strings.Cut(name, "/")
	switch first {
	case "api", "bin", "doc", "misc", "test", "VERSION.cache", ".git", ".github", ".gitattributes", ".gitignore":
		return false
	case "pkg":
		return nested && (rest == "" || strings.HasPrefix(rest, "include/"))
	}
	return name != "src/cmd/dist/dist"
}

//go:embed toolchain.sum
var sums string

// goEnv is the SHA-256 of go.env in Go 1.26. Distributions and machines name their
// own proxies there, which a build does not depend on: harmless looks at it instead.
const goEnv = "98fcab78e155e9fa0c36b18874add30724d04c2452078117c78618107ebfbc9e"

// verify reports in what GOROOT is not what go.dev distributes.
func (t *Toolchain) verify(hostOS string) error {
	if err := harmless(filepath.Join(t.Root, "go.env")); err != nil {
		return err
	}
	version := "v0.0.1-go" + t.Version + "." + hostOS + "-" + t.Host.GOARCH
	module := "golang.org/toolchain@" + version
	_, want, found := strings.Cut(sums, "golang.org/toolchain "+version+" ")
	if !found {
		return cli.WithHint(fmt.Errorf("image/toolchain/toolchain.sum has no checksum of %s", module),
			"add what go mod download -json %s prints: the checksum database vouches for it", module)
	}
	want, _, _ = strings.Cut(want, "\n")
	digests, err := t.digests()
	if err != nil {
		return cli.WithHint(err, fromGo)
	}
	if have := sum(module, digests); have != want {
		return cli.WithHint(fmt.Errorf("%s is not the go%s that go.dev distributes: its checksum is %s, not %s", t.Root, t.Version, have, want), fromGo)
	}
	return nil
}

// harmless returns an error if go.env, which applies where the environment has no
// value, has settings that other programs would be built with.
func harmless(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return cli.WithHint(err, fromGo)
	}
	for line := range strings.Lines(string(data)) {
		name, _, set := strings.Cut(strings.TrimSpace(line), "=")
		if set && !strings.HasPrefix(name, "#") && !slices.Contains([]string{"GOPROXY", "GOSUMDB", "GOTOOLCHAIN", "GOAUTH"}, name) {
			return cli.WithHint(fmt.Errorf("%s sets %s", file, name), "remove the line: it applies to what is shipped")
		}
	}
	return nil
}

// digests returns the SHA-256 of each file in the distribution, by its name in the
// module of it: that has no other modules in it, and go.mod files are called _go.mod.
func (t *Toolchain) digests() (map[string]string, error) {
	names, err := t.Source()
	if err != nil {
		return nil, err
	}
	for _, tool := range Tools {
		names = append(names, ToolPath(tool, t.Host))
	}
	all := make(map[string]string)
	for _, name := range names {
		dir, base := path.Split(name)
		if base == "go.mod" {
			base = "_go.mod"
		}
		if all[dir+base], err = file.SHA256(filepath.Join(t.Root, name)); err != nil {
			return nil, err
		}
	}
	all["go.env"] = goEnv
	return all, nil
}

// sum returns a module's checksum, as in go.sum (golang.org/x/mod/sumdb/dirhash).
func sum(module string, digests map[string]string) string {
	hash := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(digests)) {
		fmt.Fprintf(hash, "%s  %s/%s\n", digests[name], module, name)
	}
	return "h1:" + base64.StdEncoding.EncodeToString(hash.Sum(nil))
}

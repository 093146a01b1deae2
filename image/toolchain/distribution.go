package toolchain

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
)

// A Tool is a command of a Go distribution.
type Tool struct{ dir, Name string }

// Tools are the commands of a Go distribution: in 1.26 cmd/distpack/pack.go has
// these, and cmd/go builds others on demand.
var Tools = []Tool{
	{"bin", "go"}, {"bin", "gofmt"},
	{"pkg/tool", "asm"}, {"pkg/tool", "cgo"}, {"pkg/tool", "compile"}, {"pkg/tool", "cover"},
	{"pkg/tool", "fix"}, {"pkg/tool", "link"}, {"pkg/tool", "preprofile"}, {"pkg/tool", "vet"},
}

// Path returns where a distribution for an architecture has the command.
func (t Tool) Path(arch *elfmagic.Arch) string {
	if t.dir == "pkg/tool" {
		return path.Join(t.dir, "linux_"+arch.GOARCH, t.Name)
	}
	return path.Join(t.dir, t.Name)
}

// Source returns the names of the files in GOROOT besides commands, as far as the
// go command's own downloads of toolchains have them: the result is the same
// wherever GOROOT comes from.
func (t *Toolchain) Source() ([]string, error) {
	var files []string
	err := filepath.WalkDir(t.Root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(t.Root, file)
		if err != nil || name == "." {
			return err
		}
		name = filepath.ToSlash(name)
		switch {
		case entry.IsDir() && !inDistribution(name+"/"):
			return fs.SkipDir
		case entry.IsDir() || !inDistribution(name):
			return nil
		case !entry.Type().IsRegular():
			return cli.WithHint(fmt.Errorf("%s: not a regular file", file), fromGo)
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
// own proxies there, which a build does not depend on.
const goEnv = "98fcab78e155e9fa0c36b18874add30724d04c2452078117c78618107ebfbc9e"

// verify reports in what GOROOT is not what go.dev distributes.
func (t *Toolchain) verify(hostOS string) error {
	if err := harmless(filepath.Join(t.Root, "go.env")); err != nil {
		return err
	}
	module := "golang.org/toolchain@v0.0.1-go" + t.Version + "." + hostOS + "-" + t.Host.GOARCH
	want := ""
	for line := range strings.Lines(sums) {
		if f := strings.Fields(line); len(f) == 3 && f[0]+"@"+f[1] == module {
			want = f[2]
		}
	}
	if want == "" {
		return cli.WithHint(fmt.Errorf("image/toolchain/toolchain.sum has no checksum of %s", module),
			"add what go mod download -json %s prints: the checksum database vouches for it", module)
	}
	digests, err := t.digests()
	if err != nil {
		return cli.WithHint(err, fromGo)
	}
	if sum(module, digests) == want {
		return nil
	}
	digests["go.env"] = goEnv
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

// digests returns the SHA-256 of each file in the distribution.
func (t *Toolchain) digests() (map[string]string, error) {
	names, err := t.Source()
	if err != nil {
		return nil, err
	}
	for _, tool := range Tools {
		names = append(names, tool.Path(t.Host))
	}
	all := make(map[string]string)
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(t.Root, name))
		if err != nil {
			return nil, err
		}
		all[name] = fmt.Sprintf("%x", sha256.Sum256(data))
	}
	return all, nil
}

// sum returns a module's checksum, as in go.sum (golang.org/x/mod/sumdb/dirhash).
// A module has no other modules in it: go.mod files are called _go.mod there.
func sum(module string, digests map[string]string) string {
	var lines []string
	for name, digest := range digests {
		dir, file := path.Split(name)
		if file == "go.mod" {
			name = dir + "_go.mod"
		}
		lines = append(lines, module+"/"+name+"\n"+digest)
	}
	slices.Sort(lines)
	hash := sha256.New()
	for _, line := range lines {
		name, digest, _ := strings.Cut(line, "\n")
		fmt.Fprintf(hash, "%s  %s\n", digest, name)
	}
	return "h1:" + base64.StdEncoding.EncodeToString(hash.Sum(nil))
}

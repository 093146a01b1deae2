// Package toolchain builds what is shipped: with the Go of one version, whose
// bytes are checked, in an environment that has nothing of the caller's but where
// modules come from and where they are kept. The same source gives the same bytes
// on every machine.
package toolchain

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	pathpkg "path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/module"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/program"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/entry"
)

// A Toolchain is the go command of an exact version.
type Toolchain struct {
	Version  string         // 1.26.8
	Root     string         // its GOROOT
	Host     *elfmagic.Arch // which it runs on
	Released time.Time      // of its version
	Env      []string       // of its commands
}

// Find finds the Go of a version: the one in PATH if it has it, else the one that
// this downloads (see go.dev/doc/toolchain). Either must be what go.dev
// distributes, byte for byte, as toolchain.sum says.
func Find(ctx context.Context, version string) (*Toolchain, error) {
	t, err := Open(ctx, version)
	if err != nil {
		return nil, err
	}
	return t, t.verify(runtime.GOOS)
}

// Open is Find for what is not shipped: of a version that toolchain.sum does not name
// yet, too.
func Open(ctx context.Context, version string) (*Toolchain, error) {
	cmd := exec.CommandContext(ctx, "go", "env", "-json")
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN=go"+version)
	cmd.Dir = os.TempDir() // outside of any module
	out, err := program.Output(cmd)
	if err != nil {
		return nil, cli.WithHint(fmt.Errorf("go %s is unavailable: %w", version, err),
			"install it, or name the one that go version prints in the versions file")
	}
	settings := make(map[string]string)
	if err := json.Unmarshal([]byte(out), &settings); err != nil {
		return nil, fmt.Errorf("go env -json: %w", err)
	}
	if have, _, _ := strings.Cut(settings["GOVERSION"], " "); have != "go"+version { // "go1.26.8 X:experiments"
		return nil, cli.WithHint(fmt.Errorf("this is %s, not go%s", have, version), "install it, or name the one that go version prints in the versions file")
	}
	if settings["GOSUMDB"] == "off" {
		return nil, cli.WithHint(errors.New("the checksum database is turned off"), "go env -u GOSUMDB, or unset it in the environment: what is shipped is checked")
	}
	t := &Toolchain{Version: version, Root: settings["GOROOT"], Env: environ(os.Getenv, settings)}
	if t.Host, err = elfmagic.Lookup(settings["GOHOSTARCH"]); err != nil {
		return nil, err
	}
	if t.Released, err = released(t.Root); err != nil {
		return nil, cli.WithHint(err, fromGo)
	}
	return t, nil
}

const fromGo = "put Go as go.dev distributes it first in PATH"

// passed are the variables of the caller's that a go command gets: where to find
// programs, files and the network, and how much of the machine to use.
var passed = []string{
	"PATH", "HOME", "TMPDIR", "GOTMPDIR", "GOMAXPROCS", "GOMEMLIMIT", "GOGC",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC", "SSH_AUTH_SOCK",
}

// environ returns the environment for a go command. A variable that is not in it
// has its default: GOAMD64, GOEXPERIMENT, GODEBUG, … GOROOT/go.env is read even so
// (verify looks at it), and GOENV=off does not turn it off.
func environ(getenv func(string) string, settings map[string]string) []string {
	var env []string
	for _, name := range passed {
		if value := getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	for _, name := range []string{"GOPROXY", "GOSUMDB", "GOAUTH", "GOMODCACHE"} {
		env = append(env, name+"="+settings[name])
	}
	// The go command tells compilers apart by their version (toolID in
	// cmd/go/internal/work/buildid.go): what another go1.26.8 compiled, a
	// distribution's with patches, would be linked. The cache is for this one alone.
	return append(env, "GOCACHE="+filepath.Join(settings["GOCACHE"], "calico-go-build"),
		"GOENV=off", "GOFLAGS="+strings.Join(reproducible, " "), "GOTOOLCHAIN=local", "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux")
}

// reproducible are the flags without which a program has the names of
// directories, or of what git sees, in it.
var reproducible = []string{"-trimpath", "-buildvcs=false"}

// released returns when a Go version was released.
//
// VERSION in GOROOT: "go1.26.8", and on the next line "time 2026-08-28T16:20:06Z".
func released(root string) (time.Time, error) {
	data, err := os.ReadFile(filepath.Join(root, "VERSION"))
	if err != nil {
		return time.Time{}, err
	}
	_, text, found := strings.Cut(string(data), "\ntime ")
	if !found {
		return time.Time{}, fmt.Errorf("%s does not say when it was released", filepath.Join(root, "VERSION"))
	}
	text, _, _ = strings.Cut(text, "\n")
	return time.Parse(time.RFC3339, text)
}

// Run runs a go command in a directory, for the architecture, and returns what it
// printed.
func (t *Toolchain) Run(ctx context.Context, arch *elfmagic.Arch, dir string, args ...string) (string, error) {
	cmd := program.Command(ctx, filepath.Join(t.Root, "bin", "go"), args...)
	cmd.Dir = dir
	cmd.Env = append(slices.Clip(t.Env), "GOARCH="+arch.GOARCH)
	out, err := program.Output(cmd)
	if err != nil {
		return "", cli.WithHint(err, "%s", hint(err.Error()))
	}
	return out, nil
}

// ModuleDir returns the directory that a module's source is in. The standard library
// is called stdlib.
func (t *Toolchain) ModuleDir(ctx context.Context, name, version string) (string, error) {
	if name == "stdlib" {
		return t.Root, nil
	}
	path, err := module.EscapePath(name)
	if err != nil {
		return "", err
	}
	escaped, err := module.EscapeVersion(version)
	if err != nil {
		return "", err
	}
	var cache string
	for _, variable := range t.Env {
		if dir, ok := strings.CutPrefix(variable, "GOMODCACHE="); ok {
			cache = dir // the last one counts
		}
	}
	dir := filepath.Join(cache, path+"@"+escaped)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	_, err = t.Run(ctx, t.Host, os.TempDir(), "mod", "download", name+"@"+version) // outside of any module
	return dir, err
}

// Versions returns the versions that there are of the module that a package is of, or of Go,
// which is called go.
func (t *Toolchain) Versions(ctx context.Context, name string) ([]string, error) {
	for path := name; ; path = pathpkg.Dir(path) {
		out, err := t.Run(ctx, t.Host, os.TempDir(), "list", "-m", "-versions", "-f", "{{range .Versions}}{{.}} {{end}}", path) // outside of any module
		if list := strings.Fields(out); err == nil && len(list) > 0 {
			return list, nil
		}
		// A package's module is one of the directories that it is in.
		if !strings.Contains(path, "/") {
			return nil, cmp.Or(err, fmt.Errorf("%s: no versions", name))
		}
	}
}

// hint says what to do about a go command that failed.
func hint(said string) string {
	switch {
	case strings.Contains(said, "requires go >="):
		return "pin an older version of it, or a newer Go"
	case strings.Contains(said, "no space left"):
		return "make room: go clean -cache, or another TMPDIR, GOCACHE or -dir"
	case strings.Contains(said, "dial tcp"), strings.Contains(said, "lookup "), strings.Contains(said, "timeout"), strings.Contains(said, "TLS"):
		return "see that go env GOPROXY can be reached, and run this again: what was built is kept"
	case strings.Contains(said, "SECURITY ERROR"), strings.Contains(said, "checksum mismatch"):
		return "the module is not what everybody else gets: find out why before you build it"
	case strings.Contains(said, "updates to go.mod needed"), strings.Contains(said, "missing go.sum entry"):
		return "go run ./image pin"
	}
	return "run this again when it is put right: what was built is kept"
}

// Linked are the linker's flags: no symbol table, no debugger's information.
const Linked = "-s -w"

// Build builds one of this repository's commands, of a version, into a file. More
// flags are go build's.
func (t *Toolchain) Build(ctx context.Context, root string, arch *elfmagic.Arch, name, version, file string, flags ...string) error {
	file, err := filepath.Abs(file)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o755)
	}
	if err != nil {
		return err
	}
	linked := "-ldflags=" + Linked + " -X github.com/projectcalico/go-build/internal/cli.linked=" + version
	if name == "crossrun" {
		linked += " " + entry.Flags
	}
	args := append([]string{"build", "-o", file, linked}, flags...)
	_, err = t.Run(ctx, arch, root, append(args, "./cmd/"+name)...)
	return err
}

// Commands are this repository's commands.
var Commands = []string{"register", "crossrun"}

// BuildCommands builds this repository's commands for an architecture into a
// directory, and returns the files.
func (t *Toolchain) BuildCommands(ctx context.Context, root, dir string, arch *elfmagic.Arch) (files []string, err error) {
	version := ReadRevision(ctx, root).Version
	for _, name := range Commands {
		file := filepath.Join(dir, name)
		if err := t.Build(ctx, root, arch, name, version, file); err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// A Revision is the state of the repository that something is built from.
type Revision struct {
	Version string // git describe
	Commit  string
	Time    time.Time // of the commit, or what SOURCE_DATE_EPOCH says
	Unknown string    // why it is not known, as git says it; empty: it is
	Shallow bool      // the clone has no tag, as it has not all commits
}

// Epoch returns the time that SOURCE_DATE_EPOCH says, if it is set.
func Epoch() (when time.Time, set bool, err error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return when, false, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		err = cli.WithHint(fmt.Errorf("SOURCE_DATE_EPOCH: %q is no number of seconds", text), "unset it, or: export SOURCE_DATE_EPOCH=$(git log -1 --format=%%ct)")
	}
	return time.Unix(seconds, 0).UTC(), true, err
}

// ReadRevision asks git. What it does not know is "unknown". The version of a tree
// in which files that git knows were changed ends in -dirty.
func ReadRevision(ctx context.Context, root string) (r Revision) {
	git := func(args ...string) string {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir = root
		out, err := cmd.Output()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			said, _, _ := strings.Cut(string(exit.Stderr), "\n")
			err = errors.New(cmp.Or(said, err.Error()))
		}
		if err != nil {
			r.Unknown = cmp.Or(r.Unknown, err.Error())
		}
		return strings.TrimSpace(string(out))
	}
	shallow, within, _ := strings.Cut(git("rev-parse", "--is-shallow-repository", "--show-prefix"), "\n")
	if within != "" { // a source archive's, unpacked in somebody's clone
		r.Unknown = fmt.Sprintf("this is the directory %s of another repository", within)
	}
	if r.Unknown == "" {
		// As many digits in every clone: by default git goes by how many objects it has.
		r.Version = git("describe", "--tags", "--always", "--dirty", "--abbrev=12")
		r.Commit = git("rev-parse", "HEAD")
		r.Shallow = shallow == "true" && r.Commit != "" && strings.HasPrefix(r.Commit, strings.TrimSuffix(r.Version, "-dirty"))
	}
	r.Version, r.Commit = cmp.Or(r.Version, "unknown"), cmp.Or(r.Commit, "unknown")
	var set bool
	if r.Time, set, _ = Epoch(); set {
		return r
	}
	var seconds int64
	if r.Unknown == "" {
		seconds, _ = strconv.ParseInt(git("log", "-1", "--format=%ct"), 10, 64)
	}
	r.Time = time.Unix(seconds, 0).UTC()
	return r
}

// Dirty reports whether the tree has changes that are in no commit.
func (r Revision) Dirty() bool { return strings.HasSuffix(r.Version, "-dirty") }

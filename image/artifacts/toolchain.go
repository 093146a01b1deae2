package artifacts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
)

// A Toolchain is the go command of an exact version, with nothing of the
// caller's settings but where modules come from and where they are kept.
type Toolchain struct {
	Version  string         // 1.26.8
	Root     string         // its GOROOT
	Host     *elfmagic.Arch // which it runs on
	Released time.Time      // of its version

	env []string
}

// FindToolchain finds the go command of a version: the one in PATH, if it has
// it, else the one that this gets (see go.dev/doc/toolchain).
func FindToolchain(ctx context.Context, version string) (*Toolchain, error) {
	cmd := exec.CommandContext(ctx, "go", "env", "-json")
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN=go"+version)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, cli.WithHint(fmt.Errorf("go %s cannot be had: %w%s", version, err, cli.Quoted(said.String())),
			"install it, or name the one that go version prints in the versions file")
	}
	settings := make(map[string]string)
	if err := json.Unmarshal(out, &settings); err != nil {
		return nil, fmt.Errorf("go env -json: %w", err)
	}
	if settings["GOVERSION"] != "go"+version {
		return nil, cli.WithHint(fmt.Errorf("this is %s, not go%s", settings["GOVERSION"], version), "install it, or name the one that go version prints in the versions file")
	}
	if settings["GOSUMDB"] == "off" {
		return nil, cli.WithHint(errors.New("the checksum database is turned off"), "go env -u GOSUMDB, or unset it in the environment: what goes into the images is checked")
	}
	t := &Toolchain{Version: version, Root: settings["GOROOT"], env: environ(os.Environ(), settings)}
	if t.Host, err = elfmagic.Lookup(settings["GOHOSTARCH"]); err != nil {
		return nil, err
	}
	if t.Released, err = released(t.Root); err != nil {
		return nil, cli.WithHint(err, "it takes Go as go.dev distributes it")
	}
	return t, nil
}

// goVariable matches the go command's variables. Go env lists those that apply
// here: of GOAMD64, GOARM64, … one.
var goVariable = regexp.MustCompile(`^GO[A-Z0-9]+$`)

// harmless are those that the result does not depend on.
var harmless = []string{"GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTMPDIR"}

// environ returns the environment for a go command, without the settings that
// would make another program of the same source.
func environ(environment []string, settings map[string]string) []string {
	var env []string
	for _, e := range environment {
		name, _, _ := strings.Cut(e, "=")
		_, setting := settings[name] // CC, CGO_CFLAGS, …
		if slices.Contains(harmless, name) || !setting && !goVariable.MatchString(name) {
			env = append(env, e)
		}
	}
	for _, name := range []string{"GOPROXY", "GOSUMDB", "GOAUTH", "GOMODCACHE", "GOCACHE"} {
		env = append(env, name+"="+settings[name])
	}
	return append(env, "GOENV=off", "GOTOOLCHAIN=local", "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux")
}

// released returns when a Go version was released.
//
// VERSION in GOROOT: "go1.26.8", and on the next line "time 2026-08-28T16:20:06Z".
func released(root string) (time.Time, error) {
	data, err := os.ReadFile(filepath.Join(root, "VERSION"))
	if err != nil {
		return time.Time{}, err
	}
	for line := range strings.Lines(string(data)) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "time "); ok {
			return time.Parse(time.RFC3339, text)
		}
	}
	return time.Time{}, fmt.Errorf("%s does not say when it was released", filepath.Join(root, "VERSION"))
}

// command returns a go command that builds for the architecture.
func (t *Toolchain) command(ctx context.Context, arch *elfmagic.Arch, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(t.Root, "bin", "go"), args...)
	cmd.Env = append(t.env[:len(t.env):len(t.env)], "GOARCH="+arch.GOARCH)
	// Interrupted, it ends its compilers; they would outlive a killed one.
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// run runs a go command and returns what it printed.
func run(cmd *exec.Cmd) (string, error) {
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", cli.WithHint(fmt.Errorf("%s: %w%s", strings.Join(cmd.Args[1:], " "), err, cli.Quoted(said.String())), "%s", hint(said.String()))
	}
	return string(out), nil
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
		return pinCommand
	}
	return "run this again when it is put right: what was built is kept"
}

// Package commands is for tests of register and crossrun as they are built: it
// builds both and the programs that they run, finds emulators, and runs
// commands.
package commands

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/internal/entry"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// artifacts is the environment variable that names the directory of what the
// tests build. The first of several runs builds, the others find it there.
const artifacts = "TEST_ARTIFACTS"

// module is this module's path.
const module = "github.com/projectcalico/go-build"

// Main is what TestMain calls; its result is the exit status. It builds both
// commands, runs the tests as kerneltest.Main does, and compares the machine's
// own binfmt_misc before and after.
func Main(m *testing.M) int {
	private.Main() // before anything is built
	behindFilter()
	if os.Getenv(artifacts) != "" {
		return kerneltest.Main(m)
	}
	dir, err := Build()
	defer os.RemoveAll(dir)
	if err = errors.Join(err, copyJudged(dir), copyNewer(dir)); err != nil {
		fmt.Fprintln(os.Stderr, "cannot build what is tested:", err)
		return 1
	}
	before := machine()
	status := kerneltest.Main(m)
	if after := machine(); !reflect.DeepEqual(before, after) {
		fmt.Fprintf(os.Stderr, "the machine's own binfmt_misc was changed:\nbefore: %+v\nafter: %+v\n", before, after)
		return max(status, 1)
	}
	return status
}

// Build builds both commands as Main does, for tests that are not run in an instance of
// their own, and returns the directory, which is Dir then.
func Build() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "go-build-tests-"); err != nil {
		return dir, err
	}
	return dir, errors.Join(os.Chmod(dir, 0o755), os.Setenv(artifacts, dir), build(dir))
}

func build(dir string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags="+module+"/cmd/crossrun="+entry.Flags,
		"-o", dir+"/", module+"/cmd/register", module+"/cmd/crossrun")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

// machine is what the machine's own instance holds, if it is mounted.
func machine() any {
	fs := binfmt.New("")
	state, err := fs.State()
	if err != nil || state != binfmt.Mounted {
		return fmt.Sprint(state, err)
	}
	entries, err := fs.List()
	return fmt.Sprintf("%+v, %v", entries, err)
}

// List returns the entries of an instance.
func List(t testing.TB, fs binfmt.FS) []binfmt.Entry {
	t.Helper()
	entries, err := fs.List()
	require.NoError(t, err)
	return entries
}

// Names returns the sorted names of an instance's entries.
func Names(t testing.TB, fs binfmt.FS) []string {
	t.Helper()
	names := []string{}
	for _, e := range List(t, fs) {
		names = append(names, e.Name)
	}
	slices.Sort(names)
	return names
}

// A Result is what a command did.
type Result struct {
	Stdout, Stderr string
	Status         int
}

// Run runs a program, and fails the test only if it cannot be executed or is
// killed.
func Run(t testing.TB, cmd *exec.Cmd) Result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() < 0) {
		require.NoError(t, err, "%s\n%s", cmd, stderr.String())
	}
	return Result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// Dir returns the directory in which the commands are.
func Dir() string { return os.Getenv(artifacts) }

// Command returns register or crossrun, to be run.
func Command(name string, args ...string) *exec.Cmd {
	return exec.Command(filepath.Join(Dir(), name), args...)
}

// Register runs register.
func Register(t testing.TB, args ...string) Result {
	t.Helper()
	return Run(t, Command("register", args...))
}

// Crossrun runs crossrun.
func Crossrun(t testing.TB, args ...string) Result {
	t.Helper()
	return Run(t, Command("crossrun", args...))
}

// Unprivileged has the command run without any capability.
func Unprivileged(t testing.TB, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	if os.Getuid() != 0 || SingleUser(t) {
		t.Skip("this user namespace has one user only: the run as root shows it")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return cmd
}

// SingleUser reports whether the user namespace has one user only.
func SingleUser(t testing.TB) bool {
	t.Helper()
	return strings.HasSuffix(strings.TrimSpace(Read(t, "/proc/self/uid_map")), " 1")
}

// Read returns a file's text.
func Read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// CopyFile copies a file, with replacements of the same length in its content.
func CopyFile(t testing.TB, from, to string, replace ...string) {
	t.Helper()
	content := []byte(Read(t, from))
	for i := 0; i < len(replace); i += 2 {
		require.Len(t, replace[i+1], len(replace[i]))
		require.Contains(t, string(content), replace[i])
		content = bytes.ReplaceAll(content, []byte(replace[i]), []byte(replace[i+1]))
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
	require.NoError(t, os.WriteFile(to, content, 0o755))
}

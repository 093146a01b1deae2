package tests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// artifacts is the environment variable that names the directory of what the
// tests build. The first of several runs builds, the others find it there.
const artifacts = "GO_BUILD_ARTIFACTS"

// judged is the environment variable that names a directory of emulators which
// the tests use before those that are installed.
const judged = "GO_BUILD_EMULATORS"

func TestMain(m *testing.M) {
	private.Main()
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	if os.Getenv(artifacts) != "" {
		return kerneltest.Main(m)
	}
	dir, err := os.MkdirTemp("", "go-build-tests-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = errors.Join(os.Chmod(dir, 0o755), os.Setenv(artifacts, dir), buildCommands(dir))
	}
	if err != nil {
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

func buildCommands(dir string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", dir+"/", "../cmd/register", "../cmd/crossrun")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return errors.Join(cmd.Run(), linkJudged(dir))
}

// linkJudged puts the emulators that are to be used beside the commands, which
// look there first. A symbolic link would not do: the kernel names what it leads
// to.
func linkJudged(dir string) error {
	from := os.Getenv(judged)
	if from == "" {
		return nil
	}
	from, err := filepath.Abs(from)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(from, "qemu-*"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s=%s: no emulators there", judged, from)
	}
	for _, file := range files {
		to := filepath.Join(dir, filepath.Base(file))
		if os.Link(file, to) == nil {
			continue
		}
		content, readErr := os.ReadFile(file)
		err = errors.Join(err, readErr, os.WriteFile(to, content, 0o755))
	}
	return err
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

func list(t testing.TB, fs binfmt.FS) []binfmt.Entry {
	t.Helper()
	entries, err := fs.List()
	require.NoError(t, err)
	return entries
}

func names(t testing.TB, fs binfmt.FS) []string {
	t.Helper()
	list := list(t, fs)
	names := []string{}
	for _, e := range list {
		names = append(names, e.Name)
	}
	slices.Sort(names)
	return names
}

// result is what a command did.
type result struct {
	stdout, stderr string
	status         int
}

// run runs a program, and fails the test only if it cannot be executed or is
// killed.
func run(t testing.TB, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() < 0) {
		require.NoError(t, err, "%s\n%s", cmd, stderr.String())
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

func command(name string, args ...string) *exec.Cmd {
	return exec.Command(filepath.Join(os.Getenv(artifacts), name), args...)
}

func register(t testing.TB, args ...string) result {
	t.Helper()
	return run(t, command("register", args...))
}

func crossrun(t testing.TB, args ...string) result {
	t.Helper()
	return run(t, command("crossrun", args...))
}

// built returns the path of something that build makes, once for all runs.
func built(t testing.TB, name string, build func(path string) *exec.Cmd) string {
	t.Helper()
	path := filepath.Join(os.Getenv(artifacts), name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	partial := path + ".partial"
	out, err := build(partial).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, os.Rename(partial, path))
	return path
}

// goHello returns a Go program for a GOARCH.
func goHello(t testing.TB, goarch string) string {
	t.Helper()
	return built(t, "hello-"+goarch, func(path string) *exec.Cmd {
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", path, "./testdata/hello")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+goarch)
		return cmd
	})
}

// needInstalled skips a test of where emulators are found.
func needInstalled(t testing.TB) {
	t.Helper()
	if os.Getenv(judged) != "" {
		t.Skip("it is of emulators that are installed, and " + judged + " names others")
	}
}

// findEmulator returns the emulator of an architecture that the commands would
// use, or skips.
func findEmulator(t testing.TB, arch *elfmagic.Arch) *emulator.Emulator {
	t.Helper()
	dirs := append([]string{os.Getenv(artifacts)}, emulator.DefaultDirs()...)
	search := emulator.Search{Dirs: dirs, Static: true, Native: []*elfmagic.Arch{lookup(t, runtime.GOARCH)}}
	found, err := search.Find(arch)
	if errors.Is(err, emulator.ErrMissing) {
		t.Skip(err)
	}
	require.NoError(t, err)
	return found
}

func lookup(t testing.TB, name string) *elfmagic.Arch {
	t.Helper()
	arch, err := elfmagic.Lookup(name)
	require.NoError(t, err)
	return arch
}

// copyFile copies a file, with replacements of the same length in its content.
func copyFile(t testing.TB, from, to string, replace ...string) {
	t.Helper()
	content, err := os.ReadFile(from)
	require.NoError(t, err)
	for i := 0; i < len(replace); i += 2 {
		require.Len(t, replace[i+1], len(replace[i]))
		require.Contains(t, string(content), replace[i])
		content = bytes.ReplaceAll(content, []byte(replace[i]), []byte(replace[i+1]))
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
	require.NoError(t, os.WriteFile(to, content, 0o755))
}

// twoVersions returns two directories with an emulator of the same name, which
// are the same but for the version that they say they are.
func twoVersions(t testing.TB, arch *elfmagic.Arch) (dirs [2]string, versions [2]string) {
	t.Helper()
	found := findEmulator(t, arch)
	for i, digit := range []string{"7", "8"} {
		dirs[i] = t.TempDir()
		number, rest, _ := strings.Cut(found.Version, " ")
		changed := number[:len(number)-1] + digit
		versions[i] = strings.TrimSpace(changed + " " + rest)
		line := "qemu-" + arch.Name + " version "
		copyFile(t, found.Path, filepath.Join(dirs[i], "qemu-"+arch.Name+"-static"), line+number, line+changed)
	}
	return dirs, versions
}

// unprivileged runs the command without any capability.
func unprivileged(t testing.TB, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	if os.Getuid() != 0 || singleUser(t) {
		t.Skip("this user namespace has one user only: the run as root shows it")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return cmd
}

func singleUser(t testing.TB) bool {
	t.Helper()
	ids, err := os.ReadFile("/proc/self/uid_map")
	require.NoError(t, err)
	return strings.HasSuffix(strings.TrimSpace(string(ids)), " 1")
}

// drain reads until the other side is closed.
func drain(r io.Reader) string {
	b, _ := io.ReadAll(r)
	return string(b)
}

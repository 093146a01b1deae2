// Package images plays with the images from which emulators are registered, in
// containers, against the machine's own binfmt_misc, which is left as it was.
package images

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/commands"
)

// repository is what the names of the tests' own images begin with, and those of
// nobody else: not of another run's, either.
var repository = "go-build-test-" + strconv.Itoa(os.Getpid())

// least are the privileges without which nothing can be registered from a
// container, and forHost those that mount for the host.
var (
	least   = []string{"--cap-add", "SYS_ADMIN", "--security-opt", "systempaths=unconfined", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"}
	forHost = append([]string{"--pid=host", "--cap-add", "SYS_PTRACE", "--cap-add", "SYS_CHROOT"}, least...)
)

// Names of the images that are built.
var (
	multiarch  = repository + "/qemu-user-static:latest-amd64"
	noFiles    = repository + "/qemu-user-static:register-amd64"
	tonistiigi = repository + "/binfmt:latest-amd64"
	scratch    = repository + "/hello"
)

var built string // directory of the tests' programs, for all tests

func TestMain(m *testing.M) {
	private.Main()
	status, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

func testMain(m *testing.M) (status int, err error) {
	if os.Getenv("TEST_IMAGES") == "" {
		return m.Run(), nil // each test says why it is skipped
	}
	s, err := host.LookAround("/proc")
	if err != nil {
		return 1, err
	}
	if os.Geteuid() != 0 || !s.InitialUser || !s.InitialPID || !s.OfInit {
		return 1, errors.New("these tests take root of the host, in its own mount namespace")
	}
	before := machine()
	if built, err = os.MkdirTemp("", "go-build-images-"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(built)
	defer func() { err = errors.Join(err, removeImages(repository)) }()
	if err := build("amd64", built, repository); err != nil {
		return 1, err
	}
	if err := helloImage(); err != nil {
		return 1, err
	}
	status = m.Run()
	if after := machine(); after != before {
		return 1, fmt.Errorf("the machine's own binfmt_misc was changed:\nbefore: %s\nafter: %s", before, after)
	}
	return status, nil
}

// removeImages removes the images whose names begin with a repository. The same
// image can have a name that somebody else gave it, and keeps that.
func removeImages(repository string) error {
	names, err := exec.Command("docker", "images", "--format", "{{.Repository}}:{{.Tag}}",
		"--filter", "reference="+repository+"/*", "--filter", "reference="+repository+"/*/*").Output()
	if list := strings.Fields(string(names)); err == nil && len(list) > 0 {
		var out []byte
		if out, err = exec.Command("docker", append([]string{"rmi"}, list...)...).CombinedOutput(); err != nil {
			err = fmt.Errorf("docker rmi: %w: %s", err, out)
		}
	}
	return err
}

// build builds the images for an architecture.
func build(arch, dir, repository string, args ...string) error {
	cmd := exec.Command("go", append([]string{"run", "./image", "register-images", "--arch", arch, "--dir", dir, "--repository", repository, "--emulators", "debian"}, args...)...)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// helloImage makes an image with nothing in it but two foreign programs.
func helloImage() error {
	for _, goarch := range []string{"arm64", "s390x"} {
		cmd := exec.Command("go", "build", "-trimpath", "-o", hello(goarch), "../testdata/hello")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+goarch)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	tar := exec.Command("tar", "-C", built, "-c", "hello-arm64", "hello-s390x")
	archive, err := tar.Output()
	if err != nil {
		return err
	}
	load := exec.Command("docker", "import", "-", scratch)
	load.Stdin = bytes.NewReader(archive)
	out, err := load.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func hello(goarch string) string { return filepath.Join(built, "hello-"+goarch) }

func machine() string {
	fs := binfmt.New("")
	state, err := fs.State()
	if err != nil || state != binfmt.Mounted {
		return fmt.Sprint(state, err)
	}
	entries, err := fs.List()
	return fmt.Sprintf("%+v, %v", entries, err)
}

// need skips a test unless these tests were asked for.
func need(t *testing.T) {
	t.Helper()
	if os.Getenv("TEST_IMAGES") == "" {
		t.Skip("registers with this machine's kernel, from containers: make test-images")
	}
}

// mounted mounts the machine's binfmt_misc for a test, with entries as other
// programs make them, and checks afterwards that these are as they were.
func mounted(t *testing.T) binfmt.FS {
	t.Helper()
	need(t)
	fs := binfmt.New("")
	mine, err := fs.Mount()
	require.NoError(t, err)
	before, err := fs.List()
	require.NoError(t, err)
	t.Cleanup(func() {
		removeMade(t, fs, before)
		if mine {
			require.NoError(t, fs.Unmount())
		}
	})
	for _, e := range before {
		if madeHere(e.Name) {
			t.Skipf("entry %s is there: it would be changed", e.Name)
		}
	}
	theirs = nil
	for _, e := range others() {
		if i := slices.IndexFunc(before, func(b binfmt.Entry) bool { return b.Name == e.Name }); i >= 0 {
			theirs = append(theirs, before[i]) // the machine's own
			continue
		}
		require.NoError(t, fs.Register(e))
		theirs = append(theirs, e)
		t.Cleanup(func() { require.NoError(t, fs.Remove(e.Name)) })
	}
	t.Cleanup(func() { othersAreThere(t, fs) })
	return fs
}

// madeHere reports whether an entry has a name that the tests' commands give.
func madeHere(name string) bool {
	return strings.HasPrefix(name, "qemu-") || strings.HasPrefix(name, "mine-qemu-")
}

// removeMade removes the entries that the tests' commands have made, and no other
// that came in the meantime.
func removeMade(t *testing.T, fs binfmt.FS, before []binfmt.Entry) {
	t.Helper()
	now, err := fs.List()
	require.NoError(t, err)
	for _, e := range now {
		if madeHere(e.Name) && !slices.ContainsFunc(before, func(b binfmt.Entry) bool { return b.Name == e.Name }) {
			require.NoError(t, fs.Remove(e.Name))
		}
	}
}

func others() []binfmt.Entry {
	return []binfmt.Entry{
		{Name: "python3.11", Pattern: elfmagic.Pattern{Magic: []byte("\xa7\r\r\n")}, Interpreter: "/usr/bin/python3.11"},
		{Name: "jar", Extension: "jar", Interpreter: "/usr/bin/jexec"},
		{Name: "WSLInterop", Pattern: elfmagic.Pattern{Magic: []byte("MZ")}, Interpreter: "/init", Flags: binfmt.PreserveArgv0},
		{Name: "rosetta", Pattern: elfmagic.Pattern{Magic: []byte("\x7fELFrosetta")}, Interpreter: "/bin/true", Flags: binfmt.Credentials | binfmt.FixBinary},
	}
}

var theirs []binfmt.Entry // what others() are on this machine, during a test

func othersAreThere(t *testing.T, fs binfmt.FS) {
	t.Helper()
	for _, want := range theirs {
		e, err := fs.Get(want.Name)
		if assert.NoError(t, err) {
			assert.Equal(t, want.Status(), e.Status())
		}
	}
}

func run(t *testing.T, name string, args ...string) commands.Result {
	t.Helper()
	return commands.Run(t, exec.Command(name, args...))
}

// docker runs a container, and removes it.
func docker(t *testing.T, flags []string, image string, args ...string) commands.Result {
	t.Helper()
	return run(t, "docker", slices.Concat([]string{"run", "--rm", "--network", "none"}, flags, []string{image}, args)...)
}

// register registers from a container, and must succeed.
func register(t *testing.T, image string, args ...string) commands.Result {
	t.Helper()
	r := docker(t, least, image, args...)
	require.Equal(t, 0, r.Status, "%s %v: %+v", image, args, r)
	return r
}

func flags(t *testing.T, fs binfmt.FS, name string) string {
	t.Helper()
	e, err := fs.Get(name)
	require.NoError(t, err)
	return e.Flags.String()
}

// helloRuns runs a foreign program on the host and in a container that has no
// emulator.
func helloRuns(t *testing.T, goarch string) {
	t.Helper()
	for _, r := range []commands.Result{run(t, hello(goarch)), docker(t, nil, scratch, "/hello-"+goarch)} {
		assert.Equal(t, 0, r.Status, r.Stderr)
		assert.Contains(t, r.Stdout, "hello from "+goarch)
	}
}

package images

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/workdir"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/guests"
)

// A pin is an image of one version of the emulators in a registry, where it stays when
// latest moves.
type pin struct{ image, version string }

// suites have QEMU 7.2 and 10.0.
var suites = []string{"bookworm", "trixie"}

// buildPinned builds the images with two emulators of each suite's, once for all tests.
var buildPinned = sync.OnceValue(func() error {
	cache, err := workdir.Cache("stock")
	if err != nil {
		return err
	}
	for _, suite := range suites {
		set, err := guests.SuiteEmulators(context.Background(), cache, suite)
		if err != nil {
			return err
		}
		dir := filepath.Join(built, suite)
		if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
			return err
		}
		for _, name := range []string{"aarch64", "s390x"} {
			arch, err := elfmagic.Lookup(name)
			if err != nil {
				return err
			}
			e, err := set.Find(arch)
			if err == nil {
				err = guests.Place(e.Path, filepath.Join(dir, "bin", "qemu-"+name+"-static"))
			}
			if err != nil {
				return err
			}
		}
		if err := build("amd64", filepath.Join(dir, "image"), repository+"/"+suite, "--emulators", filepath.Join(dir, "bin")); err != nil {
			return err
		}
	}
	return nil
})

// pins pushes the same image with older and with newer emulators, as others pull it.
// Docker has neither under that name afterwards.
func pins(t *testing.T, image string) (older, newer pin) {
	t.Helper()
	need(t)
	require.NoError(t, buildPinned())
	server := httptest.NewServer(registry.New())
	t.Cleanup(server.Close)
	older = push(t, repository+"/"+suites[0]+"/"+image+":latest-amd64", server.URL, image)
	newer = push(t, repository+"/"+suites[1]+"/"+image+":latest-amd64", server.URL, image)
	require.NotEqual(t, older.version, newer.version, "there is nothing to go back to")
	return older, newer
}

// push pushes an image under the tag that names its emulators.
func push(t *testing.T, from, url, image string) pin {
	t.Helper()
	r := run(t, "docker", "image", "inspect", "--format", `{{index .Config.Labels "org.qemu.version"}}`, from)
	require.Equal(t, 0, r.Status, r.Stderr)
	version := strings.TrimSpace(r.Stdout)
	number, _, _ := strings.Cut(version, " ")
	p := pin{strings.TrimPrefix(url, "http://") + "/calico/" + image + ":qemu-v" + number, version}
	t.Cleanup(func() { run(t, "docker", "rmi", p.image) })
	for _, args := range [][]string{{"tag", from, p.image}, {"push", "-q", p.image}, {"rmi", p.image}} {
		require.Equal(t, 0, run(t, "docker", args...).Status, args)
	}
	return p
}

// held returns what the emulator that the kernel runs an architecture's programs by says
// of its version: that of a process, and of no file.
func held(t *testing.T, goarch string) string {
	t.Helper()
	sleeper := filepath.Join(built, "sleeper-"+goarch)
	if _, err := os.Stat(sleeper); err != nil {
		cmd := exec.Command("go", "build", "-trimpath", "-o", sleeper, "../testdata/sleeper")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+goarch)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	cmd := exec.Command(sleeper)
	require.NoError(t, cmd.Start())
	defer func() { _, _ = cmd.Process.Kill(), cmd.Wait() }()
	r := run(t, "/proc/"+strconv.Itoa(cmd.Process.Pid)+"/exe", "--version")
	require.Equal(t, 0, r.Status, r.Stderr)
	line, _, _ := strings.Cut(r.Stdout, "\n")
	_, version, _ := strings.Cut(line, " version ")
	return version
}

// What is pinned to an image by its tag gets the emulators of that image, whatever was
// registered before: older ones, newer ones, and the older ones again.
func TestTheEmulatorsAreThoseOfThePinnedImage(t *testing.T) {
	older, newer := pins(t, "binfmt")
	for name, install := range map[string]func(t *testing.T, image string){
		// As Calico's lib.Makefile registers.
		"docker run": func(t *testing.T, image string) {
			register(t, image, "--install", "all")
		},
		// The steps of docker/setup-qemu-action.
		"steps of setup-qemu-action": func(t *testing.T, image string) {
			require.Equal(t, 0, run(t, "docker", "pull", "-q", image).Status)
			register(t, image, "--version")
			register(t, image, "--install", "linux/amd64,linux/arm64,linux/s390x")
			assert.Subset(t, stateOf(t, register(t, image)).Supported, []string{"linux/amd64", "linux/arm64", "linux/s390x"})
		},
		"with reset": func(t *testing.T, image string) {
			register(t, image, "--uninstall", "qemu-*")
			register(t, image, "--install", "arm64,s390x")
		},
		"the real setup-qemu-action": func(t *testing.T, image string) {
			setupQEMUAction(t)(t, image, "arm64,s390x", "false")
		},
	} {
		t.Run(name, func(t *testing.T) { followsPin(t, older, newer, install) })
	}
}

// So does who calls it as multiarch/qemu-user-static.
func TestTheEmulatorsAreThoseOfThePinnedImageOfMultiarchsKind(t *testing.T) {
	older, newer := pins(t, "qemu-user-static")
	for name, args := range map[string][]string{"plain": nil, "-p yes": {"-p", "yes"}, "--reset -p yes": {"--reset", "-p", "yes"}, "two of them": {"arm64", "s390x"}} {
		t.Run(name, func(t *testing.T) {
			followsPin(t, older, newer, func(t *testing.T, image string) { register(t, image, args...) })
		})
	}
}

// followsPin goes to and fro between two images, and asks each time what runs.
func followsPin(t *testing.T, older, newer pin, install func(t *testing.T, image string)) {
	t.Helper()
	fs := mounted(t)
	entry := func() binfmt.Entry {
		t.Helper()
		e, err := fs.Get("qemu-aarch64")
		require.NoError(t, err)
		return e
	}
	for _, p := range []pin{older, newer, older, older, newer} {
		start := time.Now()
		install(t, p.image)
		t.Logf("%s: %s", p.image, time.Since(start).Round(time.Millisecond))
		for _, goarch := range []string{"arm64", "s390x"} {
			assert.Equal(t, p.version, held(t, goarch), "%s, with %s", goarch, p.image)
			helloRuns(t, goarch)
		}
		assert.True(t, !entry().Disabled && entry().Flags.Has(binfmt.FixBinary), "%+v", entry())
		assert.Equal(t, 1, strings.Count(strings.Join(commands.Names(t, fs), " ")+" ", "qemu-aarch64"), "one entry")
	}
}

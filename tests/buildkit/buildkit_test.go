package buildkit

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

func TestMain(m *testing.M) { os.Exit(commands.Main(m)) }

var lookup = kerneltest.Lookup

// machines are four of other architectures, and what uname(1) calls them there.
var machines = []struct{ platform, arch, uname string }{
	{"linux/arm64", "arm64", "aarch64"},
	{"linux/arm/v7", "arm", "armv7l"},
	{"linux/ppc64le", "ppc64le", "ppc64le"},
	{"linux/s390x", "s390x", "s390x"},
}

// base begins a Dockerfile, for which systems makes the files.
const base = "FROM scratch\nARG TARGETARCH\nCOPY root-${TARGETARCH}/ /\n"

// systems returns a directory with a small system for each machine.
func systems(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, m := range machines {
		require.NoError(t, os.Rename(commands.BusyboxRoot(t, m.arch), filepath.Join(dir, "root-"+m.arch)))
	}
	return dir
}

func TestRunStepsOfOtherPlatforms(t *testing.T) {
	if os.Getenv("TEST_BUILDKIT") == "" {
		t.Skip("builds BuildKit and images, as a user that it makes: make test-buildkit")
	}
	if os.Getuid() != 0 || commands.SingleUser(t) {
		t.Skip("it makes a user: run as root")
	}
	for _, name := range []string{"newuidmap", "runc", "useradd"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(err)
		}
	}
	var platforms []string
	for _, m := range machines {
		if kerneltest.Native(t, lookup(t, m.arch)) {
			t.Skip(m.platform, " is native here")
		}
		platforms = append(platforms, m.platform)
	}
	d := start(t)
	dir := systems(t)

	t.Run("the program itself", func(t *testing.T) {
		result, _ := d.build(t, dir, base+"RUN uname -m > /machine; echo \"$0 $HOME\" > /words; exit 0\nRUN [\"/bin/sh\", \"-c\", \"[ -s /machine ] && echo two >> /words\"]\n", platforms)
		check(t, result)
		words := read(t, result, machines[0].platform, "words")
		assert.Equal(t, "/bin/sh /\ntwo\n", words)
	})
	t.Run("what it starts, where namespaces may be made", func(t *testing.T) {
		result, said := d.build(t, dir, base+"RUN --security=insecure sh -c 'uname -m && sh -c \"echo child; uname -m > /machine\"' && env > /environment\n", platforms)
		check(t, result)
		assert.Equal(t, len(machines), strings.Count(said, " child\n"), said)
		assert.NotContains(t, read(t, result, machines[0].platform, "environment"), "CROSSRUN")
	})
	t.Run("what it starts", func(t *testing.T) {
		if help := command(t, "", crossrun(t), "--help"); !strings.Contains(help, "--watched") {
			t.Skip("BuildKit's seccomp profile denies user namespaces, and this crossrun has no way that takes none")
		}
		result, said := d.build(t, dir, base+"RUN sh -c 'uname -m && sh -c \"echo child; uname -m > /machine\"' | cat\n", platforms)
		check(t, result)
		assert.Equal(t, len(machines), strings.Count(said, " child\n"), said)
	})
	t.Run("crossrun runs the image", func(t *testing.T) {
		t.Setenv("XDG_CACHE_HOME", t.TempDir())
		archive, _ := d.export(t, dir, base+"RUN uname -m > /machine\nRUN echo two > /lines\n", platforms, "oci")
		for _, m := range machines {
			r := commands.Run(t, exec.Command(crossrun(t), "--rootfs", archive, "--platform", m.platform, "sh", "-c", "while read a; do echo $a; done < /machine; cat /lines; uname -m; echo > /machine"))
			assert.Equal(t, commands.Result{Stdout: m.uname + "\ntwo\n" + m.uname + "\n"}, r)
		}
		r := commands.Run(t, exec.Command(crossrun(t), "--rootfs", archive, "sh"))
		assert.Equal(t, 125, r.Status)
		assert.Contains(t, r.Stderr, "but for linux/arm/v7, linux/arm64, linux/ppc64le, linux/s390x")
	})
	t.Run("a failure is the step's", func(t *testing.T) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(base+"RUN exit 37\n"), 0o644))
		cmd := d.command(t.Context(), "buildctl", "--addr", d.address(), "build", "--progress=plain", "--frontend=dockerfile.v0",
			"--local=context="+dir, "--local=dockerfile="+dir, "--opt=platform="+platforms[0])
		out, err := cmd.CombinedOutput()
		assert.Error(t, err)
		assert.Contains(t, string(out), "exit code: 37")
	})
}

// check sees that each platform's own programs ran, and that nothing is in the result
// that they did not put there.
func check(t *testing.T, result string) {
	t.Helper()
	for _, m := range machines {
		assert.Equal(t, m.uname+"\n", read(t, result, m.platform, "machine"))
		root := filepath.Join(result, strings.ReplaceAll(m.platform, "/", "_"))
		assert.NoDirExists(t, filepath.Join(root, ".cache"))
		assert.NoDirExists(t, filepath.Join(root, "root", ".cache"))
		assert.NoFileExists(t, filepath.Join(root, "dev", ".buildkit_qemu_emulator"))
	}
}

func read(t *testing.T, result, platform, name string) string {
	t.Helper()
	return commands.Read(t, filepath.Join(result, strings.ReplaceAll(platform, "/", "_"), name))
}

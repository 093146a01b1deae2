package commands

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/workdir"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// Built returns the path of something that build makes, once for all runs of a
// package's tests.
func Built(t testing.TB, name string, build func(path string) *exec.Cmd) string {
	t.Helper()
	path := filepath.Join(Dir(), name)
	if _, err := os.Stat(path); err != nil {
		whole(t, path, build)
	}
	return path
}

// RegisterWithServer returns register as images have it: with the tag watch.
func RegisterWithServer(t testing.TB) string {
	t.Helper()
	return Built(t, "register-watch", func(path string) *exec.Cmd {
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags=watch", "-ldflags=-s -w", "-o", path, module+"/cmd/register")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		return cmd
	})
}

// Cache returns a directory for what is fetched or built once, below the cache of the user
// whom HOME names, or skips where that is another one's.
func Cache(t testing.TB, elements ...string) string {
	t.Helper()
	dir, err := workdir.Cache(elements...)
	if errors.Is(err, fs.ErrPermission) {
		t.Skip("what it needs is kept in the cache of the user whom HOME names: ", err)
	}
	require.NoError(t, err)
	return dir
}

// Archive returns the path of a root file system's archive that build makes with
// mmdebstrap, from a mirror of Debian's, once: it is kept in the user's cache. The
// test is skipped where that cannot be.
func Archive(t testing.TB, name string, build func(path, mirror string) *exec.Cmd) string {
	t.Helper()
	path := filepath.Join(Cache(t, "rootfs"), name+".tar")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		t.Skip("makes a root file system: image/base/install-tools: ", err)
	}
	mirror, err := debian.Mirror()
	if err != nil {
		t.Skip(err)
	}
	whole(t, path, func(path string) *exec.Cmd { return build(path, mirror) })
	return path
}

// BusyboxRoot returns a small root file system of another architecture, Debian's
// Busybox with the names of it that people try first, or skips without apt.
func BusyboxRoot(t testing.TB, goarch string) (dir string) {
	t.Helper()
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("Busybox comes from Debian, through apt: ", err)
	}
	apt, err := debian.Open(Cache(t, "apt"), kerneltest.Lookup(t, goarch).Debian[0].Name, "bookworm")
	require.NoError(t, err)
	require.NoError(t, apt.Update(t.Context()))
	versions, err := apt.Versions(t.Context(), "busybox-static")
	require.NoError(t, err)
	require.NotEmpty(t, versions)
	deb, err := apt.Download(t.Context(), "busybox-static", versions[0])
	require.NoError(t, err)
	dir = t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, debian.Unpack(t.Context(), deb, dir))
	for _, name := range []string{"sh", "uname", "cat", "env", "ls"} {
		require.NoError(t, os.Symlink("busybox", filepath.Join(dir, "bin", name)))
	}
	return dir
}

// whole makes a file, whole or not at all.
func whole(t testing.TB, path string, build func(path string) *exec.Cmd) {
	t.Helper()
	partial := path + ".partial"
	out, err := build(partial).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, os.Rename(partial, path))
}

// GoProgram returns a program of tests/testdata for a GOARCH.
func GoProgram(t testing.TB, name, goarch string) string {
	t.Helper()
	return Built(t, name+"-"+goarch, func(path string) *exec.Cmd {
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", path, module+"/tests/testdata/"+name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+goarch)
		return cmd
	})
}

// GoHello returns a Go program for a GOARCH that says hello.
func GoHello(t testing.TB, goarch string) string {
	t.Helper()
	return GoProgram(t, "hello", goarch)
}

// Saying is what a hello prints for the given first line and arguments.
func Saying(hello string, args ...string) string {
	for _, arg := range args {
		hello += fmt.Sprintf("\n%q", arg)
	}
	return hello + "\n"
}

// GoSaying is what GoHello's program prints.
func GoSaying(goarch string, args ...string) string {
	return Saying("hello from "+goarch+" 1.414", args...)
}

// A CPort is one of Debian's C cross compilers.
type CPort struct{ Triplet, Arch string }

// Link has programs find nothing missing where they run: they are static, but for
// alpha's, as Debian 12's libc.a of alpha does not set _dl_phdr, and no program
// finds its thread-local storage.
func (p CPort) Link() []string {
	if p.Arch != "alpha" {
		return []string{"-static"}
	}
	root := "/usr/" + p.Triplet + "/lib"
	return []string{"-Wl,--dynamic-linker=" + root + "/ld-linux.so.2", "-Wl,-rpath," + root, "-Wl,--disable-new-dtags"}
}

// CPorts are all that bookworm has.
var CPorts = []CPort{
	{"aarch64-linux-gnu", "aarch64"},
	{"alpha-linux-gnu", "alpha"},
	{"arm-linux-gnueabi", "arm"},
	{"arm-linux-gnueabihf", "arm"},
	{"hppa-linux-gnu", "hppa"},
	{"i686-linux-gnu", "i386"},
	{"m68k-linux-gnu", "m68k"},
	{"mips-linux-gnu", "mips"},
	{"mips64-linux-gnuabi64", "mips64"},
	{"mips64el-linux-gnuabi64", "mips64el"},
	{"mipsel-linux-gnu", "mipsel"},
	{"powerpc-linux-gnu", "ppc"},
	{"powerpc64-linux-gnu", "ppc64"},
	{"powerpc64le-linux-gnu", "ppc64le"},
	{"riscv64-linux-gnu", "riscv64"},
	{"s390x-linux-gnu", "s390x"},
	{"sh4-linux-gnu", "sh4"},
	{"sparc64-linux-gnu", "sparc64"},
	{"x86_64-linux-gnu", "x86_64"},
}

// Port returns the port of a triplet in CPorts.
func Port(triplet string) CPort {
	return CPorts[slices.IndexFunc(CPorts, func(p CPort) bool { return p.Triplet == triplet })]
}

// CProgram returns a C program that the port's compiler makes of arguments, or
// skips.
func CProgram(t testing.TB, port CPort, name string, args ...string) string {
	t.Helper()
	compiler, err := exec.LookPath(port.Triplet + "-gcc")
	if err != nil {
		t.Skip("no cross compiler: ", err)
	}
	return Built(t, name+"-"+port.Triplet, func(path string) *exec.Cmd {
		return exec.Command(compiler, append([]string{"-o", path}, args...)...)
	})
}

// CHello returns a C program that says hello, linked "static" or "dynamic".
func CHello(t testing.TB, port CPort, link string) string {
	t.Helper()
	args := []string{"../testdata/hello.c", "-lm"}
	if link == "static" {
		args = append(args, "-static")
	}
	return CProgram(t, port, "hello-c-"+link, args...)
}

package tests

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// goarchs are Go's linux ports that QEMU has an emulator for.
var goarchs = []string{"386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le", "riscv64", "s390x"}

// saying is what a hello prints for the given first line and arguments.
func saying(hello string, args ...string) string {
	for _, arg := range args {
		hello += fmt.Sprintf("\n%q", arg)
	}
	return hello + "\n"
}

func goSaying(goarch string, args ...string) string {
	return saying("hello from "+goarch+" 1.414", args...)
}

func TestGoProgramsOfEveryArchitectureRunOnceRegistered(t *testing.T) {
	fs := kerneltest.Instance(t)
	r := register(t)
	require.Equal(t, 0, r.status, "%s\n%s", r.stdout, r.stderr)
	require.NotEmpty(t, list(t, fs))
	for _, goarch := range goarchs {
		t.Run(goarch, func(t *testing.T) {
			arch := lookup(t, goarch)
			if goarch != runtime.GOARCH && !(runtime.GOARCH == "amd64" && goarch == "386") {
				findEmulator(t, arch)
				assert.Contains(t, names(t, fs), emulator.EntryName(arch))
			}
			hello := goHello(t, goarch)
			cmd := exec.Command(hello, "one", "two words")
			cmd.Args[0] = "by another name"
			assert.Equal(t, result{stdout: goSaying(goarch, "by another name", "one", "two words")}, run(t, cmd))
		})
	}
}

func TestGoProgramsOfEveryArchitectureRunThroughCrossrun(t *testing.T) {
	fs := kerneltest.Instance(t)
	for _, goarch := range goarchs {
		t.Run(goarch, func(t *testing.T) {
			if goarch != runtime.GOARCH && !(runtime.GOARCH == "amd64" && goarch == "386") {
				findEmulator(t, lookup(t, goarch))
			}
			hello := goHello(t, goarch)
			assert.Equal(t, result{stdout: goSaying(goarch, hello, "one", "-two", "--help")}, crossrun(t, hello, "one", "-two", "--help"))
		})
	}
	assert.Empty(t, list(t, fs), "nothing was registered")
}

// A cPort is one of Debian's C cross compilers.
type cPort struct{ triplet, arch string }

var cPorts = []cPort{
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

// qemuFails are the C programs that QEMU itself cannot run, and why. The tests
// show it with the emulator alone.
var qemuFails = map[string]string{
	"static alpha-linux-gnu": "Debian 12's static C library for alpha ends with a segmentation fault before main, with QEMU 7.2, 10.0 and 11.1 alike; dynamically linked programs run",
	"static sh4-linux-gnu":   "Debian 12's C library for sh4 has a branch to itself in __libc_start_main (bf.s)",
	"dynamic sh4-linux-gnu":  "Debian 12's loader for sh4 has the like, and jumps into nowhere",
}

func cHello(t *testing.T, port cPort, link string) string {
	t.Helper()
	compiler, err := exec.LookPath(port.triplet + "-gcc")
	if err != nil {
		t.Skip("no cross compiler: ", err)
	}
	return built(t, "hello-c-"+link+"-"+port.triplet, func(path string) *exec.Cmd {
		args := []string{"-o", path, "testdata/hello.c", "-lm"}
		if link == "static" {
			args = append([]string{"-static"}, args...)
		}
		return exec.Command(compiler, args...)
	})
}

// native reports whether the machine itself runs an architecture's programs.
func native(arch *elfmagic.Arch) bool {
	return arch.GOARCH == runtime.GOARCH || arch.GOARCH == "386" && runtime.GOARCH == "amd64"
}

// excused reports whether QEMU itself fails on the program, which then must be
// in the list; one that is in the list and runs must be taken out.
func excused(t *testing.T, port cPort, link, hello string, args ...string) bool {
	t.Helper()
	arch := lookup(t, port.arch)
	if native(arch) {
		return false
	}
	reason, listed := qemuFails[link+" "+port.triplet]
	limit := time.Minute
	if listed {
		limit = 2 * time.Second // it may run for ever
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	found := findEmulator(t, arch)
	out, err := exec.CommandContext(ctx, found.Path, append(args, hello)...).CombinedOutput()
	if err != nil {
		assert.True(t, listed, "QEMU alone cannot run it, and nobody knows: %v\n%s", err, out)
		t.Logf("QEMU %s alone cannot run it: %v (%s)", found.Version, err, reason)
		return true
	}
	assert.False(t, listed, "QEMU runs it by now")
	return false
}

func TestStaticCProgramsRunBothWays(t *testing.T) {
	kerneltest.Instance(t)
	for _, port := range cPorts {
		t.Run("crossrun/"+port.triplet, func(t *testing.T) {
			hello := cHello(t, port, "static")
			if !excused(t, port, "static", hello) {
				assert.Equal(t, result{stdout: saying("hello from C 1.414", hello, "one")}, crossrun(t, hello, "one"))
			}
		})
	}
	r := register(t)
	require.Equal(t, 0, r.status, "%s\n%s", r.stdout, r.stderr)
	for _, port := range cPorts {
		t.Run("registered/"+port.triplet, func(t *testing.T) {
			hello := cHello(t, port, "static")
			if !excused(t, port, "static", hello) {
				assert.Equal(t, result{stdout: saying("hello from C 1.414", hello, "one")}, run(t, exec.Command(hello, "one")))
			}
		})
	}
}

func TestDynamicCProgramsRunThroughCrossrun(t *testing.T) {
	for _, registered := range []bool{false, true} {
		t.Run(fmt.Sprintf("registered=%t", registered), func(t *testing.T) {
			kerneltest.Instance(t)
			if registered {
				r := register(t)
				require.Equal(t, 0, r.status, r.stderr)
			}
			for _, port := range cPorts {
				t.Run(port.triplet, func(t *testing.T) {
					hello := cHello(t, port, "dynamic")
					if !excused(t, port, "dynamic", hello, "-L", "/usr/"+port.triplet) {
						assert.Equal(t, result{stdout: saying("hello from C 1.414", hello, "one")}, crossrun(t, hello, "one"))
					}
				})
			}
		})
	}
}

// Both 32-bit Arm ABIs have programs of one architecture with loaders of
// different names: the sysroot is found by the loader.
func TestSysrootsAreFoundByTheLoader(t *testing.T) {
	kerneltest.Instance(t)
	for _, port := range []cPort{{"arm-linux-gnueabi", "arm"}, {"arm-linux-gnueabihf", "arm"}} {
		hello := cHello(t, port, "dynamic")
		r := crossrun(t, "--direct", "--print", hello)
		assert.Contains(t, r.stdout, "-L /usr/"+port.triplet+" ")
		assert.Equal(t, 0, r.status)
	}
}

func TestAMissingLoaderIsNamed(t *testing.T) {
	kerneltest.Instance(t)
	hello := cHello(t, cPort{"aarch64-linux-gnu", "aarch64"}, "dynamic")
	root := t.TempDir()
	r := crossrun(t, "--sysroot", root, hello)
	assert.Equal(t, 126, r.status)
	assert.Contains(t, r.stderr, "crossrun: error: "+hello+": dynamically linked, and its loader /lib/ld-linux-aarch64.so.1 is not below "+root)
	assert.Contains(t, r.stderr, "hint: apt-get install libc6-arm64-cross")
	assert.Empty(t, r.stdout)
}

func TestCrossrunLeavesTheProgramAlone(t *testing.T) {
	kerneltest.Instance(t)
	hello := goHello(t, "arm64")
	findEmulator(t, lookup(t, "arm64"))
	dir := t.TempDir()
	require.NoError(t, os.Symlink(hello, filepath.Join(dir, "greet")))

	cmd := command("crossrun", "greet", "x")
	cmd.Env = append(os.Environ(), "PATH="+dir)
	assert.Equal(t, result{stdout: goSaying("arm64", "greet", "x")}, run(t, cmd), "argv[0] is what the caller gave")

	cmd = command("crossrun", "./greet")
	cmd.Dir = dir
	assert.Equal(t, result{stdout: goSaying("arm64", "./greet")}, run(t, cmd))

	script := filepath.Join(dir, "script")
	require.NoError(t, os.WriteFile(script, []byte("#!"+hello+" argument with blanks\n"), 0o755))
	assert.Equal(t, result{stdout: goSaying("arm64", hello, "argument with blanks", script, "y")}, crossrun(t, script, "y"))
}

// Go's own command finds crossrun under this name, and gives it no flags.
func TestGoRunsForeignProgramsWithoutAFlag(t *testing.T) {
	kerneltest.Instance(t)
	findEmulator(t, lookup(t, "arm64"))
	bin := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(os.Getenv(artifacts), "crossrun"), filepath.Join(bin, "go_linux_arm64_exec")))
	cmd := exec.Command("go", "run", "./testdata/hello", "--print")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=arm64", "PATH="+bin+":"+os.Getenv("PATH"), "GOCACHE="+filepath.Join(os.Getenv(artifacts), fmt.Sprint("cache-", os.Getuid())))
	r := run(t, cmd)
	assert.Equal(t, 0, r.status, r.stderr)
	assert.Regexp(t, `^hello from arm64 1\.414\n"[^\n]*/hello"\n"--print"\n$`, r.stdout)
}

func TestCrossrunRunsNativeProgramsAndScripts(t *testing.T) {
	kerneltest.Instance(t)
	assert.Equal(t, result{status: 7, stderr: "e\n", stdout: "o\n"}, crossrun(t, "sh", "-c", "echo o; echo e >&2; exit 7"))
	script := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\necho $0 $1\n"), 0o755))
	assert.Equal(t, result{stdout: script + " x\n"}, crossrun(t, script, "x"))
}

func TestCrossrunFailures(t *testing.T) {
	kerneltest.Instance(t)
	hello := goHello(t, "arm64")
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), mode))
		return path
	}
	content, err := os.ReadFile(hello)
	require.NoError(t, err)
	unknown := append([]byte(nil), content...)
	unknown[18], unknown[19] = 0x34, 0x12
	for _, test := range []struct {
		args   []string
		status int
		err    string
		hint   string
	}{
		{[]string{}, 125, "no program given", "crossrun [flags] BINARY"},
		{[]string{"--no-such-flag"}, 125, "unknown flag: --no-such-flag", "--help"},
		{[]string{"--emulator", "/no/such/emulator", hello}, 125, "no such file", "name a file"},
		{[]string{"--sysroot", "/no/such/dir", hello}, 125, "no such file", "name the directory"},
		{[]string{"/no/such/program"}, 127, "no such file", ""},
		{[]string{"no-such-program"}, 127, "not found in PATH", ""},
		{[]string{dir}, 126, "is a directory", ""},
		{[]string{write("mode", string(content), 0o644)}, 126, "not executable", "chmod +x"},
		{[]string{write("empty", "", 0o755)}, 126, "empty file", ""},
		{[]string{write("text", "hello", 0o755)}, 126, "not an ELF file", "file(1)"},
		{[]string{write("cut", string(content[:30]), 0o755)}, 126, "truncated ELF file", "again"},
		{[]string{write("half", string(content[:len(content)/2]), 0o755)}, 126, "truncated ELF file", "again"},
		{[]string{write("machine", string(unknown), 0o755)}, 126, "no known architecture is 64-bit little-endian with ELF machine 4660", "QEMU cannot run"},
		{[]string{write("script", "#!/no/such/interpreter\n", 0o755)}, 126, "script whose interpreter cannot be run", ""},
	} {
		r := crossrun(t, test.args...)
		assert.Equal(t, test.status, r.status, "%v", test.args)
		assert.Contains(t, r.stderr, "crossrun: error: ", "%v", test.args)
		assert.Contains(t, r.stderr, test.err, "%v", test.args)
		if test.hint != "" {
			assert.Contains(t, r.stderr, "crossrun: hint: ", "%v", test.args)
			assert.Contains(t, r.stderr, test.hint, "%v", test.args)
		}
		assert.LessOrEqual(t, strings.Count(r.stderr, "\n"), 2, "one line and a hint: %s", r.stderr)
		assert.Empty(t, r.stdout)
	}
}

func TestCrossrunWithoutAnEmulatorSaysWhereOneIsHad(t *testing.T) {
	needInstalled(t)
	kerneltest.Instance(t)
	hello := goHello(t, "arm64")
	require.NoError(t, unix.Mount(t.TempDir(), "/usr/bin", "", unix.MS_BIND, ""), "nobody else sees it: the mount namespace is the tests' own")
	defer func() { require.NoError(t, unix.Unmount("/usr/bin", 0)) }()
	cmd := command("crossrun", hello)
	cmd.Env = []string{"PATH=/usr/bin"}
	r := run(t, cmd)
	assert.Equal(t, 126, r.status)
	assert.Contains(t, r.stderr, "crossrun: error: aarch64: no emulator found: no qemu-aarch64-static or qemu-aarch64 in "+filepath.Dir(command("crossrun").Path)+":/usr/bin")
	assert.Contains(t, r.stderr, "crossrun: hint: apt-get install qemu-user-static")
	assert.Empty(t, r.stdout)
}

func TestPrintSaysWhatWouldBeRun(t *testing.T) {
	fs := kerneltest.Instance(t)
	hello := goHello(t, "arm64")
	found := findEmulator(t, lookup(t, "arm64"))
	r := crossrun(t, "--direct", "--print", hello, "a b")
	assert.Equal(t, result{stdout: fmt.Sprintf("%s -0 %s %s 'a b'\n", found.Path, hello, hello)}, r)
	r = crossrun(t, "--print", hello, "a b")
	assert.Equal(t, result{stdout: fmt.Sprintf("%s --private %s 'a b'\n", command("crossrun").Path, hello)}, r)

	r = crossrun(t, "-v", hello)
	assert.Equal(t, goSaying("arm64", hello), r.stdout)
	assert.Contains(t, r.stderr, "linux/arm64, static")
	assert.Regexp(t, `a private instance of binfmt_misc with \d+ emulators runs it`, r.stderr)
	assert.Contains(t, r.stderr, found.Path+": QEMU "+found.Version)
	r = crossrun(t, "--direct", "-v", hello)
	assert.Equal(t, goSaying("arm64", hello), r.stdout)
	assert.Contains(t, r.stderr, "--direct asks for it: "+found.Path)
	assert.Contains(t, r.stderr, found.Path+": QEMU "+found.Version)

	require.Equal(t, 0, register(t, "arm64").status)
	r = crossrun(t, "--print", hello, "a b")
	assert.Equal(t, result{stdout: fmt.Sprintf("%s 'a b'\n", hello)}, r)
	r = crossrun(t, "-v", hello)
	assert.Contains(t, r.stderr, "the kernel's entry qemu-aarch64 runs it")

	r = crossrun(t, "--print", "--cpu", "max", hello)
	assert.Equal(t, result{stdout: fmt.Sprintf("%s -0 %s -cpu max %s\n", found.Path, hello, hello)}, r, "a CPU is emulated, whatever is registered")
	require.NoError(t, fs.Disable("qemu-aarch64"))
	r = crossrun(t, hello)
	assert.Equal(t, goSaying("arm64", hello), r.stdout, "a disabled entry does not keep crossrun from its work")
}

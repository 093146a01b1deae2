package programs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/guests"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// goarchs are Go's linux ports that QEMU has an emulator for.
var goarchs = []string{"386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le", "riscv64", "s390x"}

func TestGoProgramsOfEveryArchitectureRunOnceRegistered(t *testing.T) {
	fs := kerneltest.Instance(t)
	r := commands.Register(t)
	require.Equal(t, 0, r.Status, "%s\n%s", r.Stdout, r.Stderr)
	require.NotEmpty(t, commands.List(t, fs))
	for _, goarch := range goarchs {
		t.Run(goarch, func(t *testing.T) {
			arch := kerneltest.Lookup(t, goarch)
			if !kerneltest.Native(t, arch) {
				commands.FindEmulatorForThreads(t, arch)
				assert.Contains(t, commands.Names(t, fs), emulator.EntryName(arch))
			}
			hello := commands.GoHello(t, goarch)
			cmd := exec.Command(hello, "one", "two words")
			cmd.Args[0] = "by another name"
			assert.Equal(t, commands.Result{Stdout: commands.GoSaying(goarch, "by another name", "one", "two words")}, commands.Run(t, cmd))
		})
	}
}

func TestGoProgramsOfEveryArchitectureRunThroughCrossrun(t *testing.T) {
	fs := kerneltest.Instance(t)
	for _, goarch := range goarchs {
		t.Run(goarch, func(t *testing.T) {
			if arch := kerneltest.Lookup(t, goarch); !kerneltest.Native(t, arch) {
				commands.FindEmulatorForThreads(t, arch)
			}
			hello := commands.GoHello(t, goarch)
			assert.Equal(t, commands.Result{Stdout: commands.GoSaying(goarch, hello, "one", "-two", "--help")}, commands.Crossrun(t, hello, "one", "-two", "--help"))
		})
	}
	assert.Empty(t, commands.List(t, fs), "nothing was registered")
}

// All ports of Go run in private instances, as their emulators are registered.
func TestGoProgramsOfEveryArchitectureRunInAPrivateInstance(t *testing.T) {
	kerneltest.Instance(t)
	var script []string
	want := ""
	for _, goarch := range goarchs {
		if arch := kerneltest.Lookup(t, goarch); !kerneltest.Native(t, arch) {
			found, err := commands.Search().Find(arch)
			if errors.Is(err, emulator.ErrMissing) {
				continue
			}
			require.NoError(t, err)
			if reason := guests.CrashesThreads(arch, found); reason != "" {
				t.Log("without ", goarch, ": ", reason)
				continue
			}
		}
		hello := commands.GoHello(t, goarch)
		script = append(script, hello)
		want += commands.GoSaying(goarch, hello)
	}
	if !slices.ContainsFunc(script, func(s string) bool { return strings.HasSuffix(s, "arm64") }) {
		t.Skip("no emulators")
	}
	assert.Equal(t, commands.Result{Stdout: want}, commands.Crossrun(t, "--private", "/bin/sh", "-ec", strings.Join(script, "\n")))
}

// qemuFails are the C programs that QEMU itself cannot run, and why. The tests
// show it with the emulator alone.
var qemuFails = map[string]string{
	"static alpha-linux-gnu": "Debian 12's static C library for alpha ends with a segmentation fault before main, with QEMU 7.2, 10.0 and 11.1 alike; dynamically linked programs run",
	"static sh4-linux-gnu":   "Debian 12's C library for sh4 has a branch to itself in __libc_start_main (bf.s)",
	"dynamic sh4-linux-gnu":  "Debian 12's loader for sh4 has the like, and jumps into nowhere",
}

// excused reports whether QEMU itself fails on the program, which then must be
// in the list; one that is in the list and runs must be taken out.
func excused(t *testing.T, port commands.CPort, link, hello string, args ...string) bool {
	t.Helper()
	arch := kerneltest.Lookup(t, port.Arch)
	if kerneltest.Native(t, arch) {
		return false
	}
	reason, listed := qemuFails[link+" "+port.Triplet]
	limit := time.Minute
	if listed {
		limit = 2 * time.Second // it may run for ever
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	found := commands.FindEmulator(t, arch)
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
	for _, port := range commands.CPorts {
		t.Run("crossrun/"+port.Triplet, func(t *testing.T) {
			hello := commands.CHello(t, port, "static")
			if !excused(t, port, "static", hello) {
				assert.Equal(t, commands.Result{Stdout: commands.Saying("hello from C 1.414", hello, "one")}, commands.Crossrun(t, hello, "one"))
			}
		})
	}
	r := commands.Register(t)
	require.Equal(t, 0, r.Status, "%s\n%s", r.Stdout, r.Stderr)
	for _, port := range commands.CPorts {
		t.Run("registered/"+port.Triplet, func(t *testing.T) {
			hello := commands.CHello(t, port, "static")
			if !excused(t, port, "static", hello) {
				assert.Equal(t, commands.Result{Stdout: commands.Saying("hello from C 1.414", hello, "one")}, commands.Run(t, exec.Command(hello, "one")))
			}
		})
	}
}

func TestDynamicCProgramsRunThroughCrossrun(t *testing.T) {
	for _, registered := range []bool{false, true} {
		t.Run(fmt.Sprintf("registered=%t", registered), func(t *testing.T) {
			kerneltest.Instance(t)
			if registered {
				r := commands.Register(t)
				require.Equal(t, 0, r.Status, r.Stderr)
			}
			for _, port := range commands.CPorts {
				t.Run(port.Triplet, func(t *testing.T) {
					hello := commands.CHello(t, port, "dynamic")
					if !excused(t, port, "dynamic", hello, "-L", "/usr/"+port.Triplet) {
						assert.Equal(t, commands.Result{Stdout: commands.Saying("hello from C 1.414", hello, "one")}, commands.Crossrun(t, hello, "one"))
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
	for _, port := range []commands.CPort{commands.Port("arm-linux-gnueabi"), commands.Port("arm-linux-gnueabihf")} {
		hello := commands.CHello(t, port, "dynamic")
		r := commands.Crossrun(t, "--direct", "--print", hello)
		assert.Contains(t, r.Stdout, "-L /usr/"+port.Triplet+" ")
		assert.Equal(t, 0, r.Status)
	}
}

func TestAMissingLoaderIsNamed(t *testing.T) {
	kerneltest.Instance(t)
	hello := commands.CHello(t, commands.Port("aarch64-linux-gnu"), "dynamic")
	root := t.TempDir()
	r := commands.Crossrun(t, "--sysroot", root, hello)
	assert.Equal(t, 126, r.Status)
	assert.Contains(t, r.Stderr, "crossrun: error: "+hello+": dynamically linked, and its loader /lib/ld-linux-aarch64.so.1 is not below "+root)
	assert.Contains(t, r.Stderr, "hint: apt-get install libc6-arm64-cross")
	assert.Empty(t, r.Stdout)
}

func TestCrossrunLeavesTheProgramAlone(t *testing.T) {
	kerneltest.Instance(t)
	hello := commands.GoHello(t, "arm64")
	commands.FindEmulator(t, kerneltest.Lookup(t, "arm64"))
	dir := t.TempDir()
	require.NoError(t, os.Symlink(hello, filepath.Join(dir, "greet")))

	cmd := commands.Command("crossrun", "greet", "x")
	cmd.Env = append(os.Environ(), "PATH="+dir)
	assert.Equal(t, commands.Result{Stdout: commands.GoSaying("arm64", "greet", "x")}, commands.Run(t, cmd), "argv[0] is what the caller gave")

	cmd = commands.Command("crossrun", "./greet")
	cmd.Dir = dir
	assert.Equal(t, commands.Result{Stdout: commands.GoSaying("arm64", "./greet")}, commands.Run(t, cmd))

	script := filepath.Join(dir, "script")
	require.NoError(t, os.WriteFile(script, []byte("#!"+hello+" argument with blanks\n"), 0o755))
	assert.Equal(t, commands.Result{Stdout: commands.GoSaying("arm64", hello, "argument with blanks", script, "y")}, commands.Crossrun(t, script, "y"))
}

// Go's own command finds crossrun under this name, and gives it no flags.
func TestGoRunsForeignProgramsWithoutAFlag(t *testing.T) {
	kerneltest.Instance(t)
	commands.FindEmulator(t, kerneltest.Lookup(t, "arm64"))
	bin := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(commands.Dir(), "crossrun"), filepath.Join(bin, "go_linux_arm64_exec")))
	cmd := exec.Command("go", "run", "../testdata/hello", "--print")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=arm64", "PATH="+bin+":"+os.Getenv("PATH"), "GOCACHE="+filepath.Join(commands.Dir(), fmt.Sprint("cache-", os.Getuid())))
	r := commands.Run(t, cmd)
	assert.Equal(t, 0, r.Status, r.Stderr)
	assert.Regexp(t, `^hello from arm64 1\.414\n"[^\n]*/hello"\n"--print"\n$`, r.Stdout)
}

func TestCrossrunRunsNativeProgramsAndScripts(t *testing.T) {
	kerneltest.Instance(t)
	assert.Equal(t, commands.Result{Status: 7, Stderr: "e\n", Stdout: "o\n"}, commands.Crossrun(t, "sh", "-c", "echo o; echo e >&2; exit 7"))
	script := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\necho $0 $1\n"), 0o755))
	assert.Equal(t, commands.Result{Stdout: script + " x\n"}, commands.Crossrun(t, script, "x"))
}

func TestCrossrunFailures(t *testing.T) {
	kerneltest.Instance(t)
	hello := commands.GoHello(t, "arm64")
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
		r := commands.Crossrun(t, test.args...)
		assert.Equal(t, test.status, r.Status, "%v", test.args)
		assert.Contains(t, r.Stderr, "crossrun: error: ", "%v", test.args)
		assert.Contains(t, r.Stderr, test.err, "%v", test.args)
		if test.hint != "" {
			assert.Contains(t, r.Stderr, "crossrun: hint: ", "%v", test.args)
			assert.Contains(t, r.Stderr, test.hint, "%v", test.args)
		}
		assert.LessOrEqual(t, strings.Count(r.Stderr, "\n"), 2, "one line and a hint: %s", r.Stderr)
		assert.Empty(t, r.Stdout)
	}
}

func TestCrossrunWithoutAnEmulatorSaysWhereOneIsHad(t *testing.T) {
	commands.NeedInstalled(t)
	kerneltest.Instance(t)
	hello := commands.GoHello(t, "arm64")
	require.NoError(t, unix.Mount(t.TempDir(), "/usr/bin", "", unix.MS_BIND, ""), "nobody else sees it: the mount namespace is the tests' own")
	defer func() { require.NoError(t, unix.Unmount("/usr/bin", 0)) }()
	cmd := commands.Command("crossrun", hello)
	cmd.Env = []string{"PATH=/usr/bin"}
	r := commands.Run(t, cmd)
	assert.Equal(t, 126, r.Status)
	assert.Contains(t, r.Stderr, "crossrun: error: aarch64: no emulator found: no qemu-aarch64-static or qemu-aarch64 in "+filepath.Dir(commands.Command("crossrun").Path)+":/usr/bin")
	assert.Contains(t, r.Stderr, "crossrun: hint: add static emulators of QEMU's to this image or system (qemu-user-static in most distributions), or name others with --emulator FILE")
	assert.Empty(t, r.Stdout)
}

func TestPrintSaysWhatWouldBeRun(t *testing.T) {
	fs := kerneltest.Instance(t)
	hello := commands.GoHello(t, "arm64")
	found := commands.FindEmulator(t, kerneltest.Lookup(t, "arm64"))
	faster := ""
	if cpu := found.FasterCPU(); cpu != "" {
		faster = " -cpu " + cli.Quote(cpu)
	}
	r := commands.Crossrun(t, "--direct", "--print", hello, "a b")
	assert.Equal(t, commands.Result{Stdout: fmt.Sprintf("%s -0 %s%s %s 'a b'\n", found.Path, hello, faster, hello)}, r)
	r = commands.Crossrun(t, "--print", hello, "a b")
	assert.Equal(t, commands.Result{Stdout: fmt.Sprintf("%s --private %s 'a b'\n", commands.Command("crossrun").Path, hello)}, r)

	r = commands.Crossrun(t, "-v", hello)
	assert.Equal(t, commands.GoSaying("arm64", hello), r.Stdout)
	assert.Contains(t, r.Stderr, "linux/arm64, static")
	assert.Regexp(t, `a private instance of binfmt_misc with \d+ emulators runs it`, r.Stderr)
	assert.Contains(t, r.Stderr, found.Path+": QEMU "+found.Version)
	r = commands.Crossrun(t, "--direct", "-v", hello)
	assert.Equal(t, commands.GoSaying("arm64", hello), r.Stdout)
	assert.Regexp(t, `--direct asks for it(; with .*)?: `+found.Path, r.Stderr)
	assert.Contains(t, r.Stderr, found.Path+": QEMU "+found.Version)

	require.Equal(t, 0, commands.Register(t, "arm64").Status)
	r = commands.Crossrun(t, "--print", hello, "a b")
	assert.Equal(t, commands.Result{Stdout: fmt.Sprintf("%s 'a b'\n", hello)}, r)
	r = commands.Crossrun(t, "-v", hello)
	assert.Contains(t, r.Stderr, "the kernel's entry qemu-aarch64 runs it")

	r = commands.Crossrun(t, "--print", "--cpu", "max", hello)
	assert.Equal(t, commands.Result{Stdout: fmt.Sprintf("%s -0 %s -cpu max %s\n", found.Path, hello, hello)}, r, "a CPU is emulated, whatever is registered")
	require.NoError(t, fs.Disable("qemu-aarch64"))
	r = commands.Crossrun(t, hello)
	assert.Equal(t, commands.GoSaying("arm64", hello), r.Stdout, "a disabled entry does not keep crossrun from its work")
}

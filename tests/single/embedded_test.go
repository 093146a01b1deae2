package single

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
	"github.com/projectcalico/go-build/tests/spdx"
)

// dist makes single files with two emulators embedded, and returns their directory.
func dist(t testing.TB) string {
	t.Helper()
	for _, goarch := range []string{"arm64", "s390x"} {
		if kerneltest.Native(t, kerneltest.Lookup(t, goarch)) {
			t.Skip(goarch, " is native here")
		}
	}
	from := filepath.Dir(commands.FindEmulator(t, kerneltest.Lookup(t, "arm64")).Path)
	if filepath.Dir(commands.FindEmulator(t, kerneltest.Lookup(t, "s390x")).Path) != from {
		t.Skip("emulators of two directories")
	}
	return commands.Built(t, "dist", func(path string) *exec.Cmd { return makeDist(t, from, path) })
}

func makeDist(t testing.TB, from, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("go", "run", "./image", "single-files", "--targets", "arm64,s390x", "--emulators", from, "--dir", path)
	cmd.Dir = "../.."
	return cmd
}

// single returns one of the single files.
func single(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(dist(t), name+"-linux-"+runtime.GOARCH)
}

// embedding runs a single file with a directory for its cache.
func embedding(t testing.TB, name, cache string, args ...string) commands.Result {
	t.Helper()
	cmd := exec.Command(single(t, name), args...)
	cmd.Env = append(os.Environ(), "CROSSRUN_CACHE="+cache)
	return commands.Run(t, cmd)
}

// bare makes a root file system that has nothing in it but crossrun and two
// programs.
func bare(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	require.NoError(t, os.Chmod(root, 0o755))
	require.NoError(t, os.Chmod(filepath.Dir(root), 0o755))
	commands.CopyFile(t, single(t, "crossrun"), filepath.Join(root, "crossrun"))
	commands.CopyFile(t, commands.GoHello(t, "arm64"), filepath.Join(root, "hello"))
	commands.CopyFile(t, commands.GoProgram(t, "false", "s390x"), filepath.Join(root, "false"))
	return root
}

func TestACarriedEmulatorRunsInAnEmptyRoot(t *testing.T) {
	kerneltest.Need(t)
	root := bare(t)
	in := func(cmd *exec.Cmd, env ...string) commands.Result {
		t.Helper()
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{}
		}
		cmd.SysProcAttr.Chroot, cmd.Dir, cmd.Env = root, "/", append([]string{}, env...)
		return commands.Run(t, cmd)
	}
	try := func(who func(*exec.Cmd) *exec.Cmd, env ...string) {
		t.Helper()
		for range 2 {
			assert.Equal(t, commands.Result{Stdout: commands.GoSaying("arm64", "./hello", "an argument")}, in(who(exec.Command("/crossrun", "./hello", "an argument")), env...))
			assert.Equal(t, commands.Result{Status: 1}, in(who(exec.Command("/crossrun", "/false")), env...))
		}
	}
	self := func(cmd *exec.Cmd) *exec.Cmd { return cmd }
	try(self)
	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	assert.Len(t, entries, 3, "nothing is left")
	try(self, "HOME=/home")
	kept, err := filepath.Glob(filepath.Join(root, "home/.cache/crossrun/emulators/*"))
	require.NoError(t, err)
	assert.Len(t, kept, 2)
	r := in(self(exec.Command("/crossrun", "-v", "./hello")), "HOME=/home", "QEMU_CPU=max")
	assert.Contains(t, r.Stderr, ": qemu-aarch64 -0 ./hello ./hello # embedded, QEMU ")
	assert.Contains(t, r.Stderr, ", in /home/.cache/crossrun/emulators/qemu-aarch64-")

	if os.Getuid() == 0 && !commands.SingleUser(t) {
		user := func(cmd *exec.Cmd) *exec.Cmd { return commands.Unprivileged(t, cmd) }
		try(user)
		try(user, "HOME=/home") // another's
		r := in(user(exec.Command("/crossrun", "-v", "./hello")), "HOME=/home", "QEMU_CPU=max")
		assert.Contains(t, r.Stderr, ", in memory: ")
	}
}

func TestACarriedEmulatorIsChecked(t *testing.T) {
	kerneltest.Need(t)
	hello, want := commands.GoHello(t, "arm64"), commands.FindEmulator(t, kerneltest.Lookup(t, "arm64"))
	for _, way := range []string{"--direct", "--private"} {
		cache := filepath.Join(t.TempDir(), "cache")
		use := func(where string) {
			t.Helper()
			r := embedding(t, "crossrun", cache, "-v", way, hello, "x")
			assert.Equal(t, 0, r.Status, r.Stderr)
			assert.Equal(t, commands.GoSaying("arm64", hello, "x"), r.Stdout)
			assert.Contains(t, r.Stderr, where)
		}
		use(", in " + cache)
		kept, err := filepath.Glob(filepath.Join(cache, "*"))
		require.NoError(t, err)
		require.Len(t, kept, 1, way)
		before, err := os.Stat(kept[0])
		require.NoError(t, err)
		use(", in " + cache)
		after, err := os.Stat(kept[0])
		require.NoError(t, err)
		assert.True(t, os.SameFile(before, after), "it was there")

		damaged, err := os.ReadFile(kept[0])
		require.NoError(t, err)
		damaged[len(damaged)/2] ^= 1
		require.NoError(t, os.Chmod(kept[0], 0o700))
		require.NoError(t, os.WriteFile(kept[0], damaged, 0o700))
		use(", in " + cache)
		assert.Equal(t, commands.Read(t, want.Path), commands.Read(t, kept[0]), "replaced")

		require.NoError(t, os.Chmod(cache, 0o777))
		use(", in memory: " + cache + ": others may write to it (mode 0777)")
	}
	if os.Getuid() == 0 && !commands.SingleUser(t) {
		cache := t.TempDir()
		require.NoError(t, os.Chown(cache, 65534, 65534))
		r := embedding(t, "crossrun", cache, "-v", "--direct", hello)
		assert.Contains(t, r.Stderr, ", in memory: "+cache+" belongs to user 65534: root puts nothing there")
		assert.Equal(t, commands.GoSaying("arm64", hello), r.Stdout)
	} else {
		home := t.TempDir()
		require.NoError(t, os.Chmod(home, 0o500))
		r := embedding(t, "crossrun", filepath.Join(home, "cache"), "-v", "--direct", hello)
		if os.Geteuid() != 0 {
			assert.Contains(t, r.Stderr, ", in memory: ")
		}
		assert.Equal(t, commands.GoSaying("arm64", hello), r.Stdout)
	}
}

// A full disk and one on which nothing can be executed are passed over.
func TestACacheThatWillNotDoIsPassedOver(t *testing.T) {
	kerneltest.Need(t)
	hello := commands.GoHello(t, "arm64")
	for _, test := range []struct {
		flags     uintptr
		size, why string
	}{{0, "size=1m", "no space left on device"}, {unix.MS_NOEXEC, "size=100m", "nothing can be executed there (noexec)"}} {
		cache := t.TempDir()
		if err := unix.Mount("cache", cache, "tmpfs", test.flags, "mode=0700,"+test.size); err != nil {
			t.Skip("mounts a tmpfs: ", err)
		}
		defer unix.Unmount(cache, unix.MNT_DETACH)
		for _, way := range []string{"--direct", "--private"} {
			r := embedding(t, "crossrun", cache, "-v", way, hello)
			assert.Equal(t, commands.GoSaying("arm64", hello), r.Stdout)
			assert.Contains(t, r.Stderr, ", in memory: ")
			assert.Contains(t, r.Stderr, test.why)
			left, err := os.ReadDir(cache)
			require.NoError(t, err)
			assert.Empty(t, left)
		}
	}
}

// Only what is in hand is unpacked; crossrun itself stands for the others.
func TestCarriedEmulatorsRunWhateverIsStarted(t *testing.T) {
	kerneltest.Instance(t)
	arm64, s390x := commands.Foreigners(t)
	hello := commands.GoHello(t, "arm64")
	cache := filepath.Join(t.TempDir(), "cache")
	list := func() (names []string) {
		kept, err := filepath.Glob(filepath.Join(cache, "*"))
		require.NoError(t, err)
		for _, path := range kept {
			name, _, _ := strings.Cut(filepath.Base(path), "-"+filepath.Base(path)[len(filepath.Base(path))-32:])
			names = append(names, name)
		}
		return names
	}
	r := embedding(t, "crossrun", cache, arm64, "/bin/sh", "-c", "cat /proc/sys/fs/binfmt_misc/qemu-s390x /proc/sys/fs/binfmt_misc/qemu-aarch64")
	assert.Equal(t, 0, r.Status, r.Stderr)
	assert.Contains(t, r.Stdout, "interpreter /proc/self/exe\nflags: PF\n")
	assert.Regexp(t, `interpreter /proc/self/fd/\d+\nflags: POF\n`, r.Stdout)
	assert.Equal(t, []string{"qemu-aarch64"}, list())

	for range 2 {
		r = embedding(t, "crossrun", cache, arm64, s390x, "/bin/sh", "-c", hello+` "an argument" | cat; `+s390x+` `+arm64+` sh -c "exit 37"`)
		assert.Equal(t, commands.Result{
			Stdout: "started by arm64\nstarted by s390x\n" + commands.GoSaying("arm64", hello, "an argument") + "started by s390x\nstarted by arm64\n",
			Status: 37,
		}, r)
		assert.Equal(t, []string{"qemu-aarch64", "qemu-s390x"}, list())
	}
	r = embedding(t, "crossrun", "off", "--private", "/bin/sh", "-c", s390x+" "+hello+" x")
	assert.Equal(t, commands.Result{Stdout: "started by s390x\n" + commands.GoSaying("arm64", hello, "x")}, r, "nothing is in hand, nor kept")

	// With a CPU of theirs, too.
	t.Setenv("CROSSRUN_CPU_ARM64", "cortex-a57")
	t.Setenv("CROSSRUN_CPU_S390X", "no-such-cpu")
	for _, words := range [][]string{{arm64}, {"--private"}} {
		r = embedding(t, "crossrun", "off", append(words, "/bin/sh", "-c", hello+`; env -i `+s390x)...)
		assert.Contains(t, r.Stdout, commands.GoSaying("arm64", hello), "%s", words)
		assert.Contains(t, r.Stderr, "no-such-cpu", "%s", words)
		assert.Equal(t, 1, r.Status, "%s", words)
	}
	t.Setenv("CROSSRUN_CPU_S390X", "")

	// In a root file system, of which nothing becomes part.
	root := t.TempDir()
	require.NoError(t, os.Chmod(root, 0o755))
	for _, dir := range []string{"proc", "sys", "dev", "root", "usr/bin"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	require.NoError(t, os.Symlink("/usr/bin", filepath.Join(root, "bin")))
	commands.CopyFile(t, arm64, filepath.Join(root, "usr/bin/starter"))
	commands.CopyFile(t, commands.GoHello(t, "s390x"), filepath.Join(root, "usr/bin/hello"))
	r = embedding(t, "crossrun", cache, "-v", "--rootfs", root, "starter", "/bin/hello", "x")
	assert.Equal(t, "started by arm64\n"+commands.GoSaying("s390x", "/bin/hello", "x"), r.Stdout, r.Stderr)
	assert.Contains(t, r.Stderr, "# embedded, QEMU ")
	entries, err := os.ReadDir(filepath.Join(root, "root"))
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func TestWhichEmulatorIsUsed(t *testing.T) {
	commands.NeedInstalled(t)
	kerneltest.Instance(t)
	commands.Foreigners(t)
	hello := commands.GoHello(t, "arm64")
	installed := commands.FindEmulator(t, kerneltest.Lookup(t, "arm64")).Path
	show := func(env []string, args ...string) string {
		t.Helper()
		cmd := exec.Command(single(t, "crossrun"), args...)
		cmd.Env = append(append(os.Environ(), "CROSSRUN_CACHE=/no/such/directory"), env...)
		r := commands.Run(t, cmd)
		assert.Equal(t, 0, r.Status, r.Stderr)
		return r.Stdout
	}
	described := "# embedded, QEMU " + strings.Split(commands.FindEmulator(t, kerneltest.Lookup(t, "arm64")).Version, " ")[0] + ", sha256:"
	assert.Contains(t, show(nil, "--print", "--direct", hello, "x y"), single(t, "crossrun")+" --direct "+hello+" 'x y' "+described)
	assert.Contains(t, show(nil, "--print", "--cpu", "max", hello), " --direct --cpu max "+hello+" "+described)
	assert.Contains(t, show(nil, "--print", hello), " --private "+hello+" "+described)
	t.Setenv("QEMU_CPU", "max") // which nobody else chooses then
	named := installed + " -0 " + hello + " " + hello + "\n"
	assert.Equal(t, named, show([]string{"CROSSRUN_EMULATOR_ARM64=" + installed}, "--print", "--direct", hello))
	assert.Equal(t, named, show(nil, "--print", "--emulator", installed, hello))
	assert.Contains(t, show([]string{"CROSSRUN_EMULATOR_ARM64=" + installed}, "--private", "cat", "/proc/sys/fs/binfmt_misc/qemu-aarch64"), "interpreter "+installed+"\n")

	// What is printed is what a shell runs.
	line := show(nil, "--print", "--direct", hello, "x y")
	assert.Equal(t, commands.Result{Stdout: commands.GoSaying("arm64", hello, "x y")}, commands.Run(t, exec.Command("/bin/sh", "-c", line)))

	// What is not embedded is looked for.
	if riscv64 := commands.GoHello(t, "riscv64"); !kerneltest.Native(t, kerneltest.Lookup(t, "riscv64")) {
		assert.Contains(t, show(nil, "--print", "--direct", riscv64), commands.FindEmulator(t, kerneltest.Lookup(t, "riscv64")).Path+" -0 ")
	}
	for _, name := range []string{"crossrun", "register"} {
		r := commands.Run(t, exec.Command(single(t, name), "--version"))
		assert.Contains(t, r.Stdout, "\n2 emulators embedded, QEMU ")
		assert.Regexp(t, `(?m)^QEMU \S+.*: faults E\d+.*\nWhat these faults are: docs/emulators.md#faults of \S+$`, r.Stdout)
		assert.Contains(t, r.Stdout, ": aarch64 s390x\n")
		assert.NotContains(t, commands.Run(t, commands.Command(name, "--version")).Stdout, "embedded")
	}
}

func TestRegisterHandsCarriedEmulatorsToTheKernel(t *testing.T) {
	commands.NeedInstalled(t)
	fs := kerneltest.Instance(t)
	hello := commands.GoHello(t, "arm64")
	installed := commands.FindEmulator(t, kerneltest.Lookup(t, "arm64"))
	single := single(t, "register")
	register := func(args ...string) commands.Result {
		t.Helper()
		return commands.Run(t, exec.Command(single, args...))
	}

	r := register("--dry-run", "arm64", "s390x")
	assert.Regexp(t, `qemu-aarch64 +POF +embedded \([0-9a-f]{12}\) .*would add`, r.Stdout)
	require.Empty(t, commands.List(t, fs))
	r = register("arm64", "s390x")
	require.Equal(t, 0, r.Status, r.Stderr)
	assert.Regexp(t, `qemu-aarch64 +POF +embedded \([0-9a-f]{12}\) .*added, runs`, r.Stdout)
	assert.Equal(t, commands.Result{Stdout: commands.GoSaying("arm64", hello, "x")}, commands.Run(t, exec.Command(hello, "x")))
	entry, err := fs.Get("qemu-aarch64")
	require.NoError(t, err)
	r = register("arm64", "s390x")
	assert.Regexp(t, `qemu-s390x +POF +embedded \([0-9a-f]{12}\) .*kept, runs`, r.Stdout)
	again, err := fs.Get("qemu-aarch64")
	require.NoError(t, err)
	assert.Equal(t, entry.Registered, again.Registered)

	r = register("--status")
	assert.Regexp(t, `qemu-aarch64 +POF +embedded \([0-9a-f]{12}\) .*runs`, r.Stdout)
	r = register("--status", "--output", "json")
	var report struct {
		Architectures []struct {
			Embedded string
			Holds    struct {
				Current bool
				Digest  string
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(r.Stdout), &report))
	require.Len(t, report.Architectures, 2)
	for _, a := range report.Architectures {
		assert.True(t, a.Holds.Current)
		assert.Equal(t, a.Embedded, a.Holds.Digest)
	}
	r = commands.Run(t, commands.Command("register", "--status"))
	assert.Regexp(t, `qemu-aarch64 +POF +in memory .* runs`, r.Stdout, "to a register with nothing embedded")

	// Another emulator in memory is replaced, and so is one on disk; a directory
	// that is named comes first.
	dirs, _ := commands.TwoVersions(t, kerneltest.Lookup(t, "arm64"))
	r = register("--qemu-path", dirs[0], "arm64")
	assert.Contains(t, r.Stdout, "replaced (interpreter "+dirs[0])
	r = register("arm64")
	assert.Regexp(t, `qemu-aarch64 +POF +embedded .*replaced \(.*\), runs`, r.Stdout)
	r = register("-p", "no", "arm64")
	assert.Regexp(t, `qemu-aarch64 +PO +`+installed.Path, r.Stdout, "without F only a path will do")
	r = register("arm64")
	assert.Regexp(t, `embedded .*replaced \(.*\), runs`, r.Stdout)
	assert.Zero(t, register("--uninstall").Status)
	assert.Empty(t, commands.List(t, fs))
}

// The same emulators and source give the same files, and what is said of them is
// so.
func TestSingleFilesAreReproducible(t *testing.T) {
	kerneltest.Need(t)
	if commands.SingleUser(t) {
		t.Skip("builds again, which takes a cache: the run as root does")
	}
	one := dist(t)
	from := filepath.Dir(commands.FindEmulator(t, kerneltest.Lookup(t, "arm64")).Path)
	other := filepath.Join(t.TempDir(), "elsewhere")
	out, err := makeDist(t, from, other).CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, commands.Read(t, filepath.Join(one, "SHA256SUMS")), commands.Read(t, filepath.Join(other, "SHA256SUMS")))
	check := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	check.Dir = other
	r := commands.Run(t, check)
	assert.Equal(t, 0, r.Status, r.Stderr)
	assert.Equal(t, 6, strings.Count(r.Stdout, ": OK\n"), r.Stdout)

	document := spdx.Parse(t, []byte(commands.Read(t, single(t, "crossrun")+".spdx.json")))
	assert.Equal(t, "GPL-2.0-only", document.Package(t, "qemu-s390x").LicenseDeclared)
	said := make(map[string]string)
	for _, p := range document.Packages {
		for _, c := range p.Checksums {
			said[p.Name] = c.ChecksumValue
		}
	}
	assert.Contains(t, said, filepath.Base(single(t, "crossrun")))
	assert.Contains(t, said, "qemu-aarch64")
	assert.Contains(t, said, "qemu-s390x")
}

// Licences and the offer of the source go beside a single file, and it names where they
// are wherever it goes.
func TestLicencesAreBesideSingleFiles(t *testing.T) {
	for _, name := range []string{"crossrun", "register"} {
		base := name + "-linux-" + runtime.GOARCH
		list := commands.Run(t, exec.Command("tar", "--list", "--gzip", "--file", single(t, name)+".licenses.tar.gz"))
		for _, file := range []string{"programs.spdx.json", "licenses/SOURCE", "licenses/LICENSE", "licenses/modules.txt", "licenses/qemu/"} {
			assert.Contains(t, list.Stdout, "\n"+base+"/"+file+"\n")
		}
		assert.Contains(t, commands.Run(t, exec.Command(single(t, name), "--version")).Stdout, "docs/licences.md\n")
	}
}

// What is inside of the command has no path that an entry could name at the next boot.
func TestFilesForTheNextBootAreNotOfCarriedEmulators(t *testing.T) {
	kerneltest.Instance(t)
	single := single(t, "register")
	for _, mode := range [][]string{{"--systemd", "ALL"}, {"--debian"}} {
		dir := t.TempDir()
		cmd := exec.Command(single, append(mode, "--exportdir", dir)...)
		cmd.Env = append(os.Environ(), "PATH=/nonexistent")
		r := commands.Run(t, cmd)
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		require.NoError(t, err)
		for _, file := range files { // of emulators that are installed, too
			assert.NotContains(t, commands.Read(t, file), "/proc/self/fd")
		}
		assert.Equal(t, len(files) > 0, r.Status == 0, r.Stderr)
		if r.Status != 0 {
			assert.Contains(t, r.Stderr, "the embedded emulators have no path from which they could be registered at boot")
		}
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/tinyelf"
	"github.com/projectcalico/go-build/internal/watch"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

func TestAWayIsWrittenAsACommand(t *testing.T) {
	for _, test := range []struct {
		way  way
		want string
	}{
		{way{path: "/bin/ls", argv: []string{"ls", "-l"}}, "/bin/ls -l"},
		{way{path: "./a b", argv: []string{"./a b"}}, "'./a b'"},
		{way{path: "a=b/c", argv: []string{"a=b/c"}}, "'a=b/c'"},
		{way{path: "./a", argv: []string{"./a", ""}, env: []string{"QEMU_LD_PREFIX=/srv/my root"}}, "QEMU_LD_PREFIX='/srv/my root' ./a ''"},
		{way{path: "./a", argv: []string{"./a"}, env: []string{"X=", "Y=a=b"}}, "X='' Y='a=b' ./a"},
	} {
		assert.Equal(t, test.want, test.way.String())
	}
}

// What is printed is what a shell makes the same call of.
func TestShellsReadAWayBack(t *testing.T) {
	dir, err := os.MkdirTemp("", "way-")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	self := fmt.Sprintf("/proc/%d/exe", os.Getpid()) // which those may execute who may not go to where it is
	rng := rand.New(rand.NewPCG(1, 2))
	alphabet := []string{
		"a", "B", "7", " ", "\t", "\n", "'", "''", `"`, `\`, `\n`, "$", "$HOME", "${x}", "$(id)", "`id`", "!", "!!", "*", "?", "[a]", "{a,b}", "~", "~root",
		"#", "%", "%1", "&", "|", ";", "<", ">", "(", ")", "=", "a=b", "-", "--", "+", ",", ".", "/", ":", "@", "_", "ü", "\xff", "\x01", "\r", "if", "exec",
	}
	word := func() string {
		var s strings.Builder
		for range rng.IntN(6) {
			s.WriteString(alphabet[rng.IntN(len(alphabet))])
		}
		return s.String()
	}
	shells := 0
	for _, shell := range []string{"sh", "bash", "busybox sh"} {
		argv := strings.Fields(shell)
		if _, err := exec.LookPath(argv[0]); err != nil {
			t.Log("not tried: ", err)
			continue
		}
		shells++
		for i := range 100 {
			// A relative path, whose first word a shell may take for something else.
			// (A leading % is bash's sign of a job, quoted or not.)
			folder := strings.TrimLeft(strings.ReplaceAll(word(), "/", "_"), "%") + fmt.Sprint(shells, "-", i)
			path := folder + "/" + strings.ReplaceAll(word(), "/", "_") + "x"
			require.NoError(t, os.MkdirAll(filepath.Join(dir, folder), 0o755))
			require.NoError(t, os.Symlink(self, filepath.Join(dir, path)))
			l := &way{path: path, argv: []string{path}, env: []string{"QEMU_LD_PREFIX=" + word()}}
			for range rng.IntN(4) {
				l.argv = append(l.argv, word())
			}
			cmd := exec.Command(argv[0], append(argv[1:], "-c", l.String())...)
			cmd.Dir = dir
			cmd.Env = []string{echo + "=QEMU_LD_PREFIX", "HOME=/home", "PATH=" + os.Getenv("PATH")}
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s: %s: %s", shell, l, out)
			var got [][]byte
			require.NoError(t, json.Unmarshal(out, &got), "%s: %s: %s", shell, l, out)
			want := append(l.argv, strings.TrimPrefix(l.env[0], "QEMU_LD_PREFIX="))
			for i := range want {
				require.Equal(t, want[i], string(got[i]), "%s: %s", shell, l)
			}
			require.Len(t, got, len(want))
		}
	}
	require.Positive(t, shells)
}

func TestOnlyErrorsThatAnEmulatorMendsFallBackToIt(t *testing.T) {
	for err, want := range map[error]struct{ native, foreign bool }{
		syscall.ENOEXEC: {true, true}, // scripts without #!, and native programs that this CPU cannot run
		syscall.ENOENT:  {false, true},
		syscall.EACCES:  {},
		syscall.ELOOP:   {},
		syscall.ENOMEM:  {},
		syscall.E2BIG:   {},
	} {
		for _, err := range []error{err, fmt.Errorf("wrapped: %w", err)} {
			assert.Equal(t, want.native, fallsBack(err, false), err)
			assert.Equal(t, want.foreign, fallsBack(err, true), err)
		}
	}
	assert.False(t, fallsBack(nil, true))
}

func TestWhatExecveRefusesIsExplained(t *testing.T) {
	arch := lookup(t, "arm64")
	dynamic := &program{path: "./hello", interp: "/lib/ld-linux-aarch64.so.1", header: elfmagic.Header{Arch: arch}}
	text, hint := said(refused(dynamic, syscall.ENOENT))
	assert.Equal(t, "./hello: dynamically linked, and its loader /lib/ld-linux-aarch64.so.1 is not on this system", text)
	assert.Contains(t, hint, "libc6-arm64-cross")
	assert.EqualError(t, refused(dynamic, syscall.EACCES), "./hello: permission denied")

	script := &program{path: "./script", script: dynamic}
	text, _ = said(refused(script, syscall.ENOENT))
	assert.Contains(t, text, "./hello: dynamically linked")

	static := &program{path: "./static", header: elfmagic.Header{Arch: arch}}
	err := refused(static, syscall.ENOENT)
	assert.EqualError(t, err, "./static: no such file or directory")
	assert.ErrorIs(t, err, syscall.ENOENT)
	assert.Equal(t, exitCannot, statusOf(t, err))
}

// foreign is an architecture, 64 bits wide and little-endian, that no kernel of
// this one runs.
func foreign(t *testing.T) *elfmagic.Arch {
	if runtime.GOARCH == "arm64" {
		return lookup(t, "riscv64")
	}
	return lookup(t, "arm64")
}

func TestWhatIsPrintedFollowsFromTheOptionsAndTheProgram(t *testing.T) {
	fs := kerneltest.Instance(t)
	arch := foreign(t)
	loader := "/lib/no-such-loader.so.1"
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	static := write(t, in("static"), binaryFor(t, arch, ""))
	dynamic := write(t, in("dynamic"), binaryFor(t, arch, loader))
	script := write(t, in("script"), []byte("#!"+static+" -a b\n"))
	text := write(t, in("text"), []byte("hello\n"))
	qemu := write(t, in("bin/qemu-odd"), []byte("x"))
	box := write(t, in("bin/box64"), []byte("x"))
	greet := write(t, in("bin/greet"), binaryFor(t, arch, ""))
	root := in("root")
	write(t, root+loader, binaryFor(t, arch, ""))
	t.Chdir(dir)
	t.Setenv("PATH", in("bin")+":"+os.Getenv("PATH"))
	t.Setenv("QEMU_LD_PREFIX", "")

	type want struct {
		status         int
		stdout, stderr string
	}
	for _, test := range []struct {
		args []string
		want want
	}{
		{[]string{"--emulator", "qemu-odd", static, "-x", "a b"}, want{0, qemu + " -0 " + static + " " + static + " -x 'a b'\n", ""}},
		{[]string{"--emulator", qemu, "./static"}, want{0, qemu + " -0 ./static ./static\n", ""}},
		{[]string{"--emulator", qemu, "greet", "x"}, want{0, qemu + " -0 greet " + greet + " x\n", ""}},
		{[]string{"--emulator", box, "./static", "x"}, want{0, box + " ./static x\n", ""}},
		{[]string{"--emulator", qemu, "--cpu", "max", "./static"}, want{0, qemu + " -0 ./static -cpu max ./static\n", ""}},
		{[]string{"--emulator", box, "--cpu", "max", "./static"}, want{exitFailed, "", "crossrun: error: --cpu: " + box + " does not look like one of QEMU's emulators\n"}},
		{[]string{"--emulator", qemu, "--sysroot", root, dynamic}, want{0, qemu + " -0 " + dynamic + " -L " + root + " " + dynamic + "\n", ""}},
		{[]string{"--emulator", qemu, "--sysroot", "root", dynamic}, want{0, qemu + " -0 " + dynamic + " -L " + root + " " + dynamic + "\n", ""}},
		{[]string{"--emulator", qemu, "--sysroot", "root", "./static"}, want{0, qemu + " -0 ./static -L root ./static\n", ""}},
		{[]string{"--emulator", qemu, script, "c"}, want{0, qemu + " -0 " + static + " " + static + " '-a b' " + script + " c\n", ""}},
		{[]string{"--emulator", "no-such-emulator", static}, want{exitFailed, "", "crossrun: error: --emulator no-such-emulator: executable file not found in $PATH\ncrossrun: hint: name a file, or a command in PATH\n"}},
		{[]string{"--emulator", text + "x", static}, want{exitFailed, "", "crossrun: error: --emulator " + text + "x: stat " + text + "x: no such file or directory\ncrossrun: hint: name a file, or a command in PATH\n"}},
		{[]string{"--emulator", qemu, text}, want{exitCannot, "", "crossrun: error: " + text + ": not an ELF file\ncrossrun: hint: nor is it a script with a #! line, and the kernel has no entry for such files; file(1) may know what it is\n"}},
		{[]string{"--sysroot", dir, dynamic}, want{exitCannot, "", "crossrun: error: " + dynamic + ": dynamically linked, and its loader " + loader + " is not below " + dir + "\n"}},
		{[]string{dynamic}, want{exitCannot, "", "crossrun: error: " + dynamic + ": dynamically linked, and its loader " + loader + " is not on this system\n"}},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			status, stdout, stderr := called(append([]string{"--print"}, test.args...)...)
			assert.Equal(t, test.want.status, status, stderr)
			assert.Equal(t, test.want.stdout, stdout)
			if strings.Contains(test.want.stderr, "its loader") {
				// The hint has a test of its own.
				stderr, _, _ = strings.Cut(stderr, "crossrun: hint: ")
			}
			assert.Equal(t, test.want.stderr, stderr)
		})
	}

	// With an entry in the kernel that is for them the programs run as they are.
	entry := binfmt.Entry{Name: "odd", Pattern: arch.Pattern(), Interpreter: "/usr/bin/odd"}
	require.NoError(t, fs.Register(entry))
	for _, test := range []struct{ args, want string }{
		{"--print " + static + " -x", static + " -x\n"},
		{"--print " + script + " c", script + " c\n"},
		{"--print --sysroot root " + dynamic, "QEMU_LD_PREFIX=" + root + " " + dynamic + "\n"},
		{"--print --emulator qemu-odd " + static, qemu + " -0 " + static + " " + static + "\n"},
	} {
		status, stdout, stderr := called(strings.Fields(test.args)...)
		assert.Equal(t, want{0, test.want, ""}, want{status, stdout, stderr}, test.args)
	}

	// Nobody but crossrun keeps the time.
	for args, want := range map[string]string{
		"--emulator qemu-odd --cpu max ./static -x": " --direct --timeout 1m30s --emulator qemu-odd --cpu max ./static -x\n",
		"./static": " --kernel --timeout 1m30s ./static\n",
	} {
		status, stdout, stderr := called(append([]string{"--print", "--timeout", "90s"}, strings.Fields(args)...)...)
		assert.Zero(t, status, stderr)
		assert.True(t, strings.HasSuffix(stdout, want), stdout)
	}

	// An entry that is disabled is for none.
	require.NoError(t, fs.Disable("odd"))
	status, stdout, _ := called("--direct", "--print", "--sysroot", root, dynamic)
	if status == 0 {
		assert.Contains(t, stdout, "-L "+root, "an emulator is used")
	} else {
		assert.Equal(t, exitCannot, status, "there is none")
	}
	status, stdout, _ = called("--private", "--print", "--sysroot", root, dynamic)
	if status == 0 {
		assert.Regexp(t, `^QEMU_LD_PREFIX=`+regexp.QuoteMeta(root)+` \S+ --private `+regexp.QuoteMeta(dynamic)+"\n$", stdout)
	} else {
		assert.Equal(t, exitCannot, status, "there is no emulator, or no instance")
	}
	status, stdout, stderr := called("--kernel", "--print", static)
	assert.Equal(t, exitCannot, status, "%s%s", stdout, stderr)
	assert.Contains(t, stderr, "the kernel has no enabled entry for it")
}

func TestAPathThatLooksLikeAFlagIsNone(t *testing.T) {
	arch := foreign(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "-dash", "program"), binaryFor(t, arch, ""))
	qemu := write(t, filepath.Join(dir, "qemu-odd"), []byte("x"))
	t.Chdir(dir)
	status, stdout, stderr := called("--print", "--emulator", qemu, "--", "-dash/program")
	assert.Equal(t, 0, status, stderr)
	assert.Equal(t, qemu+" -0 -dash/program ./-dash/program\n", stdout)
}

// A native program may start foreign ones: it is watched, unless all have entries.
func TestANativeProgramIsPrintedAsItIsRun(t *testing.T) {
	fs := kerneltest.Instance(t)
	path, err := exec.LookPath("sh")
	require.NoError(t, err)
	printed := func() string {
		status, stdout, stderr := called("--print", "sh", "-c", "exit 1")
		assert.Equal(t, 0, status, stderr)
		assert.Empty(t, stderr)
		return stdout
	}
	assert.True(t, strings.HasSuffix(printed(), " --watched "+path+" -c 'exit 1'\n"))
	registerForeign(t, fs)
	assert.Equal(t, path+" -c 'exit 1'\n", printed())
	require.NoError(t, fs.Disable("s390x"))
	assert.Contains(t, printed(), " --watched ")
}

// registerForeign registers entries for the architectures that people build for.
func registerForeign(t *testing.T, fs binfmt.FS) {
	t.Helper()
	native := append(host.Relatives(lookup(t, runtime.GOARCH)), lookup(t, runtime.GOARCH))
	for _, arch := range elfmagic.Archs() {
		if arch.GOARCH != "" && !slices.Contains(native, arch) {
			require.NoError(t, fs.Register(binfmt.Entry{Name: arch.Name, Pattern: arch.Pattern(), Interpreter: "/usr/bin/odd"}))
		}
	}
}

// What is printed runs the program with the emulators that were named.
func TestNamedEmulatorsArePrinted(t *testing.T) {
	p := &program{path: "./x", argv: []string{"x", "y"}}
	o := &options{emulator: "box", emulators: []string{"arm64=/opt/qemu a", "box", "arm=fex"}}
	for _, flag := range []string{byInstance, byWatch} {
		w := &way{flag: flag, path: p.path, argv: p.argv}
		assert.True(t, strings.HasSuffix(w.printed(p, o).String(), " "+flag+" --emulator 'arm64=/opt/qemu a' --emulator 'arm=fex' ./x y"), "%s", w.printed(p, o))
	}
}

func TestARootFileSystemIsPrintedWithItsFlags(t *testing.T) {
	p := &program{path: "/bin/x", argv: []string{"x", "y"}}
	o := &options{rootfs: "/r", emulators: []string{"arm64=/opt/qemu"}, timeout: time.Minute, setenv: []string{"A=b"}, args: []string{"x", "y"}}
	w := &way{flag: inRoot, path: p.path, argv: p.argv}
	assert.Regexp(t, ` --rootfs /r --emulator 'arm64=/opt/qemu' --timeout 1m0s --setenv 'A=b' x y$`, w.printed(p, o).String())
	o.archive, o.platform = "/r.tar", "arm64"
	assert.Regexp(t, ` --rootfs /r.tar .* --platform arm64 `, w.printed(p, o).String())
}

// A relative's programs, which the kernel runs as they are, are printed so: as the host's own, where it is
// seen what they start.
func TestARelativeIsPrintedAsItIsRun(t *testing.T) {
	fs := kerneltest.Instance(t)
	for _, arch := range host.Relatives(lookup(t, runtime.GOARCH)) {
		if !kerneltest.Native(t, arch) {
			continue
		}
		content, err := tinyelf.Program(arch)
		require.NoError(t, err)
		path := write(t, filepath.Join(t.TempDir(), "program"), content)
		if watch.Sees(arch) {
			status, stdout, stderr := called("--print", path)
			assert.Equal(t, 0, status, stderr)
			assert.True(t, strings.HasSuffix(stdout, " --watched "+path+"\n"), stdout)
			registerForeign(t, fs)
		}
		status, stdout, stderr := called("--print", path)
		assert.Equal(t, 0, status, stderr)
		assert.Equal(t, path+"\n", stdout)
	}
}

func TestKernelRunsSaysWhy(t *testing.T) {
	fs := kerneltest.Instance(t)
	native := lookup(t, runtime.GOARCH)
	arch := foreign(t)
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "program.odd"), binaryFor(t, arch, ""))
	p, err := inspect("", path, []string{path}, 0)
	require.NoError(t, err)
	why := func(p *program) string { return kernelRuns(p, native) }
	assert.Empty(t, why(p))
	assert.Equal(t, "it is for this host", why(&program{path: path, header: elfmagic.Header{Arch: native}}))
	assert.Empty(t, why(&program{path: path, header: elfmagic.Header{Arch: native}, elfErr: errors.New("cut off")}))

	require.NoError(t, fs.Register(binfmt.Entry{Name: "by-name", Extension: "odd", Interpreter: "/usr/bin/odd"}))
	assert.Equal(t, "the kernel's entry by-name runs it with /usr/bin/odd", why(p))
	require.NoError(t, fs.Register(binfmt.Entry{Name: "by-magic", Pattern: arch.Pattern(), Interpreter: "/usr/bin/qemu"}))
	assert.Equal(t, "the kernel's entry by-magic runs it with /usr/bin/qemu", why(p), "the newest comes first")
	require.NoError(t, fs.Disable("by-magic"))
	assert.Equal(t, "the kernel's entry by-name runs it with /usr/bin/odd", why(p))
	assert.Empty(t, why(&program{path: filepath.Join(dir, "missing"), header: elfmagic.Header{Arch: arch}}))
}

func TestVerboseSaysWhatAndWhy(t *testing.T) {
	arch := lookup(t, "arm64")
	static := &program{path: "./s", header: elfmagic.Header{Arch: arch}}
	dynamic := &program{path: "./d", header: elfmagic.Header{Arch: arch}, interp: "/lib/ld.so"}
	text := &program{path: "./t", elfErr: elfmagic.ErrNotELF}
	taken := &way{flag: "--private", path: "./x", argv: []string{"./x", "a b"}, why: "somebody asks for it"}
	list := []*way{{flag: "--kernel", err: errors.New("no entry")}, {flag: "--direct", path: "qemu", argv: []string{"qemu", "x"}}, taken}
	for _, test := range []struct {
		program *program
		want    string
	}{
		{static, "./s: linux/arm64, static"},
		{dynamic, "./d: linux/arm64, needs /lib/ld.so"},
		{text, "./t: not an ELF file"},
		{&program{path: "./u", elfErr: os.ErrPermission}, "./u: permission denied"},
		{&program{path: "./x", script: dynamic}, "./x: script for ./d, linux/arm64, needs /lib/ld.so"},
		{&program{path: "./y", script: &program{path: "./x", script: static}}, "./y: script for ./s, linux/arm64, static"},
	} {
		var out bytes.Buffer
		say(&out, test.program, list, taken)
		assert.Equal(t, "crossrun: "+test.want+"\ncrossrun: --kernel: unavailable: no entry\ncrossrun: --direct: not needed: qemu x\ncrossrun: somebody asks for it: ./x 'a b'\n", out.String())
		out.Reset()
		say(&out, test.program, nil, taken)
		assert.Empty(t, out.String())
	}
}

func TestWaysExcludeOneAnother(t *testing.T) {
	for _, args := range []string{"--kernel --private", "--private --direct", "--direct --kernel", "--private --cpu max", "--kernel --emulator qemu-arm", "--private -g 1234", "--rootfs / --direct", "--watched --private", "--watched --cpu max", "--rootfs / --cpu max", "--rootfs / --sysroot /"} {
		status, stdout, stderr := called(append(strings.Fields(args), "/bin/true")...)
		assert.Equal(t, exitFailed, status, args)
		assert.Empty(t, stdout)
		assert.Contains(t, stderr, "ask for different things", args)
		assert.Contains(t, stderr, "crossrun: hint: leave one out\n", args)
	}
	for _, test := range []struct {
		args string
		mode string
	}{
		{"", firstWay}, {"--kernel", byKernel}, {"--private", byInstance}, {"--watched", byWatch}, {"--direct", byEmulator},
		{"--cpu max", byEmulator}, {"--direct --emulator x --cpu max -g 1", byEmulator},
	} {
		var o options
		require.NoError(t, o.flags().Parse(strings.Fields(test.args)))
		require.NoError(t, o.nameEmulators())
		require.NoError(t, o.mode())
		assert.Equal(t, test.mode, o.asked, test.args)
	}
}

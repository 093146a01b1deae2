package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/watch"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// echo, in the environment, makes this program print what it was executed
// with: a JSON array of its arguments, and below it the variable that echo names.
const echo = "CROSSRUN_TEST_ECHO"

func TestMain(m *testing.M) {
	private.Main()
	watch.Main(configureWatched)
	if os.Args[0] == helperName {
		main()
	}
	if os.Getenv(withoutSetns) != "" {
		if err := denySetns(os.Getenv(withoutSetns)); err != nil {
			panic(err)
		}
		main()
	}
	if variable := os.Getenv(echo); variable != "" {
		// Bytes, because arguments need not be UTF-8.
		var args [][]byte
		for _, arg := range os.Args {
			args = append(args, []byte(arg))
		}
		err := json.NewEncoder(os.Stdout).Encode(append(args, []byte(os.Getenv(variable))))
		if err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	// What the machine has registered is not there in a private instance.
	os.Exit(kerneltest.Main(m))
}

var lookup = kerneltest.Lookup

// binaryFor is a whole ELF file for a 64-bit little-endian architecture, with
// nothing in it. Its loader is empty if it is static.
func binaryFor(t testing.TB, arch *elfmagic.Arch, loader string) []byte {
	t.Helper()
	require.Equal(t, elf.ELFCLASS64, arch.Class)
	require.Equal(t, elf.ELFDATA2LSB, arch.Data)
	const header, each = 64, 56
	h := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(arch.Class), byte(arch.Data), 1},
		Type:  uint16(elf.ET_DYN), Machine: uint16(arch.Machine), Version: 1,
		Phoff: header, Ehsize: header, Phentsize: each, Phnum: 1,
	}
	if loader != "" {
		h.Phnum = 2
	}
	end := uint64(header) + each*uint64(h.Phnum)
	size := end
	if loader != "" {
		size += uint64(len(loader)) + 1
	}
	var b bytes.Buffer
	write := func(part any) { require.NoError(t, binary.Write(&b, binary.LittleEndian, part)) }
	write(h)
	write(elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R), Filesz: size, Memsz: size})
	if loader != "" {
		write(elf.Prog64{Type: uint32(elf.PT_INTERP), Off: end, Filesz: size - end, Memsz: size - end})
		b.WriteString(loader + "\x00")
	}
	return b.Bytes()
}

func write(t testing.TB, path string, content []byte) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, content, 0o755))
	return path
}

// called runs the command in this process. It must not come to execute
// anything.
func called(args ...string) (status int, stdout, stderr string) {
	var out, err strings.Builder
	status = run(args, &out, &err)
	return status, out.String(), err.String()
}

func TestHelpIsOnStandardOutput(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"-h"}, {"-v", "--help", "/no/such/program"}} {
		status, stdout, stderr := called(args...)
		assert.Equal(t, 0, status)
		assert.Empty(t, stderr)
		kerneltest.Golden(t, "help.txt", stdout)
	}
}

func TestVersion(t *testing.T) {
	status, stdout, stderr := called("--version")
	assert.Equal(t, 0, status)
	assert.Empty(t, stderr)
	assert.Regexp(t, `^crossrun \S+ go1\.\d+\S* linux/\w+\n((QEMU \S+.*: .*faults.*\n)+What these faults are: docs/emulators\.md#faults of \S+\n)?$`, stdout)
}

func TestWrongCommandLinesAreCrossrunsOwnFailure(t *testing.T) {
	for _, test := range []struct {
		args []string
		err  string
	}{
		{nil, "no program given"},
		{[]string{"--"}, "no program given"},
		{[]string{"-v"}, "no program given"},
		{[]string{"--names", "qemu", "/bin/true"}, "--names is for --link: which links are made"},
		{[]string{"--bogus", "/bin/true"}, "unknown flag: --bogus"},
		{[]string{"-x", "/bin/true"}, "unknown shorthand flag: 'x' in -x"},
		{[]string{"--sysroot"}, "flag needs an argument: --sysroot"},
		{[]string{"--print=perhaps", "/bin/true"}, `invalid argument "perhaps" for "--print" flag: must be true or false`},
	} {
		status, stdout, stderr := called(test.args...)
		assert.Equal(t, exitFailed, status)
		assert.Empty(t, stdout)
		assert.Equal(t, "crossrun: error: "+test.err+"\ncrossrun: hint: crossrun [flags] BINARY [ARG…]; crossrun --help says more\n", stderr)
	}
}

// A value that may be left out is behind an equals sign.
func TestAValueThatIsTakenForTheProgramIsSaid(t *testing.T) {
	t.Setenv(translationsVariable, "") // run sets it
	t.Setenv("PATH", t.TempDir())
	for args, hint := range map[string]string{
		"--cache clear":                      "--cache=clear",
		"--cache show":                       "--cache=show",
		"--cache-translations off ./program": "--cache-translations=off",
		"--cache-translations on ./program":  "--cache-translations=on",
	} {
		_, _, stderr := called(strings.Fields(args)...)
		assert.Contains(t, stderr, "crossrun: hint: "+hint+"\n", args)
	}
}

func TestWhatFollowsTheProgramIsTheProgramsOwn(t *testing.T) {
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"a"}, []string{"a"}},
		{[]string{"-v", "a", "--help", "-v"}, []string{"a", "--help", "-v"}},
		{[]string{"--", "a", "--"}, []string{"a", "--"}},
		{[]string{"--", "--help"}, []string{"--help"}},
		{[]string{"--cpu", "max", "a", "--cpu"}, []string{"a", "--cpu"}},
	} {
		var o options
		f := o.flags()
		require.NoError(t, f.Parse(test.args))
		assert.Equal(t, test.want, f.Args())
		assert.False(t, o.help)
	}
}

func TestUnderTheNameOfAHookAllArgumentsAreTheProgramsOwn(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"crossrun -v a", "-v a"},
		{"/usr/bin/crossrun a -v", "a -v"},
		{"go_linux_arm64_exec a -test.v", "-- a -test.v"},
		{"/usr/local/bin/go_linux_386_exec -a", "-- -a"},
		{"go_linux_arm64_exec", "--"},
		{"go_darwin_arm64_exec -v a", "-v a"},
		{"go_linux_arm64_exec.sh -v a", "-v a"},
		{"/go_linux_arm64_exec/crossrun -v a", "-v a"},
	} {
		assert.Equal(t, strings.Fields(test.want), arguments(strings.Fields(test.args)), test.args)
	}
}

// said is what a user sees of an error: its hint, too.
func said(err error) (text, hint string) {
	if err == nil {
		return "", ""
	}
	return err.Error(), cli.Hint(err)
}

func statusOf(t *testing.T, err error) int {
	t.Helper()
	var status *statusError
	require.ErrorAs(t, err, &status)
	return status.status
}

func TestADirectoryThatIsNamedMustBeOne(t *testing.T) {
	dir := t.TempDir()
	assert.NoError(t, existingDirectory("--sysroot", dir))
	file := write(t, filepath.Join(dir, "file"), nil)
	assert.EqualError(t, existingDirectory("--sysroot", file), "--sysroot: "+file+" is not a directory")
	_, hint := said(existingDirectory("--sysroot", file))
	assert.Equal(t, "name the directory that has lib/ and usr/ in it", hint)
	_, hint = said(existingDirectory("--rootfs", "/dev/null"))
	assert.Contains(t, hint, ", or an archive's file: docker save IMAGE -o image.tar")
	text, hint := said(existingDirectory("--sysroot", filepath.Join(dir, "missing")))
	assert.Contains(t, text, "--sysroot: ")
	assert.Contains(t, text, "no such file")
	assert.Contains(t, hint, "lib/ and usr/")

	status, _, stderr := called("--sysroot", file, "/bin/true")
	assert.Equal(t, exitFailed, status)
	assert.Contains(t, stderr, "is not a directory")
}

// reachable skips a test of links to this program where its user may not go to
// where the go command has put it.
func reachable(t *testing.T) (self string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	if _, err := os.Stat(self); err != nil {
		t.Skip("the program that links would be to: ", err)
	}
	return self
}

func TestEnvIsForAShell(t *testing.T) {
	self := reachable(t)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	status, stdout, stderr := called("--env", "linux/arm/v7")
	require.Equal(t, 0, status, stderr)
	out, err := exec.Command("/bin/sh", "-uec", stdout+`
		echo $GOOS $GOARCH $GOARM; [ -f "$CMAKE_TOOLCHAIN_FILE" ]; [ -f "$CROSSRUN_MESON_CROSS_FILE" ]; echo $CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_RUNNER; readlink "$(command -v go_linux_arm_exec)"`).CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, "linux arm 7\n"+self+"\n"+self+"\n", string(out))

	root := t.TempDir()
	t.Setenv("CROSSRUN_SYSROOT_S390X", root)
	status, stdout, stderr = called("--env", "s390x")
	require.Equal(t, 0, status, stderr)
	assert.Contains(t, stdout, "export QEMU_LD_PREFIX="+root+"\n")

	for _, test := range []struct {
		args     []string
		contains string
	}{
		{[]string{"--env", "amr64"}, "did you mean arm64?"},
		{[]string{"--env", "arm64", "--sysroot", "/no/such"}, "--sysroot: stat /no/such"},
		{[]string{"--env", "arm64", "./program"}, `run no program: "./program" is too much`},
		{[]string{"--env", "hexagon"}, "crossrun: hint: "},
		{[]string{"--env", ""}, "crossrun: hint: "},
		{[]string{"--env"}, "flag needs an argument: --env"},
		{[]string{"--bogus", "--env", "arm64"}, "unknown flag: --bogus"},
		{[]string{"--bogus", "--env=arm64"}, "unknown flag: --bogus"},
	} {
		status, stdout, stderr := called(test.args...)
		assert.Equal(t, exitFailed, status, test.args)
		// What a step of CI's then evaluates ends it: tests would run natively, and pass.
		err := exec.Command("/bin/sh", "-ec", "eval '"+stdout+"'; exit 0").Run()
		assert.Error(t, err, "%s: %q", test.args, stdout)
		assert.Contains(t, stderr, test.contains, test.args)
	}
}

func TestLinkMakesTheGoCommandsHooks(t *testing.T) {
	self := reachable(t)
	dir := filepath.Join(t.TempDir(), "hooks")
	status, stdout, stderr := called("--link", dir)
	require.Equal(t, 0, status, stderr)
	for line := range strings.Lines(stdout) {
		to, err := os.Readlink(strings.TrimSpace(line))
		require.NoError(t, err)
		assert.Equal(t, self, to)
	}
	assert.Contains(t, stdout, filepath.Join(dir, "go_linux_s390x_exec")+"\n")
	require.NoError(t, os.Remove(filepath.Join(dir, "go_linux_s390x_exec")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go_linux_s390x_exec"), nil, 0o644))
	status, stdout, stderr = called("--link", dir)
	assert.Equal(t, exitFailed, status)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "go_linux_s390x_exec: is there, and is no link")
}

func TestHelpFits80Columns(t *testing.T) {
	for line := range strings.Lines(usage()) {
		assert.LessOrEqual(t, utf8.RuneCountInString(strings.TrimRight(line, "\n")), 80, line)
	}
	assert.Less(t, strings.Index(usage(), "--rootfs directory"), strings.Index(usage(), "Other flags:"), "what is used most comes first")
}

// A variable that is not set is no flag that is left out: the command would run on the host.
func TestAnEmptyValueIsNoValue(t *testing.T) {
	for _, flag := range []string{"--rootfs", "--sysroot", "--env", "--link", "--emulator"} {
		var stdout, stderr strings.Builder
		assert.Equal(t, exitFailed, run([]string{flag + "=", "/bin/true"}, &stdout, &stderr), flag)
		assert.Contains(t, stderr.String(), "is a variable not set?", flag)
	}
}

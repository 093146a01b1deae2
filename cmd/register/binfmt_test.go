package main

import (
	"encoding/json"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/install"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// calledBinfmt runs the command under its other name, in this process.
func calledBinfmt(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	kerneltest.Need(t)
	var out, err strings.Builder
	status = runBinfmt(t.Context(), args, &out, &err)
	return status, out.String(), err.String()
}

// clean takes the variables that binfmt reads out of the environment.
func clean(t *testing.T) {
	for _, name := range []string{"QEMU_BINARY_PATH", "QEMU_BINARY_PREFIX", "QEMU_PRESERVE_ARGV0", "QEMU_BIN_DIR"} {
		t.Setenv(name, "")
	}
}

func TestBinfmtHelpsOnStandardError(t *testing.T) {
	clean(t)
	for _, arg := range []string{"-h", "--help", "-help"} {
		status, stdout, stderr := calledBinfmt(t, arg)
		assert.Equal(t, exitOK, status)
		assert.Empty(t, stdout)
		kerneltest.Golden(t, "binfmt-help.txt", stderr)
	}
}

// The kernel takes whole paths only, of which an entry is made.
func TestBinfmtTakesARelativeDirectoryOfEmulators(t *testing.T) {
	clean(t)
	dir := t.TempDir()
	t.Chdir(dir)
	for _, variable := range []string{"QEMU_BIN_DIR", "QEMU_BINARY_PATH"} {
		t.Setenv(variable, "emulators")
		var o binfmtOptions
		require.NoError(t, o.flags(io.Discard).Parse(nil))
		o.fromEnvironment()
		assert.Equal(t, []string{filepath.Join(dir, "emulators")}, o.Dirs, variable)
		t.Setenv(variable, "")
	}
}

func TestBinfmtHasItsVersionInThreeParts(t *testing.T) {
	clean(t)
	for _, arg := range []string{"-version", "--version"} {
		status, stdout, stderr := calledBinfmt(t, arg)
		assert.Equal(t, exitOK, status)
		assert.Empty(t, stderr)
		assert.Regexp(t, `^binfmt/\S+ qemu/(\d+\.\d+\S*|none) go/1\.\S+\n$`, stdout)
	}
	t.Setenv("QEMU_BINARY_PATH", t.TempDir())
	_, stdout, _ := calledBinfmt(t, "-version")
	assert.Contains(t, stdout, " qemu/none ")
}

func TestBinfmtsWrongArgumentsAreOneLineAndExitStatus2(t *testing.T) {
	clean(t)
	for _, test := range []struct {
		args   []string
		prefix string
		want   string // the last line
	}{
		{[]string{"arm64"}, "", `binfmt: error: unexpected argument "arm64" (--install arm64)`},
		{[]string{"--install", "arm64", "s390x"}, "", `binfmt: error: unexpected argument "s390x" (--install s390x)`},
		{[]string{"--credential", "perhaps"}, "", "binfmt: error: --credential perhaps: must be yes or no"},
		{[]string{"--version"}, "a/b", "binfmt: error: QEMU_BINARY_PREFIX must not have a slash (QEMU_BINARY_PATH is for the directory)"},
	} {
		t.Setenv("QEMU_BINARY_PREFIX", test.prefix)
		status, stdout, stderr := calledBinfmt(t, test.args...)
		assert.Equal(t, exitUsage, status)
		assert.Empty(t, stdout)
		assert.Equal(t, test.want+"\n", stderr)
	}
	t.Setenv("QEMU_BINARY_PREFIX", "")
	status, stdout, stderr := calledBinfmt(t, "--bogus")
	assert.Equal(t, exitUsage, status)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "flag provided but not defined: -bogus\n")
}

func TestBinfmtsOptionsAreRegisters(t *testing.T) {
	clean(t)
	parse := func(args ...string) *options {
		var o binfmtOptions
		require.NoError(t, o.flags(t.Output()).Parse(args))
		o.fromEnvironment()
		return &o.options
	}
	o := parse()
	assert.Equal(t, []install.Choice{install.Auto, install.Yes, install.Auto}, []install.Choice{o.Persistent, o.Credentials, o.PreserveArgv0})
	assert.Equal(t, binfmt.DefaultMount, o.mount)
	assert.Empty(t, o.Dirs)
	assert.Empty(t, o.Prefix)
	assert.Nil(t, o.Suffix)

	t.Setenv("QEMU_BIN_DIR", "/bin-dir")
	assert.Equal(t, []string{"/bin-dir"}, parse().Dirs)
	t.Setenv("QEMU_BINARY_PATH", "/opt")
	t.Setenv("QEMU_BINARY_PREFIX", "my-")
	t.Setenv("QEMU_PRESERVE_ARGV0", "1")
	o = parse("-credential=no", "--mount", "/m")
	assert.Equal(t, []install.Choice{install.Auto, install.No, install.Yes}, []install.Choice{o.Persistent, o.Credentials, o.PreserveArgv0})
	assert.Equal(t, "/m", o.mount)
	assert.Equal(t, []string{"/opt"}, o.Dirs)
	assert.Equal(t, "my-", o.Prefix)
}

// What is printed is an object of two arrays, whatever else goes wrong.
func TestBinfmtPrintsItsStateWhateverHappens(t *testing.T) {
	clean(t)
	own := lookup(t, runtime.GOARCH).Platform()
	for _, test := range []struct {
		args   string
		status int
		stderr string // the last line
	}{
		{"", exitOK, ""},
		{"--install bogus,arm46", exitFailure, `binfmt: error: unknown architecture "arm46" (did you mean arm64?)`},
		{"--uninstall arm64", exitFailure, "binfmt: error: --uninstall arm64: no such entry (without arguments binfmt lists them)"},
		{"--uninstall qemu-*", exitOK, "uninstalling: qemu-* not found"},
		{"--uninstall [", exitFailure, "binfmt: error: --uninstall [: syntax error in pattern ('qemu-*' is one)"},
	} {
		status, stdout, stderr := calledBinfmt(t, append(strings.Fields(test.args), "--mount", t.TempDir())...)
		assert.Equal(t, test.status, status, stderr)
		lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
		assert.Equal(t, test.stderr, lines[len(lines)-1])
		var state struct{ Supported, Emulators []string }
		require.NoError(t, json.Unmarshal([]byte(stdout), &state), stdout)
		assert.Contains(t, stdout, `"emulators": []`)
		require.NotEmpty(t, state.Supported)
		if runtime.GOARCH == "arm" {
			continue // its variants' order is another
		}
		assert.Equal(t, own, state.Supported[0], "this program's own comes first")
		sorted := slices.Clone(state.Supported)
		slices.Sort(sorted)
		assert.Equal(t, len(sorted), len(slices.Compact(sorted)), "each is there once")
	}
}

// entry is one that others made.
func entry(name string, pattern elfmagic.Pattern) binfmt.Entry {
	return binfmt.Entry{Name: name, Pattern: pattern, Interpreter: "/other"}
}

func TestItemsOfUninstallAreNamesPatternsAndArchitectures(t *testing.T) {
	pattern := func(name string) elfmagic.Pattern { return lookup(t, name).Pattern() }
	current := []binfmt.Entry{
		entry("qemu-aarch64", pattern("arm64")), entry("qemu-aarch64.new", pattern("arm64")), entry("qemu-arm", pattern("arm")),
		entry("qemu-riscv64", elfmagic.Pattern{Magic: []byte("MZ")}), // a name, and other files
		entry("buildkit-s390x", pattern("s390x")), entry("FEX-x86_64", pattern("amd64")), entry("rosetta", pattern("amd64")),
		{Name: "jar", Extension: "jar", Interpreter: "/java"}, entry("x.new", elfmagic.Pattern{Magic: []byte("x")}),
	}
	for item, want := range map[string]string{
		"qemu-aarch64":     "qemu-aarch64 qemu-aarch64.new",
		"qemu-aarch64.new": "qemu-aarch64.new",
		"arm64":            "qemu-aarch64 qemu-aarch64.new",
		"linux/arm64":      "qemu-aarch64 qemu-aarch64.new",
		"arm":              "qemu-arm",
		"s390x":            "buildkit-s390x",
		"amd64":            "FEX-x86_64",
		"rosetta":          "rosetta",
		"jar":              "jar",
		"x":                "x.new",
		"qemu-*":           "qemu-aarch64 qemu-aarch64.new qemu-arm",
		"qemu-???":         "qemu-arm",
		"*[rt]":            "",
		"nothing-*":        "",
		"*":                "qemu-aarch64 qemu-aarch64.new qemu-arm buildkit-s390x FEX-x86_64 rosetta",
	} {
		got, err := new(options).named(item, current)
		require.NoError(t, err, item)
		assert.Equal(t, want, strings.Join(got, " "), item)
	}
	for _, item := range []string{"riscv64", "qemu-riscv32", "bogus", "", "ppc64le", "Jar", "["} {
		got, err := new(options).named(item, current)
		assert.Error(t, err, item)
		assert.Empty(t, got)
	}

	o := options{Request: install.Request{Prefix: "my-"}}
	got, err := o.named("arm64", []binfmt.Entry{entry("my-qemu-aarch64", pattern("arm64")), entry("your-qemu-aarch64", pattern("arm64"))})
	require.NoError(t, err)
	assert.Contains(t, got, "my-qemu-aarch64")
}

// Entries as distributions and peers of register have them.
func TestEntriesForProgramsOfOneArchitectureAreKnown(t *testing.T) {
	for line, want := range map[string]bool{
		`:qemu-s390x:M::\x7fELF\x02\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x16:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff:/q:`:   true,
		`:qemu-ppc64le:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x15\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\x00:/q:`: true, // the high byte is masked out
		`:qemu-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff:/q:`:         true, // and is not there
		`:without-mask:M::\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x28::/q:`:                                                                                     true,
		`:all-big-endian:M::\x7fELF\x02\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00::/q:`:                                                                                   false, // the low byte is not there
		`:all-elf:M::\x7fELF::/q:`:           false,
		`:appimage:M:8:AI\x02::/q:`:          false,
		`:wine:M::MZ::/q:`:                   false,
		`:elf-at-4:M:4:\x7fELF\x02\x01::/q:`: false,
		`:jar:E::jar::/q:`:                   false,
	} {
		var e binfmt.Entry
		require.NoError(t, e.UnmarshalText([]byte(line)), line)
		assert.Equal(t, want, forMachine(e), line)
	}
}

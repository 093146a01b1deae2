package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// optionsFor returns those of a command line, with the architectures in it.
func optionsFor(t testing.TB, args ...string) *options {
	t.Helper()
	o := parsed(t, args...)
	var err error
	o.Archs, err = o.architectures()
	require.NoError(t, err)
	return o
}

// exported are the files that a command line would write.
func exported(t *testing.T, args ...string) []exportFile {
	t.Helper()
	o := optionsFor(t, append(args, "--qemu-path", t.TempDir())...)
	files, err := o.files(t.Context())
	require.NoError(t, err)
	return files
}

func names(files []exportFile) string {
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(f.path), "qemu-"), ".conf"))
	}
	return strings.Join(names, " ")
}

func TestFilesAreInTheFormsOfSystemdAndDebian(t *testing.T) {
	t.Setenv("HOST_ARCH", "x86_64")
	r := optionsFor(t, "--systemd", "arm64")
	e := binfmt.Entry{Name: "qemu-aarch64", Pattern: lookup(t, "arm64").Pattern(), Interpreter: "/usr/bin/qemu-aarch64-static", Flags: binfmt.PreserveArgv0 | binfmt.FixBinary}
	systemd, err := r.file(e)
	require.NoError(t, err)
	assert.Equal(t, "/etc/binfmt.d/qemu-aarch64.conf", systemd.path)
	kerneltest.Golden(t, "systemd.txt", string(systemd.content))
	var again binfmt.Entry
	require.NoError(t, again.UnmarshalText(systemd.content))
	assert.True(t, e.Equal(again))

	// systemd takes a line that begins with ; for a comment.
	odd := e
	odd.Interpreter = "/a:b,c/qemu"
	systemd, err = r.file(odd)
	require.NoError(t, err)
	entries, err := binfmt.ParseConf(bytes.NewReader(systemd.content))
	require.NoError(t, err)
	require.Len(t, entries, 1)
	assert.True(t, odd.Equal(entries[0]))

	e.Flags = binfmt.Credentials
	o := optionsFor(t, "--debian")
	debian, err := o.file(e)
	require.NoError(t, err)
	assert.Equal(t, "/usr/share/binfmts/qemu-aarch64", debian.path)
	kerneltest.Golden(t, "debian.txt", string(debian.content))

	for _, args := range [][]string{{"-s", "ALL", "-e", "/x"}, {"-d", "-e", "/x"}} {
		o := optionsFor(t, args...)
		f, err := o.file(e)
		require.NoError(t, err)
		assert.Equal(t, "/x", filepath.Dir(f.path))
	}
}

func TestFilesAreForTheHostThatIsNamed(t *testing.T) {
	var all []string
	for _, arch := range elfmagic.Archs() {
		all = append(all, arch.Name)
	}
	without := func(archs ...string) string {
		s := " " + strings.Join(all, " ") + " "
		for _, arch := range archs {
			s = strings.Replace(s, " "+arch+" ", " ", 1)
		}
		return strings.TrimSpace(s)
	}
	for _, test := range []struct{ host, args, want string }{
		{"x86_64", "--systemd ALL", without("x86_64", "i386")},
		{"amd64", "--debian", without("x86_64", "i386")},
		{"x86_64", "--systemd ALL -i yes", without("x86_64")},
		{"arm64", "--systemd all", without("aarch64", "arm")},
		{"s390x", "--debian", without("s390x")},
		{"s390x", "--systemd arm64", "aarch64"},
		{"s390x", "--debian arm64 amd64", "aarch64 x86_64"},
		{"arm64", "--systemd arm -i yes", "arm"},
		{"arm64", "--systemd arm --force", "arm"},
	} {
		t.Setenv("HOST_ARCH", test.host)
		assert.Equal(t, test.want, names(exported(t, strings.Fields(test.args)...)), "%+v", test)
	}

	t.Setenv("HOST_ARCH", "arm64")
	assert.Equal(t, "s390x", names(exported(t, "--debian", "s390x", "arm")), "what is native is left out of a list")
	o := optionsFor(t, "--debian", "arm")
	_, err := o.files(t.Context())
	assert.EqualError(t, err, "arm is native to the host")
	assert.Contains(t, cli.Hint(err), "HOST_ARCH")

	t.Setenv("HOST_ARCH", "amr64")
	o.Archs = nil
	_, err = o.files(t.Context())
	assert.EqualError(t, err, `HOST_ARCH: unknown architecture "amr64"`)
	assert.Equal(t, "did you mean arm64?", cli.Hint(err))
}

func TestFilesSayWhatTheOptionsSay(t *testing.T) {
	t.Setenv("HOST_ARCH", "x86_64")
	for _, test := range []struct{ args, flags, interpreter string }{
		{"", "F", "qemu-aarch64-static"}, // the emulator is not here: whether it knows P is not known
		{"-p yes", "F", "qemu-aarch64-static"},
		{"-p no", "", "qemu-aarch64-static"},
		{"-g yes -c yes", "POCF", "qemu-aarch64-static"},
		{"-F -odd", "F", "qemu-aarch64-odd"},
		{"--qemu-suffix= -pno -gyes", "P", "qemu-aarch64"},
	} {
		files := exported(t, append([]string{"-s", "arm64"}, strings.Fields(test.args)...)...)
		require.Len(t, files, 1)
		var e binfmt.Entry
		require.NoError(t, e.UnmarshalText(files[0].content))
		assert.Equal(t, test.flags, e.Flags.Effective().String(), "%+v", test)
		assert.Equal(t, test.interpreter, filepath.Base(e.Interpreter))
		assert.True(t, filepath.IsAbs(e.Interpreter))
	}
}

func TestExportWritesTheFilesOrShowsThem(t *testing.T) {
	t.Setenv("HOST_ARCH", "x86_64")
	dir, qemu := t.TempDir(), t.TempDir()
	args := []string{"--systemd", "arm64,s390x", "-e", dir, "-Q", qemu}
	status, shown, stderr := called(t, append(args, "--dry-run")...)
	assert.Equal(t, exitOK, status, stderr)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left)

	status, stdout, stderr := called(t, args...)
	assert.Equal(t, exitOK, status, stderr)
	paths := []string{filepath.Join(dir, "qemu-aarch64.conf"), filepath.Join(dir, "qemu-s390x.conf")}
	assert.Equal(t, strings.Join(paths, "\n")+"\n", stdout)
	want := ""
	for _, path := range paths {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		want += fmt.Sprintf("# %s\n%s", path, content)
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o644), info.Mode())
	}
	assert.Equal(t, want, shown)
	left, err = os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, left, 2, "no temporary files")

	for _, mode := range []string{"--dry-run", "--output=table"} {
		status, stdout, stderr = called(t, "--debian", "-e", filepath.Join(dir, "missing"), "-Q", qemu, mode)
		assert.Equal(t, exitFailure, status)
		assert.Empty(t, stdout)
		assert.Contains(t, stderr, "register: error: cannot write "+dir+"/missing/qemu-aarch64: ")
		assert.Contains(t, stderr, "register: hint: make the directory first, or name another with --exportdir\n")
	}
}

// What is to be done depends on what is in the way.
func TestAPlaceThatCannotBeWrittenToHasAHint(t *testing.T) {
	for err, hint := range map[error]string{
		unix.ENOENT: "make the directory first, or name another with --exportdir",
		unix.EACCES: "root may write there: sudo register …; or name another directory with --exportdir",
		unix.EROFS:  "name a directory that can be written to with --exportdir",
	} {
		got := noPlace(exportFile{path: "/etc/binfmt.d/x.conf"}, &os.PathError{Op: "open", Path: "/etc/binfmt.d", Err: err})
		assert.ErrorIs(t, got, err)
		assert.Equal(t, hint, cli.Hint(got), err)
	}
}

func TestAllFilesAreWrittenOrNone(t *testing.T) {
	dir := t.TempDir()
	a := filepath.Join(dir, "a")
	require.NoError(t, os.WriteFile(a, []byte("old"), 0o600))
	err := writeAll([]exportFile{{a, []byte("new")}, {filepath.Join(dir, "missing", "b"), []byte("b")}})
	assert.ErrorIs(t, err, os.ErrNotExist)
	content, err := os.ReadFile(a)
	require.NoError(t, err)
	assert.Equal(t, "old", string(content))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, left, 1, "no temporary file is left")

	require.NoError(t, writeAll([]exportFile{{a, []byte("new")}, {filepath.Join(dir, "b"), nil}}))
	content, err = os.ReadFile(a)
	require.NoError(t, err)
	assert.Equal(t, "new", string(content))
	require.NoError(t, writeAll(nil))
}

// A link to /dev/null is how an administrator masks a file of binfmt.d: it stays.
func TestWhatSomebodyMaskedStaysMasked(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	require.NoError(t, os.Symlink(os.DevNull, b))
	err := checkPlaces([]exportFile{{a, nil}, {b, nil}})
	assert.ErrorContains(t, err, "cannot write "+b+": somebody has masked it")
	t.Setenv("HOST_ARCH", "x86_64")
	masked := filepath.Join(dir, "qemu-aarch64.conf")
	require.NoError(t, os.Symlink(os.DevNull, masked))
	for _, mode := range []string{"--dry-run", "--output=table"} {
		status, stdout, stderr := called(t, "--systemd", "arm64", "-e", dir, "-Q", t.TempDir(), mode)
		assert.Equal(t, exitFailure, status, mode)
		assert.Empty(t, stdout, mode)
		assert.Contains(t, stderr, "cannot write "+masked+": somebody has masked it", mode)
	}
	target, err := os.Readlink(b)
	require.NoError(t, err)
	assert.Equal(t, os.DevNull, target)
	assert.NoFileExists(t, a)
}

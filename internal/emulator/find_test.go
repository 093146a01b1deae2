package emulator_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// printed is what an emulator prints as its version.
func printed(t *testing.T, path string, arch *elfmagic.Arch) string {
	t.Helper()
	out, err := exec.Command(path, "--version").Output()
	require.NoError(t, err)
	line, _, _ := bytes.Cut(out, []byte("\n"))
	version, ok := strings.CutPrefix(string(line), "qemu-"+arch.Name+" version ")
	require.True(t, ok, "%s", line)
	return version
}

func TestFileNamesAreTheUsualOnesOrThoseAskedFor(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"qemu-aarch64", "qemu-aarch64-static", "qemu-aarch64-odd", "my-qemu-aarch64", "my-qemu-aarch64-odd", "qemu-aarch64_be-static", "qemu-arm", "aarch64"} {
		write(t, filepath.Join(dir, name), versioned(t, "x86_64", "1.0"))
	}
	for _, test := range []struct {
		arch, prefix string
		suffix       *string
		want         string // empty: none is found
	}{
		{"aarch64", "", nil, "qemu-aarch64-static"},
		{"aarch64", "", new(""), "qemu-aarch64"},
		{"aarch64", "", new("-odd"), "qemu-aarch64-odd"},
		{"aarch64", "", new("-none"), ""},
		{"aarch64", "my-", nil, "my-qemu-aarch64"},
		{"aarch64", "my-", new("-odd"), "my-qemu-aarch64-odd"},
		{"aarch64", "my-", new("-static"), ""},
		{"aarch64_be", "", nil, "qemu-aarch64_be-static"},
		{"aarch64_be", "", new(""), ""},
		{"arm", "", nil, "qemu-arm"},
		{"arm", "", new("-static"), ""},
	} {
		search := emulator.Search{Dirs: []string{dir}, Prefix: test.prefix, Suffix: test.suffix}
		e, err := search.Find(lookup(t, test.arch))
		if test.want == "" {
			assert.ErrorIs(t, err, emulator.ErrMissing, "%+v", test)
			continue
		}
		require.NoError(t, err, "%+v", test)
		assert.Equal(t, filepath.Join(dir, test.want), e.Path)
	}
}

func TestTheFirstThatWillDoIsTaken(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	x86 := lookup(t, "x86_64")
	put := func(dir, name string, content []byte) { write(t, filepath.Join(in(dir), name), content) }
	put("good", "qemu-aarch64", versioned(t, "x86_64", "1.0"))
	put("better", "qemu-aarch64-static", versioned(t, "x86_64", "2.0"))
	put("both", "qemu-aarch64", versioned(t, "x86_64", "3.0"))
	put("both", "qemu-aarch64-static", []byte("text"))
	put("text", "qemu-aarch64-static", []byte("text"))
	put("dynamic", "qemu-aarch64", binaryFile{arch: x86, interp: "/lib/ld.so"}.bytes(t))
	put("s390x", "qemu-aarch64-static", versioned(t, "s390x", "4.0"))
	require.NoError(t, os.MkdirAll(in("directory/qemu-aarch64-static"), 0o755))
	require.NoError(t, os.MkdirAll(in("empty"), 0o755))

	for _, test := range []struct {
		dirs    string
		static  bool
		native  string
		version string
		is      error
		path    string // which the error is about
		hint    string
	}{
		{dirs: "good better", version: "1.0"},
		{dirs: "better good", version: "2.0"},
		{dirs: "missing empty good", version: "1.0"},
		{dirs: "text good", version: "1.0"},
		{dirs: "directory good", version: "1.0"},
		{dirs: "both better", version: "3.0"},
		{dirs: "dynamic good", static: true, version: "1.0"},
		{dirs: "s390x good", native: "x86_64 i386", version: "1.0"},
		{dirs: "s390x good", version: "4.0"},
		{dirs: "s390x good", native: "s390x", version: "4.0"},

		{dirs: "empty missing", is: emulator.ErrMissing, hint: "apt-get install"},
		{dirs: "", is: emulator.ErrMissing, hint: "--qemu-path"},
		{dirs: "empty text s390x", native: "x86_64", is: emulator.ErrCorrupt, path: "text/qemu-aarch64-static", hint: "install it again"},
		{dirs: "empty s390x text", native: "x86_64 i386", is: emulator.ErrOtherHost, path: "s390x/qemu-aarch64-static", hint: "this host runs x86_64 and i386: "},
		{dirs: "directory", is: emulator.ErrCorrupt, path: "directory/qemu-aarch64-static", hint: "install it again"},
		{dirs: "dynamic", static: true, is: emulator.ErrDynamic, path: "dynamic/qemu-aarch64", hint: "must bring everything with it"},
	} {
		t.Run(test.dirs, func(t *testing.T) {
			search := emulator.Search{Static: test.static}
			for name := range strings.FieldsSeq(test.dirs) {
				search.Dirs = append(search.Dirs, in(name))
			}
			for name := range strings.FieldsSeq(test.native) {
				search.Native = append(search.Native, lookup(t, name))
			}
			e, err := search.Find(lookup(t, "aarch64"))
			located, locateErr := search.Locate(lookup(t, "aarch64"))
			if test.version != "" {
				require.NoError(t, err)
				require.NoError(t, locateErr)
				assert.Equal(t, test.version, e.Version)
				assert.Equal(t, e.Path, located.Path)
				return
			}
			assert.Nil(t, e)
			assert.Nil(t, located)
			assert.Equal(t, err, locateErr)
			var failed *emulator.Error
			require.ErrorAs(t, err, &failed)
			assert.ErrorIs(t, err, test.is)
			assert.Contains(t, failed.Hint(), test.hint)
			if test.path != "" {
				assert.Equal(t, in(test.path), failed.Path)
			} else {
				assert.Empty(t, failed.Path)
				assert.EqualError(t, err, "aarch64: no emulator found: no qemu-aarch64-static or qemu-aarch64 in "+strings.Join(search.Dirs, ":"))
			}
		})
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "qemu-aarch64"), binaryFile{arch: lookup(t, "s390x"), interp: "/lib/ld64.so.1"}.bytes(t))
	search := emulator.Search{Dirs: []string{dir}, Static: true}
	_, err := search.Find(lookup(t, "arm64"))
	assert.EqualError(t, err, "aarch64: "+dir+"/qemu-aarch64: emulator is not static: it needs /lib/ld64.so.1")
	search.Native = []*elfmagic.Arch{lookup(t, "amd64")}
	_, err = search.Find(lookup(t, "arm64"))
	assert.EqualError(t, err, "aarch64: "+dir+"/qemu-aarch64: emulator is for another host: it runs on s390x")
}

func TestADirectoryOfPATHThatMayNotBeLookedIntoIsPassedOver(t *testing.T) {
	base := t.TempDir()
	closed, open, unreadable := filepath.Join(base, "closed"), filepath.Join(base, "open"), filepath.Join(base, "unreadable")
	write(t, filepath.Join(closed, "qemu-aarch64"), versioned(t, "x86_64", "1.0"))
	write(t, filepath.Join(unreadable, "qemu-aarch64"), versioned(t, "x86_64", "2.0"))
	require.NoError(t, os.Mkdir(open, 0o755))
	require.NoError(t, os.Chmod(filepath.Join(unreadable, "qemu-aarch64"), 0o111))
	require.NoError(t, os.Chmod(closed, 0))
	defer func() { require.NoError(t, os.Chmod(closed, 0o755)) }()
	find := func(dirs ...string) (err error) {
		kerneltest.Unprivileged(t, func() {
			search := emulator.Search{Dirs: dirs}
			_, err = search.Find(lookup(t, "arm64"))
		})
		return err
	}

	assert.ErrorIs(t, find(closed, open), emulator.ErrMissing, "as shells do")
	assert.ErrorIs(t, find(open, closed), emulator.ErrMissing)

	err := find(closed)
	assert.ErrorIs(t, err, os.ErrPermission, "it was named")
	assert.ErrorContains(t, err, closed)

	err = find(unreadable, open)
	assert.ErrorIs(t, err, os.ErrPermission, "its directory can be looked into: the file is there")
	var failed *emulator.Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, filepath.Join(unreadable, "qemu-aarch64"), failed.Path)
	assert.Contains(t, failed.Hint(), "make the file readable")
}

func TestDefaultDirsAreAbsoluteAndNamedOnce(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	own := filepath.Dir(self)
	t.Setenv("PATH", strings.Join([]string{"/a", "", ".", "relative", "./b", "/b", "/a", own, "/usr/bin", "../c", "/c"}, ":"))
	assert.Equal(t, []string{own, "/usr/bin", "/a", "/b", "/c"}, emulator.DefaultDirs())
	t.Setenv("PATH", "")
	assert.Equal(t, []string{own, "/usr/bin"}, emulator.DefaultDirs())
}

// A command is made, and shipped, with the emulators beside it.
func TestEmulatorsBesideTheCommandComeFirst(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	own := filepath.Dir(self)
	beside := filepath.Join(own, emulator.BesideDir(runtime.GOARCH))
	require.NoError(t, os.MkdirAll(beside, 0o755))
	defer func() { require.NoError(t, os.RemoveAll(filepath.Join(own, "emulators"))) }()
	write(t, filepath.Join(beside, "qemu-aarch64-static"), versioned(t, "x86_64", "11.0"))
	t.Setenv("PATH", "")
	assert.Equal(t, []string{beside, own, "/usr/bin"}, emulator.DefaultDirs())
	search := emulator.Search{Dirs: emulator.DefaultDirs()}
	e, err := search.Find(lookup(t, "aarch64"))
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(beside, "qemu-aarch64-static"), e.Path)
	assert.Equal(t, "11.0", e.Version)
}

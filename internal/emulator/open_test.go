package emulator_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/emulator"
)

func TestOpenReadsWhatAnEmulatorSaysOfItself(t *testing.T) {
	aarch64 := lookup(t, "aarch64")
	for _, test := range []struct{ host, interp string }{
		{"x86_64", ""}, {"x86_64", "/lib64/ld-linux-x86-64.so.2"}, {"i386", ""}, {"s390x", "/lib/ld64.so.1"}, {"mips", ""},
	} {
		file := binaryFile{arch: lookup(t, test.host), interp: test.interp, content: []byte("\x00qemu-aarch64 version 9.8.7 (Debian 1:9.8)\nCopyright")}
		path := write(t, filepath.Join(t.TempDir(), "any name"), file.bytes(t))
		e, err := emulator.Open(aarch64, path)
		require.NoError(t, err)
		assert.Same(t, aarch64, e.Arch)
		assert.Same(t, file.arch, e.Host)
		assert.Equal(t, path, e.Path)
		assert.Equal(t, test.interp, e.Interp)
		assert.Equal(t, test.interp == "", e.Static())
		assert.Equal(t, "9.8.7 (Debian 1:9.8)", e.Version)

		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, time.Unix(info.Sys().(*syscall.Stat_t).Ctim.Unix()), e.Changed)
	}
}

func TestAFileThatWasRenamedHasChanged(t *testing.T) {
	aarch64 := lookup(t, "aarch64")
	path := write(t, filepath.Join(t.TempDir(), "qemu"), versioned(t, "x86_64", "1.0"))
	long := time.Unix(1000, 0)
	require.NoError(t, os.Chtimes(path, long, long))
	e, err := emulator.Open(aarch64, path)
	require.NoError(t, err)
	assert.True(t, e.Changed.After(long), "packages keep the time of the content's change")
}

func TestUnfitFilesAreErrorsThatSayWhy(t *testing.T) {
	aarch64 := lookup(t, "aarch64")
	dir := t.TempDir()
	whole := versioned(t, "x86_64", "9.8.7")
	vax := versioned(t, "x86_64", "9.8.7")
	vax[18], vax[19] = 75, 0 // EM_VAX
	noSegments := versioned(t, "x86_64", "9.8.7")
	noSegments[56] = 0 // e_phnum
	oddSegments := versioned(t, "x86_64", "9.8.7")
	oddSegments[54] = 5 // e_phentsize
	badLoader := binaryFile{arch: lookup(t, "x86_64"), interp: "\x00"}.bytes(t)
	loop := filepath.Join(dir, "loop")
	require.NoError(t, os.Symlink("loop", loop))
	dangling := filepath.Join(dir, "dangling")
	require.NoError(t, os.Symlink("nowhere", dangling))
	plain := filepath.Join(dir, "plain")
	require.NoError(t, os.WriteFile(plain, whole, 0o644))

	pipe := filepath.Join(dir, "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o755))

	for name, test := range map[string]struct {
		path string
		is   error
		text string
		hint string
	}{
		"missing":           {filepath.Join(dir, "missing"), emulator.ErrMissing, "no emulator found", ""},
		"a dangling link":   {dangling, emulator.ErrMissing, "no emulator found", ""},
		"links in a circle": {loop, syscall.ELOOP, "too many levels of symbolic links", "make the file readable"},
		"a directory":       {dir, emulator.ErrCorrupt, "emulator is corrupt: not a regular file", "install it again"},
		"a pipe":            {pipe, emulator.ErrCorrupt, "emulator is corrupt: not a regular file", "install it again"},
		"a device":          {"/dev/null", emulator.ErrCorrupt, "emulator is corrupt: not a regular file", "install it again"},
		"unreadable":        {"/proc/self/mem", syscall.EIO, "input/output error", "what is wrong with its file system"},
		"empty":             {write(t, filepath.Join(dir, "empty"), nil), emulator.ErrCorrupt, "emulator is corrupt: not an ELF file", "install it again"},
		"text":              {write(t, filepath.Join(dir, "text"), []byte("hello\n")), elfmagic.ErrNotELF, "emulator is corrupt: not an ELF file", "install it again"},
		"a script":          {write(t, filepath.Join(dir, "script"), []byte("#!/bin/sh\n")), emulator.ErrScript, "emulator is a script", "name the program that it starts"},
		"its header is cut": {write(t, filepath.Join(dir, "header"), whole[:40]), elfmagic.ErrTruncated, "emulator is corrupt: truncated ELF file", "install it again"},
		"its table is cut":  {write(t, filepath.Join(dir, "table"), whole[:80]), elfmagic.ErrTruncated, "emulator is corrupt: truncated ELF file", "install it again"},
		"its end is cut": {
			write(t, filepath.Join(dir, "end"), whole[:len(whole)-1]), emulator.ErrCorrupt,
			fmt.Sprintf("emulator is corrupt: %d bytes long, but its segments end at %d", len(whole)-1, len(whole)), "install it again",
		},
		"nothing is loaded":        {write(t, filepath.Join(dir, "no-segments"), noSegments), emulator.ErrCorrupt, fmt.Sprintf("emulator is corrupt: %d bytes long, but its segments end at 0", len(whole)), "install it again"},
		"impossible segments":      {write(t, filepath.Join(dir, "odd-segments"), oddSegments), elfmagic.ErrMalformed, "emulator is corrupt: malformed ELF file: 1 program headers of 5 bytes", "install it again"},
		"a loader without a name":  {write(t, filepath.Join(dir, "loader"), badLoader), elfmagic.ErrMalformed, "emulator is corrupt: malformed ELF file: loader's path is empty", "install it again"},
		"for an unknown processor": {write(t, filepath.Join(dir, "vax"), vax), emulator.ErrOtherHost, "emulator is for another host: no known architecture is 64-bit little-endian with ELF machine 75 (EM_VAX)", "install it again"},
		"not executable":           {plain, emulator.ErrNotExecutable, "emulator is not executable", "chmod +x " + plain},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := emulator.Open(aarch64, test.path)
			assert.Nil(t, e)
			var failed *emulator.Error
			require.ErrorAs(t, err, &failed)
			assert.ErrorIs(t, err, test.is)
			assert.Equal(t, test.path, failed.Path)
			assert.EqualError(t, err, "aarch64: "+test.path+": "+test.text)
			if test.hint == "" {
				assert.Empty(t, failed.Hint())
			}
			assert.Contains(t, failed.Hint(), test.hint)
		})
	}
}

func TestTheVersionIsReadFromWhateverPartOfTheFile(t *testing.T) {
	arm := lookup(t, "arm")
	line := "qemu-arm version 8.2.2 (Debian 1:8.2.2+ds-0ubuntu1)\nCopyright (c) 2003-2023 Fabrice Bellard\x00"
	const size = 300 << 10
	read := func(offset, readOnly int) string {
		content := make([]byte, size)
		copy(content[offset:], line)
		path := write(t, filepath.Join(t.TempDir(), "qemu"), binaryFile{arch: lookup(t, "x86_64"), content: content, readOnly: readOnly}.bytes(t))
		f, err := os.Open(path)
		require.NoError(t, err)
		defer f.Close()
		return emulator.ReadVersion(arm, f)
	}
	// The file is read in pieces, whose ends the line may cross, from places
	// that depend on the file and on those read before.
	for offset := 0; offset < size-len(line); offset += 997 {
		require.Equal(t, "8.2.2 (Debian 1:8.2.2+ds-0ubuntu1)", read(offset, 0), "at %d", offset)
		require.Equal(t, "8.2.2 (Debian 1:8.2.2+ds-0ubuntu1)", read(offset, 100<<10), "at %d, behind the code", offset)
	}
	for piece := 64 << 10; piece < size; piece += 64 << 10 {
		// The search begins near where the last file had it: far away, then.
		far := 0
		if piece < size/2 {
			far = size - len(line)
		}
		for offset := piece - 256; offset <= piece+8; offset += 11 {
			require.NotEmpty(t, read(far, 0))
			require.Equal(t, "8.2.2 (Debian 1:8.2.2+ds-0ubuntu1)", read(offset, 0), "at %d", offset)
		}
	}
}

func TestALineEndsWithALineFeedOrANULByte(t *testing.T) {
	for _, end := range []string{"\n", "\x00", "\nCopyright\x00", "\x00other\n"} {
		path := write(t, filepath.Join(t.TempDir(), "qemu"), binaryFile{arch: lookup(t, "x86_64"), content: []byte("qemu-arm version 8.2.2" + end)}.bytes(t))
		e, err := emulator.Open(lookup(t, "arm"), path)
		require.NoError(t, err)
		assert.Equal(t, "8.2.2", e.Version)
	}
}

// Ours say their version in a note, where it is looked for first.
func TestTheVersionIsReadFromANote(t *testing.T) {
	read := func(second string, note int) string {
		content := append([]byte("qemu-aarch64 version 1.0\n"), make([]byte, 100<<10)...)
		content = append(content, "QEMU\x00\x00\x00\x00"+second+"\x00"...)
		path := write(t, filepath.Join(t.TempDir(), "qemu"), binaryFile{arch: lookup(t, "x86_64"), content: content, note: note}.bytes(t))
		e, err := emulator.Open(lookup(t, "aarch64"), path)
		require.NoError(t, err)
		return e.Version
	}
	const other = "qemu-aarch64 version 2.0"
	assert.Equal(t, "1.0", read(strings.Repeat("x", len(other)), 0), "the next file is looked at there first")
	assert.Equal(t, "2.0", read(other, 100<<10))
	assert.Equal(t, "1.0", read(other, 0))
	assert.Equal(t, "1.0", read(other, 1), "a note that is long is none of ours")
}

func TestWhatIsNoVersionIsNotTakenForOne(t *testing.T) {
	arm := lookup(t, "arm")
	for name, content := range map[string]string{
		"no text":                        "",
		"another architecture's":         "qemu-armeb version 8.2.2\n",
		"a name that ends alike":         "qemu-xarm version 8.2.2\n",
		"nothing behind it":              "qemu-arm version \n",
		"no end of the line in the file": "qemu-arm version 8.2.2",
	} {
		path := write(t, filepath.Join(t.TempDir(), "qemu"), binaryFile{arch: lookup(t, "x86_64"), content: []byte(content)}.bytes(t))
		f, err := os.Open(path)
		require.NoError(t, err)
		assert.Empty(t, emulator.ReadVersion(arm, f), name)
		require.NoError(t, f.Close())
	}
	f, err := os.Open(write(t, filepath.Join(t.TempDir(), "text"), []byte("qemu-arm version 8.2.2\n")))
	require.NoError(t, err)
	defer f.Close()
	assert.Empty(t, emulator.ReadVersion(arm, f), "not a program")
}

func TestAFileWithoutAVersionIsAskedForIt(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	program, err := os.ReadFile(self)
	require.NoError(t, err)
	dir := t.TempDir()
	link := filepath.Join(dir, "qemu-sparc")
	require.NoError(t, os.Symlink(self, link))
	_, err = emulator.Open(lookup(t, "sparc"), link)
	assert.ErrorIs(t, err, emulator.ErrCommand, "the running program itself is none")
	assert.True(t, emulator.IsCommand(link))
	for _, name := range []string{"qemu-sparc-static", "qemu-sparc64"} {
		write(t, filepath.Join(dir, name), program)
		arch := lookup(t, strings.TrimSuffix(strings.TrimPrefix(name, "qemu-"), "-static"))
		e, err := emulator.Open(arch, filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Equal(t, "12.3 (asked)", e.Version)
	}
	for _, command := range []string{"/bin/true", "/bin/false"} {
		e, err := emulator.Open(lookup(t, "sparc"), command)
		require.NoError(t, err)
		assert.Empty(t, e.Version, "%s has none", command)
	}
}

func TestInstalledEmulatorsAreFoundAndSayWhatTheyPrint(t *testing.T) {
	search := emulator.Search{Dirs: emulator.DefaultDirs()}
	found := 0
	for _, arch := range elfmagic.Archs() {
		e, err := search.Find(arch)
		if errors.Is(err, emulator.ErrMissing) {
			continue
		}
		require.NoError(t, err)
		found++
		assert.Regexp(t, `^\d+\.\d+`, e.Version)
		assert.Equal(t, printed(t, e.Path, arch), e.Version)

		again, err := search.Locate(arch)
		require.NoError(t, err)
		assert.Empty(t, again.Version, "Locate does not look for it")
		again.Version = e.Version
		assert.Equal(t, e, again)
	}
	if found == 0 {
		t.Skip("no emulator is installed in ", search.Dirs)
	}
}

func TestReleases(t *testing.T) {
	for version, want := range map[string]struct {
		major, minor int
		ok, argv0    bool
	}{
		"5.2.0 (Debian 1:5.2+dfsg-11+deb11u3)": {5, 2, true, false},
		"6.0.0":                                {6, 0, true, true},
		"7.2.22 (Debian 1:7.2+dfsg-7)":         {7, 2, true, true},
		"10.0.50 (v10.0.0-1-gabc)":             {10, 0, true, true},
		"11.1":                                 {11, 1, true, true},
		"":                                     {},
		"unknown":                              {},
		"7":                                    {major: 7},
		"v7.2":                                 {},
	} {
		e := emulator.Emulator{Version: version}
		major, minor, ok := e.Release()
		assert.Equal(t, want.major, major, version)
		assert.Equal(t, want.minor, minor, version)
		assert.Equal(t, want.ok, ok, version)
		assert.Equal(t, want.argv0, e.PassesArgv0(), version)
	}
}

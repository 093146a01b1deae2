package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

func TestProgramsAreFoundAsShellsFindThem(t *testing.T) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	tool := write(t, filepath.Join(bin, "tool"), []byte("x"))
	write(t, filepath.Join(dir, "here"), []byte("x"))
	write(t, filepath.Join(dir, "here too"), []byte("x"))
	require.NoError(t, os.WriteFile(filepath.Join(bin, "plain"), []byte("x"), 0o644))
	t.Chdir(dir)
	t.Setenv("PATH", filepath.Join(dir, "missing")+":"+bin)

	for _, test := range []struct{ name, path string }{
		{"tool", tool}, {"./tool", "./tool"}, {"bin/tool", "bin/tool"}, {"/no/such/file", "/no/such/file"}, {"here/", "here/"},
	} {
		path, err := find("", "", []string{test.name, "argument"})
		require.NoError(t, err)
		assert.Equal(t, test.path, path)
	}
	for _, test := range []struct{ name, text, hint string }{
		{"nothing", "nothing: not found in PATH", ""},
		{"plain", "plain: not found in PATH", ""}, // as it is not executable
		{"here", "here: not found in PATH", "crossrun ./here runs the one in this directory"},
		{"here too", "here too: not found in PATH", "crossrun './here too' runs the one in this directory"},
		{"", ": not found in PATH", ""},
	} {
		_, err := find("", "", []string{test.name})
		text, hint := said(err)
		assert.Equal(t, test.text, text)
		assert.Equal(t, test.hint, hint)
		assert.Equal(t, exitNotFound, statusOf(t, err))
	}

	for _, test := range []struct{ list, name, path string }{
		{"bin:" + dir, "tool", "bin/tool"}, {"./bin/", "tool", "bin/tool"}, {dir + "/missing:.", "here", "./here"}, {"bin:", "here", "./here"},
	} {
		t.Setenv("PATH", test.list)
		path, err := find("", "", []string{test.name})
		require.NoError(t, err, test.list)
		assert.Equal(t, test.path, path)
	}
	os.Unsetenv("PATH")
	path, err := find("", "", []string{"sh"})
	require.NoError(t, err)
	assert.Equal(t, "/bin/sh", path)
	_, err = find("", "", []string{"nothing"})
	assert.Equal(t, exitNotFound, statusOf(t, err))
}

func TestFilesThatNoKernelRunsAreErrors(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string { return write(t, filepath.Join(dir, name), []byte(content)) }
	plain := filepath.Join(dir, "plain")
	require.NoError(t, os.WriteFile(plain, []byte("x"), 0o644))
	loop := filepath.Join(dir, "loop")
	require.NoError(t, os.Symlink("loop", loop))
	spaced := filepath.Join(dir, "two words")
	require.NoError(t, os.WriteFile(spaced, []byte("x"), 0o644))
	missing := file("missing-interpreter", "#!/no/such/interpreter -x\n")
	for _, test := range []struct {
		path   string
		status int
		text   string
		hint   string
	}{
		{dir + "/missing", exitNotFound, dir + "/missing: no such file", ""},
		{plain + "/below", exitNotFound, plain + "/below: no such file", ""},
		{loop, exitCannot, "stat " + loop + ": too many levels of symbolic links", ""},
		{dir, exitCannot, dir + ": is a directory", ""},
		{plain, exitCannot, plain + ": not executable", "chmod +x " + plain},
		{spaced, exitCannot, spaced + ": not executable", "chmod +x '" + spaced + "'"},
		{file("dos two", "#!/bin/sh\r\n"), exitCannot, dir + "/dos two: script whose #! line ends with a carriage return", `sed -i 's/\r$//' '` + dir + "/dos two'"},
		{file("empty", ""), exitCannot, dir + "/empty: empty file", ""},
		{file("mark", "#!"), exitCannot, dir + "/mark: script whose #! line names no interpreter", ""},
		{file("blanks", "#! \t \n/bin/sh\n"), exitCannot, dir + "/blanks: script whose #! line names no interpreter", ""},
		{file("long", "#!/"+strings.Repeat("x", 300)), exitCannot, dir + "/long: script whose #! line names an interpreter by too long a path", "the kernel reads 256 bytes of a script: name a shorter path, such as that of a link"},
		{file("long blanks", "#!"+strings.Repeat(" ", 300)), exitCannot, dir + "/long blanks: script whose #! line names no interpreter", ""},
		{file("dos", "#!/bin/sh\r\necho\r\n"), exitCannot, dir + "/dos: script whose #! line ends with a carriage return", `sed -i 's/\r$//' ` + dir + "/dos"},
		{missing, exitCannot, missing + ": script whose interpreter cannot be run: /no/such/interpreter: no such file", ""},
		{file("directory", "#!"+dir+"\n"), exitCannot, dir + "/directory: script whose interpreter cannot be run: " + dir + ": is a directory", ""},
		{file("not executable", "#!"+plain+"\n"), exitCannot, dir + "/not executable: script whose interpreter cannot be run: " + plain + ": not executable", "chmod +x " + plain},
		{file("two", "#!"+missing+"\n"), exitCannot, dir + "/two: script whose interpreter cannot be run: " + missing + ": script whose interpreter cannot be run: /no/such/interpreter: no such file", ""},
		{file("itself", "#!"+dir+"/itself\n"), exitCannot, "more than 5 scripts are each other's interpreters", ""},
	} {
		p, err := inspect("", test.path, []string{test.path}, 0)
		require.Error(t, err, test.path)
		text, hint := said(err)
		if test.path == dir+"/itself" {
			assert.Contains(t, text, test.text)
		} else {
			assert.Equal(t, test.text, text)
		}
		assert.Equal(t, test.hint, hint)
		assert.Equal(t, test.status, statusOf(t, err))

		status, stdout, stderr := called(test.path)
		assert.Equal(t, test.status, status, "%v", p)
		assert.Contains(t, stderr, "crossrun: error: "+text+"\n")
		assert.Empty(t, stdout)
	}
}

// Whether these can be run is for the kernel to say.
func TestFilesThatAnEntryMayBeForAreNoErrorsYet(t *testing.T) {
	dir := t.TempDir()
	whole := binaryFor(t, lookup(t, "arm64"), "")
	vax := binaryFor(t, lookup(t, "arm64"), "")
	vax[18], vax[19] = 75, 0
	object, core := binaryFor(t, lookup(t, "arm64"), ""), binaryFor(t, lookup(t, "arm64"), "")
	object[16], core[16] = 1, 4
	loader := binaryFor(t, lookup(t, "arm64"), "/lib/ld.so")
	loader[len(loader)-1] = 'x'
	for name, test := range map[string]struct {
		content []byte
		is      error
		text    string
	}{
		"text":             {[]byte("hello\n"), elfmagic.ErrNotELF, "not an ELF file"},
		"one byte":         {[]byte("#"), elfmagic.ErrNotELF, "not an ELF file"},
		"half a header":    {whole[:30], elfmagic.ErrTruncated, "truncated ELF file"},
		"half a table":     {whole[:100], elfmagic.ErrTruncated, "truncated ELF file"},
		"without its end":  {loader[:len(loader)-1], elfmagic.ErrTruncated, "truncated ELF file"},
		"a byte short":     {binaryFor(t, lookup(t, "arm64"), "/lib/ld.so")[:len(loader)-1], elfmagic.ErrTruncated, "truncated ELF file"},
		"a loader amiss":   {loader, elfmagic.ErrMalformed, "malformed ELF file: loader's path without an end"},
		"class 7":          {append([]byte("\x7fELF\x07"), make([]byte, 60)...), elfmagic.ErrMalformed, "malformed ELF file: class 7"},
		"unknown to all":   {vax, nil, "no known architecture is 64-bit little-endian with ELF machine 75 (EM_VAX)"},
		"an object file":   {object, nil, "no program, but an ELF file of type ET_REL"},
		"a core file":      {core, nil, "no program, but an ELF file of type ET_CORE"},
		"nothing is wrong": {whole, nil, ""},
	} {
		path := write(t, filepath.Join(dir, name), test.content)
		p, err := inspect("", path, []string{"argv0", "x"}, 0)
		require.NoError(t, err, name)
		assert.Equal(t, path, p.path)
		assert.Equal(t, []string{"argv0", "x"}, p.argv)
		assert.Nil(t, p.script)
		assert.Same(t, p, p.binary())
		if test.is != nil {
			assert.ErrorIs(t, p.elfErr, test.is, name)
		}
		if test.text != "" {
			assert.EqualError(t, p.elfErr, test.text, name)
		} else {
			assert.NoError(t, p.elfErr, name)
		}
	}

	// A segment that ends behind the end of the file.
	cut := binaryFor(t, lookup(t, "arm64"), "")
	cut[64+32]++ // p_filesz
	p, err := inspect("", write(t, filepath.Join(dir, "cut"), cut), []string{"cut"}, 0)
	require.NoError(t, err)
	assert.EqualError(t, p.elfErr, fmt.Sprintf("truncated ELF file: it has %d of %d bytes", len(cut), len(cut)+1))
}

func TestFilesThatCannotBeUsedSayWhy(t *testing.T) {
	dir := t.TempDir()
	vax := binaryFor(t, lookup(t, "arm64"), "")
	vax[18], vax[19] = 75, 0
	malformed := append([]byte("\x7fELF\x07"), make([]byte, 60)...)
	text := write(t, filepath.Join(dir, "text"), []byte("hello\n"))
	for _, test := range []struct{ path, hint string }{
		{text, "file(1)"},
		{write(t, filepath.Join(dir, "script"), []byte("#!"+text+"\n")), "file(1)"},
		{write(t, filepath.Join(dir, "cut"), vax[:30]), "copy or build it again"},
		{write(t, filepath.Join(dir, "vax"), vax), "QEMU cannot run such programs"},
		{write(t, filepath.Join(dir, "malformed"), malformed), ""},
	} {
		p, err := inspect("", test.path, []string{test.path}, 0)
		require.NoError(t, err)
		err = unusable(p.binary())
		got, hint := said(err)
		assert.Equal(t, p.binary().path+": "+p.binary().elfErr.Error(), got)
		assert.Contains(t, hint, test.hint)
		assert.Equal(t, test.hint == "", hint == "")
		assert.Equal(t, exitCannot, statusOf(t, err))
	}
}

func TestProgramsSayWhatTheyAre(t *testing.T) {
	dir := t.TempDir()
	static := write(t, filepath.Join(dir, "static"), binaryFor(t, lookup(t, "arm64"), ""))
	dynamic := write(t, filepath.Join(dir, "dynamic"), binaryFor(t, lookup(t, "riscv64"), "/lib/ld-linux-riscv64-lp64d.so.1"))
	for path, want := range map[string]struct{ arch, interp string }{
		static: {"aarch64", ""}, dynamic: {"riscv64", "/lib/ld-linux-riscv64-lp64d.so.1"},
	} {
		p, err := inspect("", path, []string{path}, 0)
		require.NoError(t, err)
		require.NoError(t, p.elfErr)
		assert.Equal(t, want.arch, p.header.Arch.Name)
		assert.Equal(t, want.interp, p.interp)
	}
}

func TestAProgramThatCannotBeReadIsTheKernelsToJudge(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "program"), binaryFor(t, lookup(t, "arm64"), ""))
	require.NoError(t, os.Chmod(path, 0o111))
	var p *program
	var err error
	kerneltest.Unprivileged(t, func() { p, err = inspect("", path, []string{path}, 0) })
	require.NoError(t, err)
	assert.ErrorIs(t, p.elfErr, os.ErrPermission)
}

func TestInterpretersOfScriptsGetTheScriptAndItsArguments(t *testing.T) {
	dir := t.TempDir()
	interpreter := write(t, filepath.Join(dir, "interpreter"), binaryFor(t, lookup(t, "arm64"), ""))
	inner := write(t, filepath.Join(dir, "inner"), []byte("#!"+interpreter+" -i\n"))
	outer := write(t, filepath.Join(dir, "outer"), []byte("#! "+inner+" -o 'two words' \n"))
	p, err := inspect("", outer, []string{"by another name", "one", ""}, 0)
	require.NoError(t, err)
	assert.Equal(t, []string{"by another name", "one", ""}, p.argv)
	require.NotNil(t, p.script)
	assert.Equal(t, []string{inner, "-o 'two words'", outer, "one", ""}, p.script.argv)
	binary := p.binary()
	assert.Same(t, p.script.script, binary)
	assert.Equal(t, interpreter, binary.path)
	assert.Equal(t, []string{interpreter, "-i", inner, "-o 'two words'", outer, "one", ""}, binary.argv)
	assert.Equal(t, "aarch64", binary.header.Arch.Name)
}

// executed returns what the kernel makes of a script, or the error of execve.
func executed(script string) ([]string, error) {
	cmd := exec.Command(script, "last")
	cmd.Env = []string{echo + "=-"}
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var args [][]byte
	if err := json.Unmarshal(out, &args); err != nil {
		return nil, err
	}
	var list []string
	for _, arg := range args[:len(args)-1] {
		list = append(list, string(arg))
	}
	return list, nil
}

// Scripts in all kinds of disorder, against the kernel that runs.
func TestScriptsAreReadAsTheKernelReadsThem(t *testing.T) {
	dir, err := os.MkdirTemp("", "s")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	i := filepath.Join(dir, "i")
	require.NoError(t, os.Symlink("/proc/self/exe", i), "this program, for whoever executes it")
	script := filepath.Join(dir, "script")

	lines := []string{
		"", " ", "\t", "\n", "x", i, i + "\n", " \t" + i + "\t \n", i + " a\n", i + "\ta\n", i + " a b\tc  d \t\n", i + "\t\ta\n", i + " \ta \n",
		i + " a  ", i + "  ", i + "\x00\n", i + "\x00 a\n", i + " a\x00b\n", i + " a \x00\n", "\x00" + i + "\n", i + "\r\n", i + " a\r\n", i + " \r\n",
		i + " -x 'y z' \"w\" $HOME \\\n", i + " ä\xff\n", i + "\nsecond line", i + "\n\x00", "./i\n", dir + "/./i a\n", i + "/\n",
	}
	// Around the end of what the kernel reads.
	for n := 252; n <= 258; n++ {
		for _, end := range []string{"", "\n", " ", " \n", " b", " b\n", "\x00", "\t"} {
			lines = append(lines, i+" "+strings.Repeat("a", n-len("#!")-len(i)-1)+end)                                    // an argument of that length
			lines = append(lines, dir+strings.Repeat("/", n-len("#!")-len(dir)-1)+"i"+end)                                // a path
			lines = append(lines, strings.Repeat(" ", n-len("#!")-len(i))+i+end)                                          // blanks before it
			lines = append(lines, i+strings.Repeat(" ", n-len("#!")-len(i)-1)+"a"+end, i+" a"+strings.Repeat(" ", n)+end) // behind it
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	alphabet := []string{i, i, " ", "\t", "a", "b", "\n", "\x00", "\r", "-", "#", "!"}
	for range 200 {
		var line strings.Builder
		if rng.IntN(2) == 0 {
			line.WriteString(i)
		}
		for range rng.IntN(8) {
			line.WriteString(alphabet[rng.IntN(len(alphabet))])
		}
		lines = append(lines, line.String())
	}

	ran := 0
	for _, line := range lines {
		require.NoError(t, os.WriteFile(script, []byte("#!"+line), 0o755))
		want, err := executed(script)
		p, inspectErr := inspect("", script, []string{script, "last"}, 0)
		if err != nil {
			require.Error(t, inspectErr, "%q: the kernel says %v", line, err)
			assert.True(t, errors.Is(err, syscall.ENOEXEC) || errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EACCES), "%q: %v", line, err)
			continue
		}
		ran++
		require.NoError(t, inspectErr, "%q: the kernel makes it %q", line, want)
		require.NotNil(t, p.script, "%q", line)
		require.Equal(t, want, p.script.argv, "%q", line)
	}
	assert.Greater(t, ran, 100)
}

func TestAsManyScriptsAsTheKernelFollowsAreFollowed(t *testing.T) {
	dir := t.TempDir()
	interpreter := "/proc/self/exe"
	for n := 1; n <= maxScripts+2; n++ {
		interpreter = write(t, filepath.Join(dir, fmt.Sprint(n)), []byte("#!"+interpreter+"\n"))
		want, err := executed(interpreter)
		p, inspectErr := inspect("", interpreter, []string{interpreter, "last"}, 0)
		if n <= maxScripts {
			require.NoError(t, err)
			require.NoError(t, inspectErr)
			assert.Equal(t, want, p.binary().argv)
		} else {
			assert.ErrorIs(t, err, unix.ELOOP)
			assert.ErrorContains(t, inspectErr, "more than 5 scripts are each other's interpreters")
		}
	}
}

// In a root file system, links lead to where they lead for who is in it.
func TestProgramsInARootFileSystem(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "usr/bin/tool"), binaryFor(t, lookup(t, "arm64"), ""))
	write(t, filepath.Join(root, "usr/bin/script"), []byte("#!/bin/tool\n"))
	require.NoError(t, os.WriteFile(filepath.Join(root, "usr/bin/plain"), []byte("x"), 0o644))
	require.NoError(t, os.Symlink("/usr/bin", filepath.Join(root, "bin")))
	require.NoError(t, os.Symlink("../../../../../../../bin/tool", filepath.Join(root, "usr/bin/up")))
	for command, want := range map[string]string{
		"tool": "/usr/bin/tool", "script": "/usr/bin/script", "up": "/usr/bin/up", "/bin/tool": "/bin/tool", "bin/script": "bin/script",
	} {
		path, err := find(root, rootPath, []string{command})
		require.NoError(t, err)
		assert.Equal(t, want, path)
		p, err := inspect(root, path, []string{command, "x"}, 0)
		require.NoError(t, err)
		require.NoError(t, p.binary().elfErr)
		assert.Equal(t, "aarch64", p.binary().header.Arch.Name)
	}
	for command, hint := range map[string]string{"plain": "PATH is /usr/local/sbin:", "nothing": "PATH is ", "/no/tool": "below that directory"} {
		_, err := find(root, rootPath, []string{command})
		text, said := said(err)
		assert.Equal(t, command+": not found in "+root, text)
		assert.Contains(t, said, hint)
		assert.Equal(t, exitNotFound, statusOf(t, err))
	}
	// Who reads a hint is outside, where that path is another file's.
	write(t, filepath.Join(root, "usr/bin/dos"), []byte("#!/bin/tool\r\n"))
	for path, want := range map[string]struct{ text, hint string }{
		"/bin/plain": {"/bin/plain: not executable", "chmod +x " + root + "/usr/bin/plain"},
		"/bin/dos":   {"/bin/dos: script whose #! line ends with a carriage return", `sed -i 's/\r$//' ` + root + "/usr/bin/dos"},
	} {
		_, err := inspect(root, path, nil, 0)
		text, hint := said(err)
		assert.Equal(t, want.text, text)
		assert.Equal(t, want.hint, hint)
	}

	// As env(1) does it, in the PATH that the command gets.
	write(t, filepath.Join(root, "opt/go/bin/go"), binaryFor(t, lookup(t, "arm64"), ""))
	for _, setenv := range []string{"PATH=/opt/go/bin:/usr/bin", "PATH=nothing:opt/go/bin"} {
		status, stdout, stderr := called("--print", "--rootfs", root, "--setenv", setenv, "go")
		assert.Zero(t, status, stderr)
		assert.Contains(t, stdout, " go\n")
	}
	status, _, stderr := called("--print", "--rootfs", root, "--setenv", "PATH=/opt", "tool")
	assert.Equal(t, exitNotFound, status)
	assert.Contains(t, stderr, "PATH is /opt\n")
}

package programs

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// A call is a command line, and what comes of it. DIR stands for the working
// directory, in which the files are: hello and caller for the architecture that is
// tried, native-… for the machine's own, other-… for another, and the scripts.
type call struct {
	name   string
	argv   []string
	says   []string // arguments that a hello of the tried architecture prints
	prints string   // what is printed, if not that
	status int
	tree   bool // foreign programs are started by others, which crossrun --direct leaves to the kernel
	// What only a supervisor does, and what it does otherwise.
	watched, unwatched bool
	newer              int // QEMU that is older than this major version fails
}

var calls = []call{
	{name: "relative path", argv: []string{"./hello", "one", "two"}, says: []string{"./hello", "one", "two"}},
	{name: "absolute path", argv: []string{"DIR/hello", "one"}, says: []string{"DIR/hello", "one"}},
	{name: "path with dots", argv: []string{"./sub/../hello"}, says: []string{"./sub/../hello"}},
	{name: "link", argv: []string{"./greet", "one"}, says: []string{"./greet", "one"}},
	{name: "link to a directory", argv: []string{"here/hello"}, says: []string{"here/hello"}},
	{name: "in PATH", argv: []string{"hello", "one"}, says: []string{"hello", "one"}},
	{name: "link in PATH", argv: []string{"greet", "one"}, says: []string{"greet", "one"}},
	{name: "blanks in its name", argv: []string{"./a ünï name"}, says: []string{"./a ünï name"}},
	{name: "arguments as they are", argv: []string{"./hello", "", " ", "-0", "--", "a\nb", "ünï", "$HOME", "'"}, says: []string{"./hello", "", " ", "-0", "--", "a\nb", "ünï", "$HOME", "'"}},
	{name: "a long argument", argv: []string{"./hello", strings.Repeat("x", 100_000)}, says: []string{"./hello", strings.Repeat("x", 100_000)}},

	// argv[0] is the caller's choice.
	{name: "another argv[0]", argv: []string{"./native-caller", "itself", "./hello", "foo", "bar1", "bar2"}, says: []string{"foo", "bar1", "bar2"}, tree: true},
	{name: "empty argv[0]", argv: []string{"./native-caller", "itself", "./hello", "", "one"}, says: []string{"", "one"}, tree: true},
	{name: "argv[0] with blanks", argv: []string{"./native-caller", "itself", "DIR/hello", "-two words", "one"}, says: []string{"-two words", "one"}, tree: true},
	{name: "no argv[0]", argv: []string{"./native-caller", "itself", "./hello"}, says: []string{""}, tree: true}, // Linux 5.18 (dcd46d897adb) makes it an empty one
	{name: "a native child's another argv[0]", argv: []string{"./native-caller", "child", "./hello", "foo"}, says: []string{"foo"}, tree: true},

	// From foreign programs.
	{name: "takes its place", argv: []string{"./caller", "itself", "./hello", "foo", "one"}, says: []string{"foo", "one"}, tree: true},
	{name: "child", argv: []string{"./caller", "child", "./hello", "./hello", "one"}, says: []string{"./hello", "one"}, tree: true},
	{name: "child by an absolute path", argv: []string{"./caller", "child", "DIR/hello", "DIR/hello", "one"}, says: []string{"DIR/hello", "one"}, tree: true},
	{name: "child in PATH", argv: []string{"./caller", "child", "hello", "hello", "one"}, says: []string{"hello", "one"}, tree: true},
	{name: "child with another argv[0]", argv: []string{"DIR/caller", "child", "./hello", "a b", "one"}, says: []string{"a b", "one"}, tree: true},
	{name: "child's child", argv: []string{"./caller", "child", "./caller", "caller", "child", "./hello", "foo", "one"}, says: []string{"foo", "one"}, tree: true},
	{name: "native child", argv: []string{"./caller", "child", "./native-hello", "foo", "one"}, prints: commands.GoSaying(runtime.GOARCH, "foo", "one")},
	{name: "native child, and a foreign one of that", argv: []string{"./caller", "child", "./native-caller", "foo", "child", "./hello", "bar"}, says: []string{"bar"}, tree: true},
	{name: "another architecture's, and back", argv: []string{"./caller", "child", "./other-caller", "foo", "itself", "./hello", "bar"}, says: []string{"bar"}, tree: true},
	{name: "status of a native child", argv: []string{"./caller", "child", "/bin/sh", "sh", "-c", "exit 37"}, status: 37},
	{name: "no such program", argv: []string{"./caller", "child", "./nothing", "nothing"}, prints: "fork/exec ./nothing: no such file or directory\n", status: 99},
	{name: "a directory", argv: []string{"./caller", "itself", "./sub", "sub"}, prints: "permission denied\n", status: 99},

	// By descriptors, and by the link of itself.
	{name: "descriptor", argv: []string{"./native-caller", "descriptor", "./hello", "foo", "one"}, says: []string{"foo", "one"}, tree: true},
	{name: "descriptor's link", argv: []string{"./native-caller", "link", "./hello", "foo", "one"}, says: []string{"foo", "one"}, tree: true},
	{name: "memory", argv: []string{"./native-caller", "memory", "./hello", "foo", "one"}, says: []string{"foo", "one"}, tree: true},
	{name: "descriptor, from a foreign program", argv: []string{"./caller", "descriptor", "./hello", "foo", "one"}, says: []string{"foo", "one"}, tree: true},
	{name: "descriptor's link, from a foreign program", argv: []string{"./caller", "link", "./hello", "foo", "one"}, says: []string{"foo", "one"}, tree: true},
	{name: "memory, from a foreign program", argv: []string{"./caller", "memory", "./hello", "foo", "one"}, says: []string{"foo", "one"}, tree: true},
	// binfmt_misc refuses those since there is the system call (51f39a1f0cea, Linux 3.19).
	{name: "descriptor that is closed", argv: []string{"./native-caller", "closing", "./hello", "foo"}, prints: "no such file or directory\n", status: 99, tree: true, unwatched: true},
	{name: "descriptor that is closed, watched", argv: []string{"./native-caller", "closing", "./hello", "foo"}, says: []string{"foo"}, tree: true, watched: true},
	{name: "itself again", argv: []string{"./caller", "itself", "/proc/self/exe", "foo", "itself", "./hello", "bar"}, says: []string{"bar"}, tree: true},
	{name: "its own file", argv: []string{"DIR/caller", "look", "."}, prints: "DIR/caller true\n"},
	{name: "its own file, by a relative path", argv: []string{"./caller", "look", "."}, prints: "DIR/caller true\n"},
	{name: "its own file, from elsewhere", argv: []string{"./caller", "look", "sub"}, prints: "DIR/caller true\n", newer: 10},

	// Scripts.
	{name: "#!", argv: []string{"./relative", "one", "two"}, says: []string{"./hello", "./relative", "one", "two"}},
	{name: "#! in PATH", argv: []string{"relative", "one"}, says: []string{"./hello", "DIR/relative", "one"}},
	{name: "#! with an absolute path", argv: []string{"DIR/absolute", "one"}, says: []string{"DIR/hello", "DIR/absolute", "one"}},
	{name: "#! with an argument", argv: []string{"./argument", "one"}, says: []string{"./hello", "two words", "./argument", "one"}},
	{name: "#! of a script", argv: []string{"./nested", "one"}, says: []string{"DIR/hello", "DIR/absolute", "./nested", "one"}},
	{name: "#! through a link", argv: []string{"./linked", "one"}, says: []string{"./greet", "./linked", "one"}},
	{name: "#!, another argv[0]", argv: []string{"./native-caller", "itself", "DIR/relative", "lost", "one"}, says: []string{"./hello", "DIR/relative", "one"}, tree: true},
	{name: "#! from a foreign program", argv: []string{"./caller", "child", "DIR/relative", "lost", "one"}, says: []string{"./hello", "DIR/relative", "one"}, tree: true},
	{name: "#! of a script, from a foreign program", argv: []string{"./caller", "child", "DIR/nested", "lost", "one"}, says: []string{"DIR/hello", "DIR/absolute", "DIR/nested", "one"}, tree: true},
	{name: "#! of env with a path", argv: []string{"./by-env", "one"}, says: []string{"./hello", "./by-env", "one"}, tree: true},
	{name: "#! of env with a name", argv: []string{"./by-name", "one"}, says: []string{"hello", "./by-name", "one"}, tree: true},
	{name: "#! of a shell", argv: []string{"./shell", "one"}, says: []string{"./hello", "one"}, tree: true},
	{name: "#! of a shell, from a foreign program", argv: []string{"./caller", "child", "./shell", "lost", "one"}, says: []string{"./hello", "one"}, tree: true},
	{name: "a shell's script without #!", argv: []string{"sh", "-c", "./plain one"}, says: []string{"./hello", "one"}, tree: true},

	// Through native programs.
	{name: "env env", argv: []string{"env", "env", "./hello", "one"}, says: []string{"./hello", "one"}, tree: true},
	{name: "env, in PATH", argv: []string{"env", "hello", "one"}, says: []string{"hello", "one"}, tree: true},
	{name: "sh", argv: []string{"sh", "-c", "./relative one"}, says: []string{"./hello", "./relative", "one"}, tree: true},
	{name: "sh, exec", argv: []string{"sh", "-c", "exec ./hello one"}, says: []string{"./hello", "one"}, tree: true},
	{name: "sh, from a foreign program", argv: []string{"./caller", "child", "/bin/sh", "sh", "-c", "./relative one"}, says: []string{"./hello", "./relative", "one"}, tree: true},
	{name: "xargs", argv: []string{"sh", "-c", "echo one two | xargs -n1 ./hello | grep -c hello"}, prints: "4\n", tree: true},
}

// scripts are the files of that name in the working directory.
var scripts = map[string]string{
	"relative": "#!./hello\n",
	"absolute": "#!DIR/hello\n",
	"argument": "#! ./hello two words \n",
	"nested":   "#!DIR/absolute",
	"linked":   "#!./greet\n",
	"by-env":   "#!/usr/bin/env ./hello\n",
	"by-name":  "#!/usr/bin/env hello\n",
	"shell":    "#!/bin/sh\n./hello \"$@\"\n",
	"plain":    "./hello \"$@\"\n",
}

// place makes the files of calls for a GOARCH.
func place(t *testing.T, goarch string) (dir string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	other := "s390x"
	if goarch == other {
		other = "arm64"
	}
	for prefix, goarch := range map[string]string{"": goarch, "native-": runtime.GOARCH, "other-": other} {
		for _, name := range []string{"hello", "caller"} {
			commands.CopyFile(t, commands.GoProgram(t, name, goarch), filepath.Join(dir, prefix+name))
		}
	}
	for name, text := range scripts {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(text, "DIR", dir)), 0o755))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	for name, to := range map[string]string{"greet": "hello", "here": ".", "a ünï name": "hello"} {
		require.NoError(t, os.Symlink(to, filepath.Join(dir, name)))
	}
	return dir
}

// try makes a call in a directory of place's, by crossrun with these flags, or, if
// there are none, by itself.
func (c call) try(t *testing.T, dir string, arch *elfmagic.Arch, flags []string) {
	t.Helper()
	if major, _, known := commands.FindEmulator(t, arch).Release(); known && major < c.newer {
		t.Skipf("QEMU before %d fails, and this is %d", c.newer, major)
	}
	in := func(words []string) []string {
		return strings.Split(strings.ReplaceAll(strings.Join(words, "\x00"), "DIR", dir), "\x00")
	}
	argv := in(c.argv)
	cmd := commands.Command("crossrun", append(slices.Clone(flags), argv...)...)
	cmd.Env = append(os.Environ(), "PATH="+dir+":/usr/bin:/bin")
	if len(flags) == 0 {
		// env looks its argument up in the PATH that it is given.
		cmd.Path, cmd.Args = argv[0], argv
		if !strings.Contains(argv[0], "/") {
			cmd.Path, cmd.Args = "/usr/bin/env", append([]string{"env"}, argv...)
		}
	}
	cmd.Dir = dir
	want := commands.Result{Stdout: strings.Join(in([]string{c.prints}), ""), Status: c.status}
	if c.says != nil {
		want.Stdout = commands.GoSaying(arch.GOARCH, in(c.says)...)
	}
	assert.Equal(t, want, commands.Run(t, cmd), "%.200q", cmd.Args)
}

// However a foreign program is called, it is called as it would be on its own
// machine: by what binfmt --install registers, and by both of crossrun's ways. What
// tonistiigi/binfmt tries of exec, argv and #! is among this.
func TestProgramsAreCalledAsOnTheirOwnMachine(t *testing.T) {
	goarchs := []string{"arm64", "arm", "s390x", "riscv64"}
	if kerneltest.Need(t); commands.SingleUser(t) {
		goarchs = goarchs[:1] // the run as root shows the others
	}
	commands.Foreigners(t)
	for _, goarch := range goarchs {
		t.Run(goarch, func(t *testing.T) {
			fs := kerneltest.Instance(t)
			arch := kerneltest.Lookup(t, goarch)
			if kerneltest.Native(t, arch) {
				t.Skip("native here")
			}
			commands.FindEmulator(t, arch)
			dir := place(t, goarch)
			each := func(flags ...string) {
				t.Run(strings.Join(append(flags, "calls"), " "), func(t *testing.T) {
					for _, c := range calls {
						watched := slices.Contains(flags, "--watched")
						if (!c.tree || !slices.Contains(flags, "--direct")) && (!c.watched || watched) && !(c.unwatched && watched) {
							t.Run(c.name, func(t *testing.T) { t.Parallel(); c.try(t, dir, arch, flags) })
						}
					}
				})
			}
			each("--direct")
			each("--private")
			each("--watched")
			assert.Empty(t, commands.List(t, fs), "nothing was registered")
			cmd := commands.Command("register", "--install", goarch+",arm64,s390x")
			cmd.Args[0] = "binfmt"
			r := commands.Run(t, cmd)
			require.Equal(t, 0, r.Status, r.Stderr)
			each()
		})
	}
}

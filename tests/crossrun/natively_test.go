package crossrun

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// behaviours are what foreign programs do as native ones do. A shell sets something up
// and starts p, which starts q: the same program, natively, and for arm64 and for s390x
// in each way.
var behaviours = []struct {
	name, setup string
	argv        func(p, q string) []string
	want        string // a part of what is said natively: the behaviour is there

	otherwise map[string]string // what is said in some ways instead, for a reason
	stock     map[string]string // and that with stock emulators only
	ours      bool              // stock emulators do something else in all ways
}{
	{name: "200 at once", setup: "", argv: func(p, q string) []string { return []string{p, "crowd", "200", q, "exit", "7"} }, want: "200 ended with 7\n"},
	{name: "3 MB of arguments", setup: "ulimit -s 65536", argv: func(p, q string) []string { return []string{p, "big", "3", q, "count"} }, want: "32 words, 3000"},
	{name: "25 deep", setup: "", argv: func(p, q string) []string {
		return append(slices.Repeat([]string{p, "exec", q, "exec", p, "run", q, "exec", p, "exec"}, 5), q, "exit", "9")
	}, want: "status=9"},
	{name: "descriptors", setup: `exec 3<"$file" 7<"$file"`, argv: func(p, q string) []string {
		return []string{p, "inherited", "exec", q, "inherited", "copy", "3", "exec", p, "copy", "7", "inherited"}
	}, want: "open: 3 7\n"},
	{name: "one by which it is executed", setup: "", argv: func(p, q string) []string { return []string{p, "memory", q, "inherited"} }, want: "open:\n", stock: map[string]string{
		// The kernel refuses to tell an interpreter the path of what is closed
		// (BINPRM_FLAGS_PATH_INACCESSIBLE in fs/binfmt_misc.c).
		"--kernel":  "execveat: No such file or directory\nstatus=99\n",
		"--private": "execveat: No such file or directory\nstatus=99\n",
		"--rootfs":  "execveat: No such file or directory\nstatus=99\n",
	}, otherwise: map[string]string{
		// It is open for the emulator, which does not close it.
		"--watched": "open: 3\nignored:\nstatus=0\n",
	}},
	{name: "ignored signals", setup: "trap '' HUP INT QUIT USR1 PIPE TERM TSTP WINCH", argv: func(p, q string) []string {
		return []string{p, "inherited"}
	}, want: "ignored: 1 2 3 10 13 15 20 28\n"},
	{name: "those of its children", setup: "trap '' HUP INT USR1 PIPE TERM TSTP WINCH", argv: func(p, q string) []string {
		return []string{p, "ignore", "12", "exec", q, "inherited", "exec", p, "inherited"}
	}, want: "ignored: 1 2 10 12 13 15 20 28\n"},
	{name: "those that leave a core", setup: "ulimit -c 0; trap '' QUIT TRAP ABRT FPE USR1", argv: func(p, q string) []string {
		return []string{p, "ignore", "12", "exec", q, "inherited", "exec", p, "inherited"}
	}, want: "ignored: 3 5 6 8 10 12\n", ours: true, otherwise: map[string]string{
		// Go's run time, which is the parent's there, needs those of faults.
		"--rootfs": "open:\nignored: 3 6 10 12\nopen:\nignored: 3 6 10 12\nstatus=0\n",
	}},
	{name: "limits", setup: "ulimit -S -c 12; ulimit -H -c 34; ulimit -n 77; ulimit -S -t 500; ulimit -f 99999", argv: func(p, q string) []string {
		return []string{p, "limits", "exec", q, "limits"}
	}, want: "6144 17408\n77 77\n500 "},
	{name: "no core", setup: "ulimit -c 0", argv: func(p, q string) []string { return []string{p, "run", q, "kill", "6"} }, want: "status=134\n"},
	{name: "a signal", setup: "ulimit -c 0", argv: func(p, q string) []string { return []string{p, "run", q, "kill", "10"} }, want: "status=138\n"},
}

// uncaught is what emulators say besides.
var uncaught = regexp.MustCompile(`(?m)^qemu: uncaught target signal .*\n`)

func TestForeignProgramsBehaveAsNativeOnes(t *testing.T) {
	fs := kerneltest.Instance(t)
	commands.Foreigners(t) // or a reason why not
	inheritNothing(t)
	arm64, s390x := executer(t, "aarch64-linux-gnu"), executer(t, "s390x-linux-gnu")
	native := executer(t, kerneltest.Lookup(t, runtime.GOARCH).Debian[0].Triplet)
	dir := t.TempDir()
	place := func(kind, p, q string) (string, string) { // names of the same length
		atP, atQ := filepath.Join(dir, kind, "p"), filepath.Join(dir, kind, "q")
		commands.CopyFile(t, p, atP)
		commands.CopyFile(t, q, atQ)
		return atP, atQ
	}
	nativeP, nativeQ := place("natives", native, native)
	foreignP, foreignQ := place("foreign", arm64, s390x)
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("content\n"), 0o644))
	run := func(t *testing.T, setup string, argv ...string) commands.Result {
		cmd := exec.Command("/bin/sh", append([]string{"-c", setup + "\n" + `"$@"; echo "status=$?"`, "sh"}, argv...)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "file="+file)
		r := commands.Run(t, cmd)
		r.Stdout = strings.ReplaceAll(r.Stdout, "/natives/", "/foreign/")
		return r
	}
	natively := make([]commands.Result, len(behaviours))
	for i, b := range behaviours {
		natively[i] = run(t, b.setup, b.argv(nativeP, nativeQ)...)
		require.Contains(t, natively[i].Stdout, b.want, b.name)
	}
	areOurs := commands.FindEmulator(t, kerneltest.Lookup(t, "arm64")).HandsOn()
	for _, way := range []string{"--kernel", "--private", "--handed-on", "--watched", "--rootfs"} {
		t.Run(way, func(t *testing.T) {
			words := []string{commands.Command("crossrun").Path, way}
			switch way {
			case "--kernel":
				require.Zero(t, commands.Register(t, "--no-probe", "arm64", "s390x").Status)
				defer func() {
					require.NoError(t, fs.Remove("qemu-aarch64"))
					require.NoError(t, fs.Remove("qemu-s390x"))
				}()
			case "--handed-on":
				handsOn(t, "arm64", "s390x")
			case "--rootfs":
				words = append(words, rootWith(t, foreignP, foreignQ))
			}
			for i, b := range behaviours {
				t.Run(b.name, func(t *testing.T) {
					if b.ours {
						ours(t, "arm64", "s390x")
					}
					argv := append(slices.Clone(words), b.argv(foreignP, foreignQ)...)
					want := natively[i]
					if said, other := b.otherwise[way]; other {
						want.Stdout = said
					} else if said, other := b.stock[way]; other && !areOurs {
						want.Stdout = said
					}
					r := run(t, b.setup, argv...)
					r.Stderr = uncaught.ReplaceAllString(r.Stderr, "")
					assert.Equal(t, want, r)
				})
			}
		})
	}
}

// executer is a C program for a port; see its source.
func executer(t *testing.T, triplet string) string {
	t.Helper()
	return commands.CProgram(t, commands.Port(triplet), "executer", "-static", "-O1", "../testdata/executer.c")
}

// rootWith returns a root file system that has these programs at the same paths.
func rootWith(t *testing.T, programs ...string) string {
	t.Helper()
	root := smallRoot(t)
	for _, program := range programs {
		commands.CopyFile(t, program, filepath.Join(root, program))
	}
	return root
}

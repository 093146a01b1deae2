package emulators

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/tinyelf"
	"github.com/projectcalico/go-build/tests/commands"
)

// What a program executes is executed by the emulator itself if it is for its
// target, by the helper if it is for another machine, and by the kernel if that can.
// tests/crossrun has the same with crossrun as the helper.
func TestExecHelper(t *testing.T) {
	s := setup(t)
	// What whoever runs the tests has left open is not counted.
	require.NoError(t, unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)) // 5.11
	dir := filepath.Join(s.work, "exec")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	host, err := elfmagic.Lookup(runtime.GOARCH)
	require.NoError(t, err)
	helper := compiled(t, host, dir, "helper", "testdata/helper.c")
	eachPort(t, func(t *testing.T, arch *elfmagic.Arch, triplet string) {
		if arch == host {
			t.Skip("the host's programs are the emulator's own")
		}
		judged, err := s.judged.Find(arch)
		if err != nil {
			t.Skip(err)
		}
		if !judged.HandsOn() {
			t.Skipf("%s has no -exec-helper: %s", judged.Path, judged.Version)
		}
		e := execHelper{
			dir: dir, emulator: judged.Path, helper: helper,
			own:     compiled(t, arch, dir, "own", "../testdata/executer.c"),
			native:  compiled(t, host, dir, "native", "../testdata/executer.c"),
			foreign: tiny(t, dir, map[bool]string{false: "alpha", true: "hppa"}[arch.Name == "alpha"]),
		}
		e.test(t)
	})
}

// compiled returns a C program that needs no file of its architecture where it runs.
func compiled(t *testing.T, arch *elfmagic.Arch, dir, name, source string) string {
	t.Helper()
	triplet := arch.Debian[0].Triplet
	return compile(t, triplet, filepath.Join(dir, name+"-"+arch.Name), append(commands.Port(triplet).Link(), source)...)
}

// tiny returns a program that the host does not run.
func tiny(t *testing.T, dir, name string) string {
	t.Helper()
	arch, err := elfmagic.Lookup(name)
	require.NoError(t, err)
	content, err := tinyelf.Program(arch)
	require.NoError(t, err)
	path := filepath.Join(dir, "foreign-"+name)
	require.NoError(t, os.WriteFile(path, content, 0o755))
	return path
}

// An execHelper is an emulator, its helper and what its programs execute.
type execHelper struct{ dir, emulator, helper, own, native, foreign string }

// run runs the program of the target, with descriptors 3 and 4 as the helper and the
// emulator, and returns what it printed and its exit status.
func (e *execHelper) run(t *testing.T, flags []string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	argv := append([]string{e.emulator, "-exec-data", "some data"}, flags...)
	cmd := command(t.Context(), e.dir, nil, append(append(argv, e.own), args...)...)
	for _, path := range []string{e.helper, e.emulator} {
		file, err := os.Open(path)
		require.NoError(t, err)
		defer file.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, file)
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func (e *execHelper) test(t *testing.T) {
	all := []string{"-exec-helper", "3,4,-1,a name"}
	wantHelped := fmt.Sprintf("[exec-helper][some data][%%d,-1,%%s][%s][%s][x]\n", e.foreign, e.foreign)
	for _, test := range []struct {
		name, want string
		status     int
		flags      []string
		args       []string
	}{
		{"its own, again and again", "", 7, all, []string{"exec", e.own, "clear", "exec", e.own, "environment", "exit", "7"}},
		// These have the same numbers on all architectures; 10 is SIGBUS on some.
		{"another's", fmt.Sprintf(wantHelped, 3, "3000"), 42, all, []string{"ignore", "13", "ignore", "14", "exec", e.own, "exec", e.foreign, "x"}},
		{"native", "open:\nignored:\n", 0, all, []string{"exec", e.native, "inherited"}},
		{"what it ignores", "open:\nignored: 3 5 6 8 13\n", 0, all, []string{"ignore", "3", "ignore", "5", "ignore", "6", "ignore", "8", "ignore", "13", "exec", e.own, "exec", e.own, "exec", e.native, "inherited"}},
		{"native, handed on", fmt.Sprintf("[exec-helper][some data][3,-1,0][%s][%s]\n", e.native, e.native), 42, append([]string{"-exec-native"}, all...), []string{"exec", e.own, "exec", e.native}},
		{"nothing is open", "open:\nignored:\nopen:\nignored:\n", 0, all, []string{"close", "inherited", "exec", e.own, "inherited"}},
		{"out of the way", fmt.Sprintf(wantHelped, 1021, "0"), 42, all, []string{"close", "exec", e.foreign, "x"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			stdout, stderr, status := e.run(t, test.flags, test.args...)
			assert.Equal(t, test.want, stdout)
			assert.Empty(t, stderr)
			assert.Equal(t, test.status, status)
		})
	}
	t.Run("reported", func(t *testing.T) {
		stdout, stderr, _ := e.run(t, []string{"-exec-helper", "-1,-1,-1,"}, "exec", e.foreign)
		assert.NotContains(t, stdout, "exec-helper")
		assert.Contains(t, stderr, strings.TrimSuffix(filepath.Base(e.emulator), "-static")+": "+e.foreign+": for another architecture than the host's, and not emulated\n")
	})
	t.Run("without", func(t *testing.T) {
		_, stderr, _ := e.run(t, nil, "exec", e.foreign)
		assert.NotContains(t, stderr, "not emulated")
	})
}

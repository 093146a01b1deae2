package register

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// One entry of somebody else's that cannot be read stops nothing: one whose
// interpreter's line feed makes another line, one with a line that means something
// else, and one that reads as that of another kernel may.
func TestAnEntryThatCannotBeReadStopsNothing(t *testing.T) {
	commands.FindEmulator(t, kerneltest.Lookup(t, "s390x"))
	for name, make := range map[string]func(t *testing.T, fs binfmt.FS){
		"twice":  func(t *testing.T, fs binfmt.FS) { raw(t, fs, ":twice:M::magic::/bin/x\ninterpreter /y:") },
		"offset": func(t *testing.T, fs binfmt.FS) { raw(t, fs, ":offset:M::magic::/bin/x\noffset nine:") },
		"newer": func(t *testing.T, fs binfmt.FS) {
			raw(t, fs, ":newer:E::x::/bin/true:")
			text := filepath.Join(t.TempDir(), "text")
			require.NoError(t, os.WriteFile(text, []byte("transparent\ninterpreter /bin/true\n"), 0o644))
			entry := filepath.Join(fs.Dir(), "newer")
			require.NoError(t, unix.Mount(text, entry, "", unix.MS_BIND, ""))
			t.Cleanup(func() { require.NoError(t, unix.Unmount(entry, 0)) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			fs := kerneltest.Instance(t)
			make(t, fs)
			succeeds := func(r commands.Result) commands.Result {
				t.Helper()
				assert.Zero(t, r.Status, r.Stderr)
				assert.FileExists(t, filepath.Join(fs.Dir(), name), "it is left alone")
				return r
			}
			for _, args := range [][]string{{"--dry-run", "s390x"}, {"s390x"}, {"s390x"}, {"--reset", "s390x"}, {"--facts"}} {
				succeeds(commands.Register(t, args...))
			}
			for _, args := range [][]string{{"--status"}, {"--status", "--output", "json"}} {
				r := succeeds(commands.Register(t, args...))
				assert.Contains(t, r.Stdout, name)
				assert.Contains(t, r.Stdout, "qemu-s390x")
			}
			succeeds(commands.Register(t, "--uninstall", "s390x"))
			succeeds(commands.Register(t, "--uninstall"))

			r := succeeds(asBinfmt(t, "--install", "s390x"))
			assert.Contains(t, r.Stderr, "installing: s390x OK")
			assert.Contains(t, r.Stdout, "qemu-s390x")
			r = succeeds(asBinfmt(t))
			assert.Contains(t, r.Stdout, "qemu-s390x")
			assert.NotContains(t, r.Stdout, name)
			r = succeeds(asBinfmt(t, "--uninstall", "*"))
			assert.Contains(t, r.Stderr, "uninstalling: qemu-s390x OK")
			assert.Contains(t, r.Stderr, `uninstalling: "`+name+`" left alone: it cannot be read: `)
			_, err := fs.Get("qemu-s390x")
			assert.ErrorIs(t, err, os.ErrNotExist)

			if name != "newer" { // which is covered
				r = asBinfmt(t, "--uninstall", name)
				assert.Zero(t, r.Status, r.Stderr)
				assert.Contains(t, r.Stderr, "uninstalling: "+name+" OK", "by its own name it is meant")
				assert.NoFileExists(t, filepath.Join(fs.Dir(), name))
			}
		})
	}
}

// raw registers an entry as it is written.
func raw(t *testing.T, fs binfmt.FS, line string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(fs.Dir(), "register"), []byte(line), 0))
}

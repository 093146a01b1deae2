package emulators

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
)

// A child of vfork(2) shares its parent's memory, the parent waits, and posix_spawn(3) of
// what is not there fails. Under stock emulators it succeeds.
func TestSpawn(t *testing.T) {
	s := setup(t)
	eachPort(t, func(t *testing.T, arch *elfmagic.Arch, triplet string) {
		program := guest(t, s, triplet, "spawn")
		s.judge(t, arch, func(c contestant) string { return c.handingOn(t, program) }, "")
	})
}

// handingOn returns what a program prints that executes itself, and how it ended if not well.
func (c *contestant) handingOn(t *testing.T, program string, args ...string) string {
	t.Helper()
	argv := []string{c.path}
	var files []*os.File
	if c.patched {
		argv = append(argv, "-exec-helper", "3,4,-1,"+filepath.Base(program))
		for _, path := range []string{"/bin/false", c.path} {
			file, err := os.Open(path)
			require.NoError(t, err)
			defer file.Close()
			files = append(files, file)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := command(ctx, filepath.Dir(program), nil, append(append(argv, program), args...)...)
	cmd.ExtraFiles = files
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String() + err.Error()
	}
	return out.String()
}

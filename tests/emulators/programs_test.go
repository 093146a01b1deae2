package emulators

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/guests"
)

// A compiler, interpreters, a database and Go's programs, which are those of
// tests/emulatorbench: the same output, and the same assembly.
func TestPrograms(t *testing.T) {
	s := setup(t)
	for _, target := range qemuTargets {
		t.Run(target, func(t *testing.T) {
			arch, err := elfmagic.Lookup(target)
			require.NoError(t, err)
			contestants := s.contestants(t, arch)
			t.Parallel()
			made, missing, err := guests.Make(t.Context(), arch, filepath.Join(s.work, "guests"))
			require.NoError(t, err)
			dir := filepath.Join(s.work, "guests", arch.Name)
			require.NoError(t, own(dir), "cc1 writes there")
			limit := limitOf(target, 5*time.Minute)
			var results []comparison
			for _, g := range made {
				results = append(results, compare(t, g.Name, contestants, func(c contestant) outcome {
					if g.Output != "" {
						if err := os.Remove(g.Output); !errors.Is(err, fs.ErrNotExist) {
							require.NoError(t, err)
						}
					}
					o := execute(t.Context(), limit, dir, g.Env, g.Argv(c.path)...)
					if g.Output != "" {
						text, _ := os.ReadFile(g.Output) // if there is none, that is the outcome
						o.stdout += string(text)
					}
					if len(o.stdout) > 10000 {
						// Not to be taken for addresses.
						o.stdout = fmt.Sprintf("%d bytes, sum: %X", len(o.stdout), sha256.Sum256([]byte(o.stdout)))
					}
					return o
				}))
			}
			var not []string
			for _, m := range missing {
				not = append(not, m.Name)
				t.Logf("no %s: %v", m.Name, m.Err)
			}
			note := ""
			if slices.Sort(not); len(not) > 0 {
				note = "not to be had: " + strings.Join(not, ", ")
			}
			report(t, "programs", target, contestants, results, note)
		})
	}
}

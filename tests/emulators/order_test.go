package emulators

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// orderRounds are the rounds of each pair of accesses under the emulator that is judged, and
// natively. Stock ones get fewer, as what they do is only reported; so do those for another
// host, which are twice as slow and more.
const (
	orderRounds        = 10_000_000
	orderRoundsForeign = 200_000
	orderRoundsStock   = 20_000
)

// judgedRounds are those of the emulator that is judged, or what TEST_ORDER_ROUNDS says.
func judgedRounds(t *testing.T, rounds int) int {
	t.Helper()
	if text := os.Getenv("TEST_ORDER_ROUNDS"); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err)
		return n
	}
	return rounds
}

// A load that acquires is not seen before a store that releases and precedes it. Stock
// emulators for aarch64 and arm let it pass in some of a hundred rounds.
func TestOrder(t *testing.T) {
	s := setupForeign(t)
	eachPort(t, func(t *testing.T, arch *elfmagic.Arch, triplet string) {
		// Some 32-bit targets have no atomics of their own.
		flags := []string{"-Wl,--as-needed", "-latomic"}
		if arch.Name == "arm" {
			flags = append(flags, "-march=armv8-a+simd")
		}
		program := guest(t, s, triplet, "order", flags...)
		contestants := s.contestants(t, arch)
		var row orderRow
		if self := kerneltest.Lookup(t, runtime.GOARCH); self == arch && s.via == "" {
			row.run(t, "native", judgedRounds(t, orderRounds), program)
		}
		host := runtime.GOARCH
		for _, c := range contestants {
			switch {
			case !c.judged:
				row.run(t, c.name, orderRoundsStock, c.path, program)
			case !c.patched:
				t.Skipf("%s is not of our build, or without patches", c.path)
			case s.via != "":
				host = hostOf(t, c.path)
				row.run(t, "ours", judgedRounds(t, orderRoundsForeign), append(c.argv(), program)...)
			default:
				row.run(t, "ours", judgedRounds(t, orderRounds), c.path, program)
			}
		}
		assert.Empty(t, row.Runs[len(row.Runs)-1].Wrong, contestants[len(contestants)-1].path)
		if kerneltest.Updating() {
			updateOrder(t, triplet+" on "+host, row)
		}
	})
}

// run has a program's pairs tried, and adds what came of them.
func (r *orderRow) run(t *testing.T, name string, rounds int, argv ...string) {
	t.Helper()
	start := time.Now()
	o := execute(t.Context(), time.Hour, filepath.Dir(argv[len(argv)-1]), nil, append(argv, strconv.Itoa(rounds))...)
	if o.end != "exit status 0" && rounds == orderRoundsStock {
		t.Logf("%s does not run it: %s", name, o)
		return
	}
	require.Equal(t, "exit status 0", o.end, "%s: %s", name, o)
	pairs, wrong, err := parseOrder(o.stdout)
	require.NoError(t, err)
	r.Pairs = pairs
	r.Runs = append(r.Runs, orderRun{name, rounds, wrong})
	t.Logf("%s: %d pairs, wrong: %v (%s)", name, len(pairs), wrong, time.Since(start).Round(time.Second))
}

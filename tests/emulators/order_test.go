package emulators

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/projectcalico/go-build/elfmagic"
)

// orderRounds are the rounds of each pair of accesses under the emulator that is judged.
// Stock ones get fewer, as what they do is only reported.
const (
	orderRounds      = "10000000"
	orderRoundsStock = "20000"
)

// A load that acquires is not seen before a store that releases and precedes it. Stock
// emulators for aarch64 and arm let it pass in some of a hundred rounds.
func TestOrder(t *testing.T) {
	s := setup(t)
	eachPort(t, func(t *testing.T, arch *elfmagic.Arch, triplet string) {
		var flags []string
		if arch.Name == "arm" {
			flags = []string{"-march=armv8-a+simd"}
		}
		program := guest(t, s, triplet, "order", flags...)
		s.judge(t, arch, func(c contestant) string {
			rounds := orderRounds
			if !c.judged {
				rounds = orderRoundsStock
			}
			o := execute(t.Context(), 20*time.Minute, filepath.Dir(program), nil, c.path, program, rounds)
			if o.end != "exit status 0" {
				return o.String()
			}
			return wrongOrders(o.stdout)
		}, "")
	})
}

// wrongOrders are the lines of pairs that were seen in a wrong order.
func wrongOrders(stdout string) string {
	var wrong strings.Builder
	for line := range strings.Lines(stdout) {
		if !strings.HasSuffix(line, ": 0 wrong\n") {
			wrong.WriteString(line)
		}
	}
	return wrong.String()
}

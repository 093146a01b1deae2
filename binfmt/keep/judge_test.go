package keep

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

func TestJudge(t *testing.T) {
	arch := kerneltest.Lookup(t, "s390x")
	at := func(second int64) time.Time { return time.Unix(second, 0) }
	entry := func(name, interpreter string, second int64) binfmt.Entry {
		return binfmt.Entry{Name: name, Pattern: arch.Pattern(), Interpreter: interpreter, Registered: at(second)}
	}
	disabled := func(e binfmt.Entry) binfmt.Entry {
		e.Disabled = true
		return e
	}
	own := entry("qemu-s390x", "/usr/bin/qemu-s390x", 1)
	again := entry("qemu-s390x", "/usr/bin/qemu-s390x", 2)
	other := entry("qemu-s390x", "/opt/qemu-s390x", 3)
	rosetta := entry("rosetta", "/rosetta", 3)
	standIn := entry("qemu-s390x.new", "/usr/bin/qemu-s390x", 4)
	python := binfmt.Entry{Name: "python", Extension: "py", Interpreter: "/usr/bin/python3"}
	for name, test := range map[string]struct {
		entries  []binfmt.Entry // newest first
		verdict  Verdict
		cause    Cause
		other    binfmt.Entry
		standIns int
	}{
		"as it was":                         {entries: []binfmt.Entry{python, own}},
		"with an older one behind it":       {entries: []binfmt.Entry{own, rosetta}},
		"behind a newer one":                {entries: []binfmt.Entry{rosetta, own}, verdict: Taken, cause: Replaced, other: rosetta},
		"behind one that is disabled":       {entries: []binfmt.Entry{disabled(rosetta), own}},
		"replaced":                          {entries: []binfmt.Entry{other}, verdict: Taken, cause: Replaced, other: other},
		"registered again by somebody else": {entries: []binfmt.Entry{again}, verdict: Taken, cause: Replaced, other: again},
		"removed":                           {entries: []binfmt.Entry{python}, verdict: Gone, cause: Removed},
		"disabled":                          {entries: []binfmt.Entry{disabled(own)}, verdict: Gone, cause: Disabled},
		"disabled before another's":         {entries: []binfmt.Entry{disabled(own), rosetta}, verdict: Taken, cause: Replaced, other: rosetta},
		"being changed":                     {entries: []binfmt.Entry{standIn, own}, standIns: 1},
		"healed at once":                    {entries: []binfmt.Entry{standIn}, verdict: Gone, cause: Removed, standIns: 1},
		"healed at once, and replaced":      {entries: []binfmt.Entry{standIn, other}, verdict: Taken, cause: Replaced, other: other, standIns: 1},
	} {
		t.Run(name, func(t *testing.T) {
			findings := Judge([]Kept{{Arch: arch, Name: "qemu-s390x", Own: own}}, test.entries)
			if assert.Len(t, findings, 1) {
				f := findings[0]
				assert.Equal(t, test.verdict, f.Verdict, f.Verdict.String())
				assert.Equal(t, test.cause, f.Cause)
				assert.Equal(t, test.other, f.Other)
				assert.Len(t, f.StandIns, test.standIns)
			}
		})
	}
	nothing := Judge([]Kept{{Arch: arch, Name: "qemu-s390x"}}, []binfmt.Entry{own})
	assert.Equal(t, Taken, nothing[0].Verdict, "who registered nothing has nothing")
}

func TestVerdictsHaveNames(t *testing.T) {
	assert.Equal(t, "intact taken gone Verdict(3) Verdict(-1)",
		Intact.String()+" "+Taken.String()+" "+Gone.String()+" "+Verdict(3).String()+" "+Verdict(-1).String())
}

func TestYields(t *testing.T) {
	e := binfmt.Entry{Name: "rosetta", Interpreter: "/mnt/lima-rosetta/rosetta"}
	for pattern, want := range map[string]bool{"*": true, "rosetta": true, "ros*": true, "/mnt/lima-rosetta/*": true, "/mnt/*": false, "qemu-*": false, "": false, "[": false} {
		assert.Equal(t, want, Yields([]string{"other", pattern}, e), pattern)
	}
	assert.False(t, Yields(nil, e))
}

// However often somebody undoes it, what is done has a bound.
func TestAPaceHasABound(t *testing.T) {
	p := pace{free: 3, window: time.Minute, apart: 5 * time.Second}
	now := time.Unix(0, 0)
	did := 0
	for range 60_000 { // in which it is wanted all the time
		if p.wait(now) == 0 {
			p.did(now)
			did++
		}
		now = now.Add(time.Millisecond)
	}
	assert.Equal(t, 3+11, did)
	assert.Positive(t, p.wait(now))
	assert.LessOrEqual(t, p.wait(now), 5*time.Second)
	now = now.Add(time.Hour)
	assert.Zero(t, p.wait(now), "it is forgotten")
}

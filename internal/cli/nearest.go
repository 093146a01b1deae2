package cli

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/projectcalico/go-build/elfmagic"
)

// nearest returns the known name that is most like the given one, or like one
// component of the given platform, if any is like it at all. Of equally near
// ones it is one that Go has a port for (riscv64, not riscv32, for riscv), and
// the first in alphabetical order.
func nearest(name string) string {
	key := strings.TrimSuffix(strings.TrimPrefix(strings.ToLower(strings.TrimSpace(name)), "qemu-"), "-static")
	archs := make(map[string]*elfmagic.Arch)
	for _, a := range elfmagic.Archs() {
		for _, name := range a.Names() {
			archs[name] = a
		}
	}
	place := func(name string) string {
		if archs[name].GOARCH != "" {
			return "0" + name
		}
		return "1" + name
	}
	names := slices.SortedFunc(maps.Keys(archs), func(a, b string) int { return strings.Compare(place(a), place(b)) })
	best, bestLikeness := "", 0.0
	for _, component := range strings.SplitN(key, "/", 4) {
		if a := archs[component]; a != nil {
			return a.Platform() // it is the rest of the name that is wrong
		}
		if near, l := mostLike(component, names); l > bestLikeness {
			best, bestLikeness = near, l
		}
	}
	return best
}

// NearFlag adds to an error about a flag that does not exist which one may be meant, if
// one is like it.
func NearFlag(err error, flags *pflag.FlagSet) error {
	name, ok := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !ok {
		return err
	}
	var names []string
	flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := Nearest(name, names); near != "" {
		return WithHint(err, "did you mean --%s?", near)
	}
	return err
}

// Nearest returns the one of the names that is most like the given one, or an empty
// string if none is.
func Nearest(name string, names []string) string {
	best, _ := mostLike(name, names)
	return best
}

// mostLike returns the first of the names that are most like the given one, and how
// like it is.
func mostLike(name string, names []string) (best string, like float64) {
	like = 0.6
	for _, known := range names {
		if l := likeness(name, known); l > like {
			best, like = known, l
		}
	}
	return best, like
}

// likeness says how alike two names are, from 0 to 1: by the share of their
// characters that typing errors would have left in place, with more weight to
// the first four, which are seldom wrong (as Winkler does for names of people).
func likeness(a, b string) float64 {
	longer, shorter := max(len(a), len(b)), min(len(a), len(b))
	if longer-shorter > 4 {
		return 0 // whatever their characters, and however long a caller's name is
	}
	l := 1 - float64(typos(a, b))/float64(2*longer)
	prefix := 0
	for prefix < min(shorter, 4) && a[prefix] == b[prefix] {
		prefix++
	}
	return l + float64(prefix)/10*(1-l)
}

// typos returns how far apart two names are: 2 for each character that must be
// inserted, left out or replaced to get from one to the other, 1 for each that
// must be swapped with its neighbour (a weighted optimal string alignment
// distance). Swaps are the likeliest slips: amr64 is arm64, not amd64.
func typos(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = 2 * j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = 2 * (i + 1)
		for j := range len(b) {
			replace := last[j]
			if a[i] != b[j] {
				replace += 2
			}
			row[j+1] = min(replace, last[j+1]+2, row[j]+2)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}

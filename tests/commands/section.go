package commands

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/internal/file"
)

// WriteSection replaces what is between the two comments of a document that have a section's
// name, "<!-- NAME: … -->" and "<!-- end of NAME -->".
func WriteSection(t testing.TB, path, name, text string) {
	t.Helper()
	document := Read(t, path)
	before, rest, found := strings.Cut(document, "<!-- "+name+":")
	require.True(t, found, "%s has no section %s", path, name)
	head, rest, found := strings.Cut(rest, "-->\n")
	require.True(t, found, name)
	_, after, found := strings.Cut(rest, "<!-- end of "+name+" -->")
	require.True(t, found, name)
	document = before + "<!-- " + name + ":" + head + "-->\n\n" + strings.TrimSpace(text) + "\n\n<!-- end of " + name + " -->" + after
	require.NoError(t, file.ReplaceWith(path, 0o644, []byte(document)))
}

// Heals are how long programs could not be run, by what was done.
type Heals map[string][]time.Duration

// buckets are upper bounds.
var buckets = []time.Duration{time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, time.Second}

// Markdown is a histogram: a table with a row for each cause.
func (h Heals) Markdown() string {
	var b strings.Builder
	b.WriteString("| what was done | times | median | worst |")
	for _, bucket := range buckets {
		fmt.Fprintf(&b, " ≤ %v |", bucket)
	}
	b.WriteString(" more |\n| --- |" + strings.Repeat(" ---: |", len(buckets)+4) + "\n")
	var causes []string
	for cause := range h {
		causes = append(causes, cause)
	}
	slices.Sort(causes)
	for _, cause := range causes {
		took := slices.Sorted(slices.Values(h[cause]))
		counts := make([]int, len(buckets)+1)
		for _, d := range took {
			i := slices.IndexFunc(buckets, func(bucket time.Duration) bool { return d <= bucket })
			if i < 0 {
				i = len(buckets)
			}
			counts[i]++
		}
		fmt.Fprintf(&b, "| %s | %d | %s | %s |", cause, len(took), milliseconds(took[len(took)/2]), milliseconds(took[len(took)-1]))
		for _, n := range counts {
			fmt.Fprintf(&b, " %d |", n)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

// Conditions say on what something was measured.
func Conditions(t testing.TB) string {
	t.Helper()
	release, _, _ := strings.Cut(strings.TrimSpace(Read(t, "/proc/sys/kernel/osrelease")), "-")
	load, _, _ := strings.Cut(Read(t, "/proc/loadavg"), " ")
	return fmt.Sprintf("Linux %s, %d cores, load %s at the end, %s", release, runtime.NumCPU(), load, time.Now().UTC().Format(time.DateOnly))
}

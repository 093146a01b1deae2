package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/projectcalico/go-build/internal/cli"
)

// A Result is what is printed, and what tests/emulatorbench/plot reads.
type Result struct {
	Machine string
	Measure string // wall or cpu
	Targets []Target
}

// A Target is an architecture, with the emulators that ran its programs.
type Target struct {
	Name      string
	Emulators []Emulator
	Rows      []Row
}

// An Emulator is one contestant. Start says which start of a program it is with a cache
// of translations.
type Emulator struct {
	Name    string
	Stock   bool
	Start   string `json:",omitempty"`
	Version string
	MB      float64
	path    string
}

// A Row is one guest.
type Row struct {
	Guest   string
	Trained bool
	Native  float64 `json:",omitempty"` // milliseconds; 0: not to be had
	Cells   []Cell  // one for each emulator
}

// A Cell is what one emulator took for one guest, in milliseconds. Ratio is the
// median of the ratios of runs of the same round to those of the stock emulator
// with the smallest median.
type Cell struct {
	Median, Fastest, Ratio float64
	Rounds                 int
	Failure                string `json:",omitempty"`
}

// Mean is the geometric mean of an emulator's ratios for guests that emulators
// may be trained with, or the others, as far as all emulators ran them, and of
// how many.
func (t *Target) Mean(emulator int, trained bool) (float64, int) {
	sum, n := 0.0, 0
	for _, r := range t.Rows {
		if r.Trained != trained || r.failed() {
			continue
		}
		sum += math.Log(r.Cells[emulator].Ratio)
		n++
	}
	if n == 0 {
		return 0, 0
	}
	return math.Exp(sum / float64(n)), n
}

func (r *Row) failed() bool {
	for _, c := range r.Cells {
		if c.Failure != "" {
			return true
		}
	}
	return false
}

// lines are a target's table: header, rows, means, sizes.
func (t *Target) lines() [][]string {
	header := []string{t.Name + ", ms", "native"}
	for _, e := range t.Emulators {
		header = append(header, e.Name, "ratio")
	}
	lines := [][]string{header}
	for _, trained := range []bool{true, false} {
		section := "programs of other kinds:"
		if trained {
			section = "programs of kinds that are trained with:"
		}
		_, n := t.Mean(0, trained)
		if n == 0 {
			continue
		}
		lines = append(lines, append([]string{section}, make([]string, len(header)-1)...))
		for _, r := range t.Rows {
			if r.Trained != trained {
				continue
			}
			line := []string{r.Guest, ""}
			if r.Native > 0 {
				line[1] = fmt.Sprintf("%.1f", r.Native)
			}
			for _, c := range r.Cells {
				if c.Failure != "" {
					line = append(line, "fails", "")
				} else {
					line = append(line, fmt.Sprintf("%.1f", c.Median), fmt.Sprintf("%.2f", c.Ratio))
				}
			}
			lines = append(lines, line)
		}
		line := []string{fmt.Sprintf("geometric mean of %d", n), ""}
		for i := range t.Emulators {
			mean, _ := t.Mean(i, trained)
			line = append(line, "", fmt.Sprintf("%.2f", mean))
		}
		lines = append(lines, line)
	}
	line := []string{"size, MB", ""}
	for _, e := range t.Emulators {
		size := ""
		if e.Start == "" {
			size = fmt.Sprintf("%.1f", e.MB)
		}
		line = append(line, size, "")
	}
	return append(lines, line)
}

func (r *Result) about() string {
	what := "Time that passed"
	if r.Measure == "cpu" {
		what = "Processor time"
	}
	return what + ", medians in milliseconds; ratio to the fastest stock emulator of each row, in the same round; less is better.\n" + r.Machine + "."
}

func (r *Result) write(w io.Writer) {
	fmt.Fprintln(w, r.about())
	for _, t := range r.Targets {
		fmt.Fprintln(w)
		tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		for _, line := range t.lines() {
			fmt.Fprintln(tw, strings.TrimRight(strings.Join(line, "\t"), "\t"))
		}
		tw.Flush()
		for _, row := range t.Rows {
			for i, c := range row.Cells {
				if c.Failure != "" {
					fmt.Fprintf(w, "%s with %s: %s\n", row.Guest, t.Emulators[i].Name, c.Failure)
				}
			}
		}
		for _, e := range t.Emulators {
			if e.Start == "" {
				fmt.Fprintf(w, "%s: QEMU %s\n", e.Name, e.Version)
			}
		}
	}
}

func (r *Result) markdown() string {
	var s strings.Builder
	fmt.Fprintln(&s, r.about())
	for _, t := range r.Targets {
		fmt.Fprintln(&s)
		for i, line := range t.lines() {
			fmt.Fprintln(&s, "| "+strings.Join(line, " | ")+" |")
			if i == 0 {
				fmt.Fprintln(&s, "| --- |"+strings.Repeat(" ---: |", len(line)-1))
			}
		}
	}
	return s.String()
}

// Marks around the table in a file of Markdown.
const begin, end = "<!-- make bench-emulators writes from here -->\n", "<!-- to here -->\n"

func insert(name, table string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(text, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		return cli.WithHint(fmt.Errorf("%s: there is no place for the table", name), "it goes between %q and %q", begin, end)
	}
	return os.WriteFile(name, []byte(string(before)+begin+table+end+string(after)), 0o644)
}

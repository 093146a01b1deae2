package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/guests"
)

// sh is an "emulator" that runs what follows it.
func sh(t *testing.T, script string) Emulator {
	t.Helper()
	path := filepath.Join(t.TempDir(), "emulator")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	return Emulator{Name: filepath.Base(path), Stock: true, path: path}
}

func TestWhoeverMakesSomethingElseOfAGuestIsOut(t *testing.T) {
	output := filepath.Join(t.TempDir(), "out")
	g := guests.Guest{Name: "guest", Args: []string{"echo", "hello"}, Output: output}
	contestants := []Emulator{
		sh(t, `echo a >`+output+`; exec "$@"`),
		sh(t, `echo a >`+output+`; sleep 0.02; exec "$@"`),
		sh(t, `echo b >`+output+`; exec "$@"`),
		sh(t, `echo no such opcode >&2; exit 3`),
		sh(t, `kill -SEGV $$`),
	}
	row, err := race(t.Context(), g, contestants, options{limit: time.Millisecond})
	require.NoError(t, err)
	assert.Empty(t, row.Cells[0].Failure)
	assert.Empty(t, row.Cells[1].Failure)
	assert.Equal(t, "makes something else of it than the others", row.Cells[2].Failure)
	assert.Contains(t, row.Cells[3].Failure, "exit status 3: no such opcode")
	assert.Contains(t, row.Cells[4].Failure, "segmentation fault")
	assert.Equal(t, 1.0, row.Cells[0].Ratio, "the fastest")
	assert.Greater(t, row.Cells[1].Ratio, 1.0)
	assert.Equal(t, minRounds, row.Cells[0].Rounds)
}

func TestStartsHaveACacheOrNone(t *testing.T) {
	seen := filepath.Join(t.TempDir(), "seen")
	keeps := sh(t, `[ "$1" = -help ] && { echo QEMU_TB_CACHE; exit 1; }
		echo $(ls "${QEMU_TB_CACHE:-/dev/null}") >>`+seen+`
		[ -z "$QEMU_TB_CACHE" ] || : >"$QEMU_TB_CACHE"/kept; exec "$@"`)
	other := sh(t, `exec "$@"`)
	assert.True(t, keepsTranslations(t.Context(), keeps.path))
	assert.False(t, keepsTranslations(t.Context(), other.path))
	g := guests.Guest{Name: "guest", Args: []string{"echo", "hello"}}
	for start, want := range map[string]string{"": "/dev/null\n", firstStart: "\n", secondStart: "kept\n"} {
		keeps.Start = start
		require.NoError(t, os.RemoveAll(seen))
		row, err := race(t.Context(), g, []Emulator{other, keeps}, options{limit: time.Millisecond})
		require.NoError(t, err)
		assert.Empty(t, row.Cells[1].Failure)
		text, err := os.ReadFile(seen)
		require.NoError(t, err)
		lines := slices.Collect(strings.Lines(string(text)))
		require.Len(t, lines, 2+minRounds)
		for _, line := range lines[1:] {
			assert.Equal(t, want, line, start)
		}
	}
}

func TestMeansAreOfTheRowsThatAllRan(t *testing.T) {
	target := Target{Name: "aarch64", Emulators: []Emulator{{Name: "a", MB: 1}, {Name: "b", MB: 2}}, Rows: []Row{
		{Guest: "x", Trained: true, Native: 0.5, Cells: []Cell{{Median: 1, Ratio: 1}, {Median: 0.25, Ratio: 0.25}}},
		{Guest: "y", Trained: true, Cells: []Cell{{Median: 1, Ratio: 1}, {Median: 1, Ratio: 1}}},
		{Guest: "z", Trained: true, Cells: []Cell{{Median: 1, Ratio: 1}, {Failure: "no"}}},
		{Guest: "other", Cells: []Cell{{Median: 1, Ratio: 1}, {Median: 2, Ratio: 2}}},
	}}
	mean, n := target.Mean(1, true)
	assert.InDelta(t, 0.5, mean, 1e-9)
	assert.Equal(t, 2, n)
	result := Result{Machine: "a machine", Measure: "wall", Targets: []Target{target}}
	assert.Contains(t, result.markdown(), "| aarch64, ms | native | a | ratio | b | ratio |\n| --- | ---: | ---: | ---: | ---: | ---: |\n")
	assert.Contains(t, result.markdown(), "| x | 0.5 | 1.0 | 1.00 | 0.2 | 0.25 |\n")
	assert.Contains(t, result.markdown(), "| z |  | 1.0 | 1.00 | fails |  |\n")
	assert.Contains(t, result.markdown(), "| geometric mean of 2 |  |  | 1.00 |  | 0.50 |\n")
	assert.Contains(t, result.markdown(), "| size, MB |  | 1.0 |  | 2.0 |  |\n")
}

func TestTheTableIsWrittenBetweenItsMarks(t *testing.T) {
	name := filepath.Join(t.TempDir(), "doc.md")
	require.NoError(t, os.WriteFile(name, []byte("before\n"+begin+"old\n"+end+"after\n"), 0o644))
	require.NoError(t, insert(name, "new\n"))
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, "before\n"+begin+"new\n"+end+"after\n", string(text))
	require.NoError(t, os.WriteFile(name, []byte("no marks\n"), 0o644))
	assert.ErrorContains(t, insert(name, "new\n"), "no place for the table")
}

func TestMedian(t *testing.T) {
	assert.Equal(t, 2.0, median([]float64{3, 1, 2}))
	assert.Equal(t, 2.5, median([]float64{4, 1, 2, 3}))
}

func TestWrongArguments(t *testing.T) {
	var stdout, stderr bytes.Buffer
	assert.Equal(t, 1, run(t.Context(), []string{"-stock", "directory"}, &stdout, &stderr))
	assert.Contains(t, stderr.String(), `emulatorbench: error: "directory" is no name=directory`)
	assert.Contains(t, stderr.String(), "emulatorbench: hint: ")
	stderr.Reset()
	assert.Equal(t, 1, run(t.Context(), []string{"-stock", "none=" + t.TempDir()}, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "no emulator for aarch64")
	assert.Empty(t, stdout.String())
}

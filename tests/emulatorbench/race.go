package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/projectcalico/go-build/tests/guests"
)

// Rounds are at least and at most so many.
const minRounds, maxRounds = 5, 100

// An emulator keeps translations in the directory that this variable names. A first start
// finds nothing there, a second one what the program executes.
const (
	translations = "QEMU_TB_CACHE"
	firstStart   = "first start"
	secondStart  = "second start"
)

// took is what one run of a program took.
type took struct{ wall, cpu time.Duration }

func (t took) of(o options) time.Duration {
	if o.cpu {
		return t.cpu
	}
	return t.wall
}

// execute starts a program and waits for it, with nothing in between.
func execute(argv, env []string, stdout *os.File, stderr *os.File) (took, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return took{}, err
	}
	defer null.Close()
	attr := &os.ProcAttr{Env: append([]string{"LC_ALL=C", "PATH=/usr/bin:/bin"}, env...), Files: []*os.File{null, stdout, stderr}}
	start := time.Now()
	process, err := os.StartProcess(argv[0], argv, attr)
	if err != nil {
		return took{}, err
	}
	state, err := process.Wait()
	t := took{wall: time.Since(start)}
	if err != nil {
		return t, err
	}
	t.cpu = state.UserTime() + state.SystemTime()
	if !state.Success() {
		status := state.Sys().(syscall.WaitStatus)
		if status.Signaled() {
			return t, fmt.Errorf("%s: %v", argv[0], status.Signal())
		}
		return t, fmt.Errorf("%s: exit status %d", argv[0], status.ExitStatus())
	}
	return t, nil
}

// try runs a program once and returns what follows from its work.
func try(argv []string, g guests.Guest) (output []byte, t took, err error) {
	out, err := os.CreateTemp("", "emulatorbench-")
	if err != nil {
		return nil, t, err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	said, err := os.CreateTemp("", "emulatorbench-")
	if err != nil {
		return nil, t, err
	}
	defer os.Remove(said.Name())
	defer said.Close()
	if t, err = execute(argv, g.Env, out, said); err != nil {
		text, _ := os.ReadFile(said.Name())
		return nil, t, fmt.Errorf("%w: %s", err, bytes.TrimSpace(text[:min(len(text), 400)]))
	}
	if output, err = os.ReadFile(out.Name()); err == nil && g.Output != "" {
		var file []byte
		file, err = os.ReadFile(g.Output)
		output = append(output, file...)
	}
	return output, t, err
}

// A runner runs a guest under an emulator.
type runner struct {
	guest     guests.Guest
	emulator  Emulator
	directory string // for translations, if it is to keep them
}

// newRunner makes a directory for translations below temporary, if they are to be kept.
func newRunner(g guests.Guest, e Emulator, temporary string) (runner, error) {
	r := runner{guest: g, emulator: e}
	if e.Start == "" {
		return r, nil
	}
	dir, err := os.MkdirTemp(temporary, "")
	r.directory = dir
	r.guest.Env = append(slices.Clip(g.Env), translations+"="+dir)
	return r, err
}

// prepare leaves nothing of what was translated for a first start.
func (r *runner) prepare() error {
	if r.emulator.Start != firstStart {
		return nil
	}
	if err := os.RemoveAll(r.directory); err != nil {
		return err
	}
	return os.Mkdir(r.directory, 0o700)
}

// tried is the second of two runs: the first one warms the caches.
func (r *runner) tried() (output []byte, t took, err error) {
	for range 2 {
		if err = r.prepare(); err == nil {
			output, t, err = try(r.guest.Argv(r.emulator.path), r.guest)
		}
		if err != nil {
			break
		}
	}
	return output, t, err
}

func (r *runner) run(null *os.File) (took, error) {
	if err := r.prepare(); err != nil {
		return took{}, err
	}
	return execute(r.guest.Argv(r.emulator.path), r.guest.Env, null, null)
}

// race has the emulators run a guest in turn, each round beginning with another
// one. Those that fail, or make something else of it than the first, are out.
func race(ctx context.Context, g guests.Guest, contestants []Emulator, o options) (Row, error) {
	row := Row{Guest: g.Name, Trained: g.Trained, Cells: make([]Cell, len(contestants))}
	temporary, err := os.MkdirTemp("", "emulatorbench-")
	if err != nil {
		return row, err
	}
	defer os.RemoveAll(temporary)
	var want []byte
	var slowest time.Duration
	var runners []int
	all := make([]runner, len(contestants))
	for i, c := range contestants {
		if all[i], err = newRunner(g, c, temporary); err != nil {
			return row, err
		}
		output, t, err := all[i].tried()
		if err == nil && want != nil && !bytes.Equal(output, want) {
			err = errors.New("makes something else of it than the others")
		}
		if err != nil {
			row.Cells[i].Failure = err.Error()
			continue
		}
		want = output
		slowest = max(slowest, t.wall)
		runners = append(runners, i)
	}
	if len(runners) == 0 {
		return row, nil
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return row, err
	}
	defer null.Close()
	rounds := min(max(int(o.limit/max(slowest, time.Millisecond)), minRounds), maxRounds)
	times := make([][]took, len(contestants))
	var native []took
	for round := range rounds {
		for n := range runners {
			i := runners[(round+n)%len(runners)]
			if err := ctx.Err(); err != nil {
				return row, err
			}
			t, err := all[i].run(null)
			if err != nil {
				return row, err
			}
			times[i] = append(times[i], t)
		}
		if g.Native != nil {
			t, err := execute(g.Native, g.Env, null, null)
			if err != nil {
				return row, fmt.Errorf("natively: %w", err)
			}
			native = append(native, t)
		}
	}
	row.compare(contestants, runners, times, o)
	if native != nil {
		row.Native, _, _ = summary(native, o)
	}
	return row, nil
}

// compare fills the cells of those emulators that ran.
func (row *Row) compare(contestants []Emulator, runners []int, times [][]took, o options) {
	base := -1 // the fastest stock emulator
	for _, i := range runners {
		cell := &row.Cells[i]
		cell.Median, cell.Fastest, cell.Rounds = summary(times[i], o)
		if contestants[i].Stock && (base < 0 || cell.Median < row.Cells[base].Median) {
			base = i
		}
	}
	if base < 0 {
		base = runners[0]
	}
	for _, i := range runners {
		var ratios []float64
		for round := range times[i] {
			ratios = append(ratios, float64(times[i][round].of(o))/float64(max(times[base][round].of(o), 1)))
		}
		row.Cells[i].Ratio = median(ratios)
	}
}

// summary returns milliseconds.
func summary(times []took, o options) (middle, fastest float64, rounds int) {
	var list []float64
	for _, t := range times {
		list = append(list, t.of(o).Seconds()*1000)
	}
	return median(list), slices.Min(list), len(list)
}

// median returns the middle of an odd number of values, and the mean of the two
// in the middle of an even one.
func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	n := len(list)
	return (list[(n-1)/2] + list[n/2]) / 2
}

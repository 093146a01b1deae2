// Package progress says how far work is that takes long: a line for each step, and
// while one lasts, what it is at and for how long.
package progress

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// How often a step that lasts is shown: in the place of what was shown last on a
// terminal, else as another line, unless there was one in the meantime.
const (
	inPlace = time.Second / 4
	inLines = 15 * time.Second
)

// A Display prints lines after a name.
type Display struct {
	Interval time.Duration // at which steps that last are shown

	w     io.Writer
	name  string
	width func() int // of a terminal; 0: it is none

	mu   sync.Mutex
	last time.Time // that a line was printed
}

// New returns a display that prints to w.
func New(w io.Writer, name string) *Display {
	d := &Display{w: w, name: name, Interval: inLines, width: func() int { return 0 }}
	f, ok := w.(*os.File)
	if !ok {
		return d
	}
	d.width = func() int {
		size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
		if err != nil {
			return 0
		}
		return cmp.Or(int(size.Col), 80) // some say nothing
	}
	if d.width() > 0 {
		d.Interval = inPlace
	}
	return d
}

// Say prints a line that stays.
func (d *Display) Say(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = time.Now()
	fmt.Fprintf(d.w, "%s%s: %s\n", d.clear(), d.name, fmt.Sprintf(format, args...))
}

// clear takes what is shown in place away.
func (d *Display) clear() string {
	if d.width() == 0 {
		return ""
	}
	return "\r\x1b[K"
}

// show prints a line, or shows it in place, if that is due.
func (d *Display) show(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.last) < d.Interval*3/4 { // ticks are not exact
		return
	}
	text = d.name + ": " + text
	width := d.width()
	if width == 0 {
		d.last = time.Now()
		fmt.Fprintln(d.w, text)
		return
	}
	if line := []rune(text); len(line) >= width && width > 2 {
		text = string(line[:width-2]) + "…"
	}
	fmt.Fprint(d.w, d.clear(), text)
}

type key struct{}

// With returns a context in which tasks are shown by a display.
func With(ctx context.Context, d *Display) context.Context { return context.WithValue(ctx, key{}, d) }

// A Task is a step that lasts.
type Task struct {
	d     *Display
	name  string
	start time.Time
	stop  chan struct{}
	done  sync.WaitGroup

	mu sync.Mutex
	at string
}

// Start shows a step until it ends, if the context has a display.
func Start(ctx context.Context, format string, args ...any) *Task {
	d, _ := ctx.Value(key{}).(*Display)
	t := &Task{d: d, name: fmt.Sprintf(format, args...), start: time.Now(), stop: make(chan struct{})}
	if d != nil {
		t.done.Go(t.tick)
	}
	return t
}

func (t *Task) tick() {
	ticker := time.NewTicker(t.d.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-t.stop:
			return
		case <-ticker.C:
			t.mu.Lock()
			at := t.at
			t.mu.Unlock()
			t.d.show(t.name + at + ", " + time.Since(t.start).Round(time.Second).String())
		}
	}
}

// At says what the step is at.
func (t *Task) At(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at = ": " + text
}

// End ends it.
func (t *Task) End() {
	close(t.stop)
	t.done.Wait()
	if t.d != nil {
		t.d.mu.Lock()
		defer t.d.mu.Unlock()
		fmt.Fprint(t.d.w, t.d.clear())
	}
}

// Lines returns a writer that hands on what is written to it, a line at a time.
func Lines(each func(line string)) io.Writer { return &lines{each: each} }

type lines struct {
	each func(string)
	rest []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		l.each(string(line))
		l.rest = rest
	}
}

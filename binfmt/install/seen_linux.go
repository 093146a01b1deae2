package install

import (
	"context"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/file"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// look runs a program of the architecture and notes whether it ran, by which
// interpreter, and if not, why, as the instance shows it. The emulator is the one that would be registered; where that is not
// known, the file at the path of the entry's interpreter is compared.
func look(ctx context.Context, fs binfmt.FS, arch *elfmagic.Arch, e *Emulator, interpreter string, digest bool) *Seen {
	var s Seen
	program, err := tinyelf.Program(arch)
	began := time.Now()
	if err == nil {
		err = tinyelf.Run(ctx, program, func(p tinyelf.Process) { s.Holds = holding(p, arch, e, interpreter, digest) })
	}
	s.Took = time.Since(began)
	if s.Runs = err == nil; !s.Runs {
		if ctx.Err() == nil {
			err = host.Explain(fs, arch, err)
		}
		s.err, s.Failure = err, err.Error()
	}
	return &s
}

// holding looks at the file that the kernel executes for a running program; nil
// if that is the program itself, or cannot be seen.
func holding(p tinyelf.Process, arch *elfmagic.Arch, e *Emulator, interpreter string, digest bool) *Held {
	if native, err := p.Native(); err != nil || native {
		return nil
	}
	link, err := os.Readlink(p.Exe())
	if err != nil {
		return nil
	}
	var h Held
	h.Path, h.Deleted = strings.CutSuffix(link, " (deleted)")
	f, err := os.Open(p.Exe())
	if err != nil {
		return &h
	}
	defer f.Close()
	// A file that was deleted below an overlay has no other sign of it.
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) == nil && st.Nlink == 0 {
		h.Deleted = true
	}
	h.Version = emulator.ReadVersion(arch, f)
	// What cannot be compared is not known to be current.
	switch {
	case e != nil && e.Embedded != "" && e.found != nil:
		h.Current = e.found.(*emulator.Emulator).Embedded.Is(f) == nil
	case e != nil && e.Path != "":
		h.Current, _ = file.Same(f, e.Path)
	case !IsDescriptor(interpreter):
		h.Current, _ = file.Same(f, interpreter)
	}
	if digest {
		h.Digest, _ = file.Digest(f)
	}
	return &h
}

// inParallel calls f for 0 to n-1, some at a time.
func inParallel(n int, f func(i int)) {
	q := newQueue(n, f)
	for range min(n, 2*runtime.GOMAXPROCS(0)) - 1 {
		go q.work()
	}
	q.finish()
}

// A queue is of n pieces of work, f(0) to f(n-1), which goroutines take one after
// another.
type queue struct {
	n    int
	f    func(i int)
	next atomic.Int64
	done sync.WaitGroup
}

func newQueue(n int, f func(i int)) *queue {
	q := &queue{n: n, f: f}
	q.done.Add(n)
	return q
}

// work works until nobody needs to begin with another piece.
func (q *queue) work() {
	for i := int(q.next.Add(1)) - 1; i < q.n; i = int(q.next.Add(1)) - 1 {
		q.f(i)
		q.done.Done()
	}
}

// finish helps, and waits for what others have begun with.
func (q *queue) finish() {
	q.work()
	q.done.Wait()
}

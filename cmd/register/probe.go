package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/file"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// held is the file that the kernel runs for an entry: with the F flag it is
// the one that was there when the entry was registered.
type held struct {
	Path    string `json:"path"`
	Deleted bool   `json:"deleted"`
	Version string `json:"version,omitempty"`

	// Current says whether it has the same content as the file that is at the
	// entry's path now.
	Current bool `json:"current"`

	// Digest is of the content, as OCI has digests; --status with JSON output
	// has it.
	Digest string `json:"digest,omitempty"`
}

// probe runs a program of the row's architecture and notes whether it ran, and
// by which interpreter.
func (r *row) probe(ctx context.Context) {
	if r.probed {
		r.Error, r.err = "", nil // it was about the entry that was there before
	}
	r.probed = true
	program, err := tinyelf.Program(r.arch)
	if err == nil {
		r.held, r.Runs = nil, nil
		err = tinyelf.Run(ctx, program, func(p tinyelf.Process) { r.held = r.holding(p) })
	}
	runs := err == nil
	r.Runs = &runs
	r.Holds = r.held
	if err != nil {
		r.failToRun(err)
	}
}

// holding looks at the file that a running program's kernel executes; nil if
// that is the program itself, or cannot be seen.
func (r *row) holding(p tinyelf.Process) *held {
	if native, err := p.Native(); err != nil || native {
		return nil
	}
	link, err := os.Readlink(p.Exe())
	if err != nil {
		return nil
	}
	var h held
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
	h.Version = emulator.ReadVersion(r.arch, f)
	// What cannot be compared is not known to be current.
	switch {
	case r.carried != nil:
		h.Current = r.carried.Is(f) == nil
	case !inMemory(r.Emulator):
		h.Current, _ = file.Same(f, r.Emulator)
	}
	if r.digests {
		h.Digest, _ = file.Digest(f)
	}
	return &h
}

// failToRun notes, in words of this command, why a program did not run.
func (r *row) failToRun(err error) {
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		r.fail(errors.New("does not run: the kernel knows no entry for it"), "register it, or see with --status whether its entry is disabled")
	case errors.Is(err, syscall.ENOENT):
		r.fail(errors.New("does not run: the entry's interpreter is missing"), "the entry has no F flag, or another instance of binfmt_misc is in use: register it again")
	case errors.Is(err, syscall.ELOOP):
		r.fail(errors.New("does not run: the entry's interpreter is itself taken by an entry"), "remove the entry that is for this host's own programs")
	default:
		r.fail(fmt.Errorf("does not run: %w", err), "run the emulator by hand to see why; --qemu-path names others")
	}
}

// inParallel calls f for 0 to n-1, some at a time.
func inParallel(n int, f func(i int)) {
	var wait sync.WaitGroup
	slots := make(chan struct{}, 2*runtime.GOMAXPROCS(0))
	for i := range n {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			f(i)
		})
	}
	wait.Wait()
}

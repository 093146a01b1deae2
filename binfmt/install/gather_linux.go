package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/embedded"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/file"
	"github.com/projectcalico/go-build/internal/product"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

func newEmulator(found *emulator.Emulator, err error) *Emulator {
	switch {
	case errors.Is(err, emulator.ErrMissing):
		return &Emulator{Problem: Missing, Message: err.Error(), err: err}
	case errors.Is(err, emulator.ErrDynamic):
		return &Emulator{Problem: Dynamic, Message: err.Error(), err: err}
	case err != nil:
		return &Emulator{Problem: OtherProblem, Message: err.Error(), err: err}
	}
	e := &Emulator{Path: found.Path, Host: found.Host.Name, Product: found.Product, Dynamic: !found.Static(), Version: found.Version, Changed: found.Changed, PassesArgv0: found.PassesArgv0(), found: found}
	if found.Embedded != nil {
		e.Embedded = found.Embedded.Digest()
	} else {
		e.FUSE = found.FUSE
	}
	if e.err = found.Useless(); e.err != nil {
		e.Problem, e.Message = Useless, e.err.Error()
	}
	return e
}

// search says where the request's emulators are looked for, and which serve.
func (r *Request) search() emulator.Search {
	search := emulator.Search{Dirs: r.Dirs, Prefix: r.Prefix, Suffix: r.Suffix, Static: r.Persistent != No}
	if len(r.Dirs) == 0 {
		search.Dirs, search.Unnamed = emulator.DefaultDirs(), true
		if r.Suffix == nil && r.Prefix == "" && search.Static {
			search.Embedded = embedded.Emulators() // no file is named in any way
		}
	}
	return search
}

// SearchedDirs returns the directories in which the request has emulators looked for.
func (r Request) SearchedDirs() []string {
	search := r.search()
	return search.Dirs
}

// Gather reads the facts that a request depends on, from the machine and from the
// instance. Unless Request.NoProbe is set, it runs a program of each architecture
// that has an entry. Nothing is changed, and no privilege is needed.
func Gather(ctx context.Context, fs binfmt.FS, r Request) (*Facts, error) {
	f, err := gatherMachine(ctx, fs, r)
	if err != nil {
		return nil, err
	}
	return f, f.reading(fs, func() error {
		if r.NoProbe {
			return nil
		}
		return f.run(ctx, f.about(r), false)
	})
}

// Status returns what is there for the request's architectures, or for all that
// have an entry: the entry, the emulator that it names, and, unless Request.NoProbe is
// set, whether a program runs. Nothing is changed, and no privilege is needed.
func Status(ctx context.Context, fs binfmt.FS, r Request, digests bool) (f *Facts, outcomes []Outcome, err error) {
	if f, err = kernelFacts(fs); err != nil {
		return nil, nil, err
	}
	native, err := askNative(ctx)
	if err != nil {
		return nil, nil, err
	}
	f.setNative(native, r)
	err = f.reading(fs, func() (err error) {
		outcomes, err = f.status(ctx, r, digests)
		return err
	})
	return f, outcomes, err
}

// reading mounts the instance to read it, as Attach does, and calls do when the
// entries have been read.
func (f *Facts) reading(fs binfmt.FS, do func() error) error {
	detach, err := attach(fs, f.Surroundings, false)
	if err != nil {
		return err
	}
	if err = f.readEntries(fs); err == nil {
		err = do()
	}
	return errors.Join(err, detach())
}

// status is Status of entries that have been read.
func (f *Facts) status(ctx context.Context, r Request, digests bool) ([]Outcome, error) {
	outcomes := []Outcome{}
	var try []*elfmagic.Arch
	for _, arch := range f.about(r) {
		o := Outcome{Decision: Decision{Arch: arch}}
		own := f.own(arch, r.Prefix)
		isThere := own.Name != ""
		switch o.Current = own; {
		case own.Disabled:
			o.Reason = "disabled"
		case f.IsNative(arch) && !isThere:
			o.Reason = native
		}
		if isThere {
			o.Emulator = behind(arch, own)
			f.Emulators[arch.Name] = o.Emulator
		}
		if !o.Elsewhere() && !r.NoProbe {
			try = append(try, arch)
		}
		outcomes = append(outcomes, o)
	}
	if err := f.run(ctx, try, digests); err != nil {
		return nil, err
	}
	for i := range outcomes {
		o := &outcomes[i]
		o.saw(f.Seen[o.Arch.Name])
		if !f.Mounted && o.Seen != nil && o.Seen.Runs && o.Reason == "" {
			o.Reason = "its entry cannot be seen from here"
		}
	}
	if f.Mounted || len(r.Archs) > 0 {
		return outcomes, nil
	}
	// Of all that might have an entry, those are said of which it is known.
	return slices.DeleteFunc(outcomes, func(o Outcome) bool { return o.Seen == nil || !o.Seen.Runs }), nil
}

// behind returns the emulator that an entry names.
func behind(arch *elfmagic.Arch, e binfmt.Entry) *Emulator {
	if IsDescriptor(e.Interpreter) {
		search := emulator.Search{Embedded: embedded.Emulators()}
		return newEmulator(search.Find(arch))
	}
	found := newEmulator(emulator.Open(arch, e.Interpreter))
	if found.Problem == Missing && !e.Flags.Has(binfmt.FixBinary) {
		return &Emulator{Path: e.Interpreter} // the kernel looks it up in each container
	}
	return found
}

// ForHost returns the facts about a host at its next boot, of which nothing is known
// but its architecture: the emulators are those that are here, or, if that is another
// host, the paths where they will be.
func ForHost(native []*elfmagic.Arch, r Request, isThis bool) *Facts {
	f := &Facts{Emulators: map[string]*Emulator{}, FixBinary: true, PreserveArgv0: true}
	f.setNative(native, r)
	search := r.search()
	search.Embedded, search.Native = nil, native // a path is needed, that lasts
	f.Searched = search.Dirs
	for _, arch := range elfmagic.Archs() {
		if f.Emulators[arch.Name] = r.find(search, arch); f.Emulators[arch.Name].Problem != "" && !isThis {
			f.Emulators[arch.Name] = elsewhere(r, arch)
		}
	}
	return f
}

// Find looks for an architecture's emulator as Gather does.
func (r Request) Find(arch *elfmagic.Arch) *Emulator {
	search := r.search()
	return r.find(search, arch)
}

// find looks for an architecture's emulator, unless the request has its path.
func (r *Request) find(search emulator.Search, arch *elfmagic.Arch) *Emulator {
	path, named := r.Emulators[arch.Name]
	if !named {
		return newEmulator(search.Find(arch))
	}
	if r.Persistent == Auto && product.FoundInRoot(path) {
		search.Static = false
	}
	found, err := search.Open(arch, path)
	return newEmulator(found, err)
}

// askNative is host.Native, which ends by itself: a context that waits for signals does
// not yet, so that these end a process in which a system call hangs.
func askNative(ctx context.Context) ([]*elfmagic.Arch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return host.Native(context.WithoutCancel(ctx))
}

// gatherMachine reads what does not depend on the instance.
func gatherMachine(ctx context.Context, fs binfmt.FS, r Request) (*Facts, error) {
	archs := r.Archs
	if len(archs) == 0 {
		archs = slices.DeleteFunc(elfmagic.Archs(), func(a *elfmagic.Arch) bool { return a.GOARCH == runtime.GOARCH })
	}
	search := r.search()
	found := make([]*Emulator, len(archs))
	searches := newQueue(len(archs), func(i int) { found[i] = r.find(search, archs[i]) })
	looked := lookAt(fs, searches.work)
	f, err := surroundingFacts(fs)
	if err != nil {
		return nil, err
	}
	native, err := askNative(ctx)
	if err != nil {
		return nil, err
	}
	searches.finish()
	f.Searched = search.Dirs
	for i, arch := range archs {
		f.Emulators[arch.Name] = found[i]
	}
	if err := looked.wait(fs); err != nil {
		return nil, err
	}
	f.setNative(native, r)
	search.Native = native[:len(f.Native)]
	for _, arch := range archs {
		if host := f.Emulators[arch.Name].Host; host != "" && !slices.Contains(f.Native, host) {
			f.Emulators[arch.Name] = r.find(search, arch) // another one may be for this host
		}
	}
	if r.NoProbe {
		f.notePlaces()
	}
	return f, nil
}

// notePlaces notes when the ways to emulators were last changed.
func (f *Facts) notePlaces() {
	dirs := make(map[string]time.Time) // most emulators are in one
	for _, e := range f.Emulators {
		path := e.Path
		if e.Embedded != "" {
			path, _ = os.Executable()
		}
		if e.Problem != "" || path == "" {
			continue
		}
		dir := filepath.Dir(path)
		if _, known := dirs[dir]; !known {
			dirs[dir] = lastChange(file.Way(dir))
		}
		e.Placed = dirs[dir]
		if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSymlink != 0 {
			way := file.Way(path)
			if last := lastChange(way[:len(way)-1]); last.After(e.Placed) { // but for the file, whose change is known
				e.Placed = last
			}
		}
	}
}

// lastChange returns when what is on the way last became what it is: a directory was made or
// renamed, a link was made. What is in a directory does not matter, though its times change with
// it; that of a container is as new as it.
func lastChange(way []file.Step) (last time.Time) {
	note := func(t time.Time) {
		if t.After(last) {
			last = t
		}
	}
	for _, step := range way {
		if step.Info == nil {
			continue
		}
		st := step.Info.Sys().(*syscall.Stat_t)
		if step.IsLink() || st.Ctim != st.Mtim {
			note(time.Unix(st.Ctim.Unix()))
		}
		var more unix.Statx_t // Linux 4.11
		if err := unix.Statx(unix.AT_FDCWD, step.Path(), unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME, &more); err == nil && more.Mask&unix.STATX_BTIME != 0 {
			note(time.Unix(more.Btime.Sec, int64(more.Btime.Nsec)))
		}
	}
	return last
}

// kernelFacts returns what the kernel's version, the place of the instance and this
// process's surroundings say.
func kernelFacts(fs binfmt.FS) (*Facts, error) {
	if err := answers(fs); err != nil {
		return nil, err
	}
	return surroundingFacts(fs)
}

// surroundingFacts is kernelFacts without a look at the instance's directory.
func surroundingFacts(fs binfmt.FS) (*Facts, error) {
	kernel, err := binfmt.RunningKernel()
	if err != nil {
		return nil, err
	}
	surroundings, err := host.LookAround("/proc")
	return &Facts{
		Kernel: kernel, Mount: fs.Dir(), Emulators: map[string]*Emulator{},
		PreserveArgv0: binfmt.FeatureArgv0Flag.Supported(kernel) == nil,
		FixBinary:     binfmt.FeatureFixBinary.Supported(kernel) == nil,
		Surroundings:  surroundings,
	}, err
}

// readEntries reads the instance's entries. What is not mounted has none. What
// cannot be understood, of a newer kernel, is noted.
func (f *Facts) readEntries(fs binfmt.FS) error {
	f.Entries, f.Unreadable, f.AllDisabled = nil, map[string]string{}, false
	enabled, err := fs.Enabled()
	f.Mounted = err == nil
	if errors.Is(err, binfmt.ErrNotMounted) {
		return nil
	}
	if err != nil {
		return err
	}
	f.AllDisabled = !enabled
	f.Entries, err = fs.List()
	unread, err := binfmt.Unread(err)
	for name, why := range unread {
		f.Unreadable[name] = why.Error()
	}
	return err
}

// readInstance reads what depends on the instance. A kernel that is old enough to
// lack the F flag is asked for it if the instance may be written to: a
// distribution may have brought it there.
func (f *Facts) readInstance(ctx context.Context, fs binfmt.FS, r Request) error {
	err := f.readEntries(fs)
	if err == nil && !r.DryRun && !f.FixBinary && r.Persistent != No {
		f.FixBinary, err = fs.Supports(binfmt.FixBinary)
	}
	if err != nil || r.NoProbe {
		return err
	}
	var try []*elfmagic.Arch
	if !f.Mounted {
		try = slices.DeleteFunc(r.about(), f.IsNative)
	} else {
		// What the kernel holds is seen while a program runs.
		desired, _ := Desired(f, r) // errors are for Decide to report
		for _, d := range desired {
			if d.Desired.Flags.Has(binfmt.FixBinary) && slices.ContainsFunc(f.Entries, f.Entries.asHeld(d.Desired).Equal) {
				try = append(try, d.Arch)
			}
		}
	}
	return f.run(ctx, try, false)
}

// run runs a program of each of the architectures and notes what was seen. If it is
// interrupted, or one cannot be made, or started, programs would seem not to run: nothing
// is noted.
func (f *Facts) run(ctx context.Context, archs []*elfmagic.Arch, digests bool) error {
	seen := make([]*Seen, len(archs))
	inParallel(len(archs), func(i int) {
		seen[i] = look(ctx, binfmt.New(f.Mount), archs[i], f.Emulators[archs[i].Name], f.own(archs[i], "").Interpreter, digests)
	})
	if err := interrupted(ctx); err != nil {
		return err
	}
	for _, s := range seen {
		if tinyelf.NotStarted(s.err) {
			return s.err
		}
	}
	if f.Seen == nil {
		f.Seen = make(map[string]*Seen)
	}
	for i, arch := range archs {
		f.Seen[arch.Name] = seen[i]
	}
	return nil
}

// interrupted returns an error if the context is done.
func interrupted(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return fmt.Errorf("interrupted: %w", context.Cause(ctx))
}

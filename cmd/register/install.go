package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/carry"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
)

// A registrar carries out one command line.
type registrar struct {
	name    string // of the command, for messages
	options *options
	archs   []*elfmagic.Arch // that were named; none: all
	stderr  io.Writer

	native       []*elfmagic.Arch
	surroundings host.Surroundings
}

func (r *registrar) fs() binfmt.FS { return binfmt.New(r.options.mount) }

// install registers emulators: values first (what is there, what is wanted,
// which steps lead from one to the other), effects last.
func (r *registrar) install(ctx context.Context) (*report, error) {
	fs := r.fs()
	wanted, err := r.emulators(ctx)
	if err != nil {
		return nil, err
	}
	unmount, err := r.mount(fs)
	if err != nil {
		return nil, err
	}
	report, err := r.register(ctx, fs, wanted)
	if report == nil || r.options.dryRun {
		// Nothing was changed, and so nothing is left behind.
		err = errors.Join(err, unmount())
	}
	return report, err
}

// register registers the emulators with a mounted file system. Where there is
// no report, nothing was changed.
func (r *registrar) register(ctx context.Context, fs binfmt.FS, emulators []*emulator.Emulator) (*report, error) {
	if !r.options.dryRun {
		unlock, err := fs.Lock(ctx)
		if err != nil {
			return nil, err
		}
		defer unlock()
	}
	features, err := r.features(fs)
	if err != nil {
		return nil, err
	}
	if !features.fixBinary && slices.ContainsFunc(emulators, func(e *emulator.Emulator) bool { return e.Carried != nil }) {
		return nil, cli.WithHint(errors.New("emulators that are carried take the flag F: Linux 4.8"), "--qemu-path names a directory with others")
	}
	desired, err := r.entries(emulators, features)
	if err != nil {
		return nil, err
	}
	change := func() (*report, error) { return r.change(ctx, fs, emulators, desired) }
	if served := onFUSE(emulators); features.fixBinary && len(served) > 0 && !r.options.dryRun {
		return r.inMemory(served, change)
	}
	return change()
}

// nativeError adds what to do about an error of host.Native, if there is one.
func nativeError(err error) error {
	if errors.Is(err, host.ErrEmulated) {
		return cli.WithHint(err, "use the register, or the image, that is built for the host's architecture")
	}
	return err
}

// search says where emulators are looked for, and which will do.
func (r *registrar) search() emulator.Search {
	search := emulator.Search{
		Dirs:   emulator.DefaultDirs(),
		Prefix: r.options.qemuPrefix,
		Suffix: r.options.qemuSuffix,
		Static: r.options.persistent.value != no,
	}
	if r.options.qemuPath != "" {
		search.Dirs = []string{r.options.qemuPath}
	}
	if r.options.qemuPath == "" && r.options.qemuSuffix == nil && r.options.qemuPrefix == "" && search.Static {
		search.Carry = carry.Embedded() // no file is named in any way
	}
	return search
}

// emulators finds out what the host runs itself, and an emulator for each
// architecture that was named, or for all that are foreign and have one. What is
// there but will not do is an error, except a dynamically linked emulator of an
// architecture that nobody named. Without the F flag none need be there.
func (r *registrar) emulators(ctx context.Context) ([]*emulator.Emulator, error) {
	search := r.search()
	archs := r.archs
	if len(archs) == 0 {
		archs = slices.DeleteFunc(elfmagic.Archs(), func(a *elfmagic.Arch) bool { return a.GOARCH == runtime.GOARCH })
	}
	// Half of the time is the host's programs', half the search's.
	var nativeErr error
	var wait sync.WaitGroup
	wait.Go(func() { r.native, nativeErr = host.Native(ctx) })
	found := make([]*emulator.Emulator, len(archs))
	problems := make([]error, len(archs))
	inParallel(len(archs), func(i int) { found[i], problems[i] = search.Find(archs[i]) })
	wait.Wait()
	if nativeErr != nil {
		return nil, nativeError(nativeErr)
	}

	if r.options.ignoreFamily.value == yes {
		r.native = r.native[:1]
	}

	var errs []error
	for _, arch := range r.archs {
		if r.isNative(arch) && !r.options.force {
			errs = append(errs, cli.WithHint(
				fmt.Errorf("%s is native to this host: an entry for it would capture the host's own programs", arch),
				"leave it out; --force registers it all the same"))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	search.Native = r.native
	for i, e := range found {
		if problems[i] == nil && !r.isNative(e.Host) {
			// There may be a second one, for this host.
			found[i], problems[i] = search.Find(archs[i])
		}
	}

	var list []*emulator.Emulator
	var dynamic []error
	for i, err := range problems {
		switch {
		case len(r.archs) == 0 && r.isNative(archs[i]):
		case err == nil && found[i].Host == archs[i]:
			errs = append(errs, cli.WithHint(
				fmt.Errorf("%s: %s is itself a program for %s", archs[i], found[i].Path, archs[i]),
				"the kernel would run the emulator by itself, without end, and every program of the host with it"))
		case err == nil:
			list = append(list, found[i])
		case r.options.persistent.value == no && errors.Is(err, emulator.ErrMissing):
			list = append(list, r.elsewhere(archs[i]))
		case len(r.archs) == 0 && errors.Is(err, emulator.ErrMissing):
		case len(r.archs) == 0 && errors.Is(err, emulator.ErrDynamic):
			dynamic = append(dynamic, err)
		default:
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if len(list) == 0 {
		if len(dynamic) > 0 {
			return nil, errors.Join(dynamic...)
		}
		_, err := search.Find(archs[0])
		return nil, cli.WithHint(fmt.Errorf("no emulator found in %s", joinDirs(search.Dirs)), "%s", cli.Hint(err))
	}
	for _, err := range dynamic {
		cli.Warning(r.stderr, r.name, err)
	}
	return list, nil
}

// elsewhere stands for an emulator that is not here: without the F flag the
// kernel looks it up in the container, or chroot, of each program.
func (r *registrar) elsewhere(arch *elfmagic.Arch) *emulator.Emulator {
	dir, suffix := "/usr/bin", "-static"
	if r.options.qemuPath != "" {
		dir = r.options.qemuPath
	}
	if r.options.qemuSuffix != nil {
		suffix = *r.options.qemuSuffix
	}
	return &emulator.Emulator{Arch: arch, Path: filepath.Join(dir, r.options.qemuPrefix+"qemu-"+arch.Name+suffix)}
}

// entryName returns the name of the architecture's entry.
func (r *registrar) entryName(arch *elfmagic.Arch) string {
	return r.options.qemuPrefix + emulator.EntryName(arch)
}

func (r *registrar) isNative(a *elfmagic.Arch) bool { return slices.Contains(r.native, a) }

// features is what the kernel can do that entries depend on.
type features struct {
	fixBinary, preserveArgv0 bool
}

// features finds out what entries depend on. A kernel that is old enough to
// lack the F flag is asked for it: a distribution may have brought it there.
func (r *registrar) features(fs binfmt.FS) (features, error) {
	kernel, err := binfmt.RunningKernel()
	if err != nil {
		return features{}, err
	}
	f := features{preserveArgv0: binfmt.FeatureArgv0Flag.Supported(kernel) == nil}
	if r.options.persistent.value == no {
		return f, nil
	}
	unsupported := binfmt.FeatureFixBinary.Supported(kernel)
	f.fixBinary = unsupported == nil
	if !f.fixBinary && !r.options.dryRun {
		if f.fixBinary, err = fs.Supports(binfmt.FixBinary); err != nil {
			return f, err
		}
	}
	if !f.fixBinary && r.options.persistent.value == yes {
		return f, cli.WithHint(fmt.Errorf("--persistent yes: %w", unsupported),
			"register without it (--persistent auto), and have the emulator at the same path in each container")
	}
	return f, nil
}

// entries returns what shall be registered.
func (r *registrar) entries(emulators []*emulator.Emulator, f features) ([]binfmt.Entry, error) {
	var entries []binfmt.Entry
	var errs []error
	for _, e := range emulators {
		var flags binfmt.Flags
		switch r.options.preserveArgv0.value {
		case yes:
			flags |= binfmt.PreserveArgv0
		case auto:
			if f.preserveArgv0 && e.PassesArgv0() {
				flags |= binfmt.PreserveArgv0
			}
		}
		if r.options.credential.value == yes {
			flags |= binfmt.OpenBinary | binfmt.Credentials
		}
		if f.fixBinary {
			flags |= binfmt.FixBinary
		}
		entry := binfmt.Entry{
			Name:        r.entryName(e.Arch),
			Pattern:     e.Arch.Pattern(),
			Interpreter: e.Path,
			Flags:       flags,
		}
		if e.Carried != nil {
			entry.Interpreter = descriptors + "3" // or another, which is known once it is open
		}
		if err := entry.Validate(); err != nil {
			errs = append(errs, err)
		}
		entries = append(entries, entry)
	}
	return entries, errors.Join(errs...)
}

// list reads the entries. What is not mounted has none, unless it is about to
// be changed.
func (r *registrar) list(fs binfmt.FS) ([]binfmt.Entry, error) {
	if r.options.dryRun || r.options.status || r.options.uninstall {
		if state, err := fs.State(); err == nil && state != binfmt.Mounted {
			cli.Warning(r.stderr, r.name, fmt.Errorf("binfmt_misc is not mounted on %s", fs.Dir()))
			return nil, nil
		}
	}
	return fs.List()
}

// change takes the instance from what it holds to what is desired, and keeps
// only what was seen to run.
func (r *registrar) change(ctx context.Context, fs binfmt.FS, emulators []*emulator.Emulator, desired []binfmt.Entry) (*report, error) {
	current, err := r.list(fs)
	if err != nil {
		return nil, err
	}
	rep := &report{Mount: fs.Dir(), Private: !r.surroundings.InitialUser, dryRun: r.options.dryRun, noProbe: r.options.noProbe}
	rep.native(r.native)
	byName := make(map[string]*row)
	for i, e := range emulators {
		row := rep.row(e.Arch)
		if e.Carried != nil {
			row.carry(e.Carried)
			desired[i] = asHeld(desired[i], current)
		}
		row.Entry, row.Flags = desired[i].Name, desired[i].Flags.Effective().String()
		row.Emulator, row.Version = e.Path, e.Version
		row.elsewhere = e.Host == nil
		byName[row.Entry] = row
	}

	if !r.options.force {
		remaining := current
		if r.options.reset {
			remaining = slices.DeleteFunc(slices.Clone(current), func(e binfmt.Entry) bool { return isPeerName(e.Name) })
		}
		desired = r.leaveToOthers(rep, byName, desired, remaining)
	}

	plan := binfmt.PlanOptions{Force: r.options.force || r.options.reset}
	plan.Stale = r.stale(ctx, rep, byName, emulators, desired, current)
	if r.options.reset {
		for _, e := range current {
			if isPeerName(e.Name) && byName[e.Name] == nil {
				plan.Remove = append(plan.Remove, e.Name)
			}
			plan.Stale[e.Name] = "--reset"
		}
	}
	steps := binfmt.Plan(desired, current, plan)
	for _, step := range steps {
		row := byName[step.Name]
		if row == nil {
			rep.Removed = append(rep.Removed, removal{step.Name, step.Action.String(), step.Reason})
			continue
		}
		row.Action, row.Reason = step.Action.String(), step.Reason
		if row.carried != nil && step.Action == binfmt.Keep {
			row.Emulator = step.Current.Interpreter
		}
		if step.Action == binfmt.Skip {
			row.fail(fmt.Errorf("not registered: %s", step.Reason), "--force replaces the entry")
		}
	}
	if r.options.dryRun {
		return rep, nil
	}

	unpacked, err := unpack(steps, byName)
	if err != nil {
		return nil, err
	}
	defer closeAll(unpacked)
	staged, err := fs.Stage(steps)
	if err != nil {
		return nil, err
	}
	var failed []string
	if !r.options.noProbe {
		failed = probeAll(ctx, rep)
	}
	if ctx.Err() != nil {
		return nil, errors.Join(fmt.Errorf("interrupted: %w", context.Cause(ctx)), staged.Rollback())
	}
	return rep, errors.Join(staged.Undo(failed), staged.Commit())
}

// leaveToOthers takes those entries out of desired whose programs an entry of
// somebody else's is for already.
func (r *registrar) leaveToOthers(rep *report, byName map[string]*row, desired, current []binfmt.Entry) []binfmt.Entry {
	return slices.DeleteFunc(slices.Clone(desired), func(d binfmt.Entry) bool {
		row := byName[d.Name]
		for _, other := range binfmt.Catching(current, row.arch.Heads()) {
			if other.Name == d.Name || other.Final() == d.Name {
				continue
			}
			row.Action, row.Reason = binfmt.Skip.String(), fmt.Sprintf("%s (%s) is for the same programs", other.Name, other.Interpreter)
			row.leftTo = other.Name
			if len(r.archs) > 0 {
				row.fail(errors.New("not registered: "+row.Reason), "--force registers in front of it")
			}
			return true
		}
		return false
	})
}

// stale says which entries are to be replaced although they read as desired,
// and why: those that hold another file than the one that is on disk now.
func (r *registrar) stale(ctx context.Context, rep *report, byName map[string]*row, emulators []*emulator.Emulator, desired, current []binfmt.Entry) map[string]string {
	stale := make(map[string]string)
	var kept []*emulator.Emulator
	for _, d := range desired {
		if d.Flags&binfmt.FixBinary == 0 {
			continue // the path is looked up at each exec
		}
		i := slices.IndexFunc(current, func(c binfmt.Entry) bool { return c.Equal(d) })
		if i < 0 {
			continue
		}
		e := emulators[slices.IndexFunc(emulators, func(e *emulator.Emulator) bool { return r.entryName(e.Arch) == d.Name })]
		if r.options.noProbe || r.options.dryRun {
			if e.Changed.After(current[i].Registered) {
				stale[d.Name] = "the emulator's file changed after it was registered"
			}
			continue
		}
		kept = append(kept, e)
	}
	var mu sync.Mutex
	inParallel(len(kept), func(i int) {
		e := kept[i]
		row := byName[r.entryName(e.Arch)]
		row.probe(ctx)
		if row.held != nil && !row.held.Current {
			mu.Lock()
			defer mu.Unlock()
			stale[row.Entry] = fmt.Sprintf("it holds another file than %s: version %s", e.Name(), or(row.held.Version, "unknown"))
		}
	})
	return stale
}

// probeAll runs a program of each architecture that has not been seen running,
// and returns the names of those new entries whose programs did not run.
func probeAll(ctx context.Context, rep *report) (failed []string) {
	rows := slices.DeleteFunc(slices.Clone(rep.Rows), func(row *row) bool {
		seen := row.probed && row.Action == binfmt.Keep.String()
		return seen || row.elsewhere || row.err != nil && !row.probed
	})
	inParallel(len(rows), func(i int) { rows[i].probe(ctx) })
	for _, row := range rows {
		switch {
		case row.err == nil:
		case row.leftTo != "":
			row.fail(errors.New(row.Reason+", and does not run them"), "--force registers in front of it")
		case row.Action != binfmt.Keep.String():
			row.Reason = undone
			failed = append(failed, row.Entry)
		}
	}
	return failed
}

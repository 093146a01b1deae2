package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/emulator"
)

// status shows the entries of the named architectures, or of all that have
// one, runs a program of each, and shows whose entry and which file runs it.
func (r *registrar) status(ctx context.Context) (rep *report, err error) {
	native, err := host.Native(ctx)
	if err != nil {
		return nil, nativeError(err)
	}
	r.native = native
	fs := r.fs()
	detach, err := r.attach(fs)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, detach()) }()
	current, err := r.list(fs)
	if err != nil {
		return nil, err
	}
	rep = &report{Mount: fs.Dir(), noProbe: r.options.noProbe}
	rep.native(native)

	archs := r.archs
	if len(archs) == 0 {
		archs = elfmagic.Archs()
	}
	var rows []*row
	for _, arch := range archs {
		own := slices.IndexFunc(current, func(e binfmt.Entry) bool { return r.isOwn(e, arch) })
		catching := binfmt.Catching(current, arch.Heads())
		if own < 0 && len(catching) == 0 && len(r.archs) == 0 {
			continue
		}
		row := rep.row(arch)
		row.digests = r.options.output.value == "json"
		if own >= 0 {
			e := current[own]
			row.Entry, row.Flags, row.Emulator = e.Name, e.Flags.String(), e.Interpreter
			if inMemory(e.Interpreter) {
				if c, err := r.search().Carry.Find(arch); c != nil && err == nil {
					row.carry(c)
				}
			} else if found, err := emulator.Open(arch, e.Interpreter); err == nil {
				row.Version = found.Version
			} else if !e.Flags.Has(binfmt.FixBinary) && errors.Is(err, emulator.ErrMissing) {
				row.elsewhere = true
			}
			if e.Disabled {
				row.Reason = "disabled"
			}
		}
		for _, e := range catching {
			if !r.isOwn(e, arch) {
				rep.other(e, arch)
			}
		}
		if r.isNative(arch) && own < 0 {
			row.Reason = "native"
		}
		rows = append(rows, row)
	}
	if !r.options.noProbe {
		here := slices.DeleteFunc(slices.Clone(rows), func(row *row) bool { return row.elsewhere })
		inParallel(len(here), func(i int) { here[i].probe(ctx) })
	}
	for _, row := range rows {
		if row.Reason == "disabled" && row.err != nil {
			row.fail(errors.New("its entry is disabled"), "whoever disabled it may have had a reason; echo 1 > "+fs.Dir()+"/"+row.Entry+" enables it")
		}
	}
	return rep, nil
}

// other notes an entry of somebody else's.
func (r *report) other(e binfmt.Entry, arch *elfmagic.Arch) {
	for i := range r.Others {
		if r.Others[i].Entry == e.Name {
			r.Others[i].Catches = append(r.Others[i].Catches, arch.Platform())
			return
		}
	}
	r.Others = append(r.Others, other{
		Entry: e.Name, Interpreter: e.Interpreter, Flags: e.Flags.String(), Enabled: !e.Disabled,
		Catches: []string{arch.Platform()},
	})
}

// isOwn reports whether an entry is the architecture's: it has the
// conventional name, which peers use too, and is for its programs. A name
// alone says nothing: a qemu-arm that catches Python files is somebody else's.
func (r *registrar) isOwn(e binfmt.Entry, arch *elfmagic.Arch) bool {
	return e.Final() == r.entryName(arch) && matchesAny(e, arch)
}

func matchesAny(e binfmt.Entry, arch *elfmagic.Arch) bool {
	return slices.ContainsFunc(arch.Heads(), func(head []byte) bool { return e.Matches(head, "") })
}

// isPeerName reports whether --reset removes entries of this name: what the
// multiarch image's --reset does.
func isPeerName(name string) bool { return strings.HasPrefix(name, "qemu-") }

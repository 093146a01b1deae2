package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
)

// uninstall removes the entries of the named architectures, or of all. An
// entry that only has the name of one, and is for other files, stays.
func (r *registrar) uninstall(ctx context.Context) (rep *report, err error) {
	fs := r.fs()
	detach, err := r.attach(fs)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, detach()) }()
	// Where nothing is mounted nothing is registered.
	if state, err := fs.State(); err == nil && state == binfmt.Mounted && !r.options.dryRun {
		unlock, err := fs.Lock(ctx)
		if err != nil {
			return nil, err
		}
		defer unlock()
	}
	current, err := r.list(fs)
	if err != nil {
		return nil, err
	}
	rep = &report{Mount: fs.Dir(), dryRun: r.options.dryRun, noProbe: true}
	archs := r.archs
	if len(archs) == 0 {
		archs = elfmagic.Archs()
	}
	var names []string
	for _, arch := range archs {
		i := slices.IndexFunc(current, func(e binfmt.Entry) bool { return e.Name == r.entryName(arch) })
		switch {
		case i < 0 && len(r.archs) > 0:
			rep.row(arch).fail(fmt.Errorf("no entry %s", r.entryName(arch)), "--status shows what is registered")
		case i < 0:
		case !r.isOwn(current[i], arch):
			row := rep.row(arch)
			row.Entry, row.Action, row.Reason = current[i].Name, binfmt.Skip.String(), "it is not for "+arch.Name+" programs"
			if len(r.archs) > 0 {
				row.fail(errors.New("not removed: "+row.Reason), "another program made it: remove it with that")
			}
		default:
			row := rep.row(arch)
			row.Entry, row.Flags, row.Emulator = current[i].Name, current[i].Flags.String(), current[i].Interpreter
			names = append(names, current[i].Name)
		}
		for _, e := range current {
			if e.Temporary() && r.isOwn(e, arch) {
				names = append(names, e.Name)
			}
		}
	}
	steps := binfmt.Plan(nil, current, binfmt.PlanOptions{Remove: names})
	for _, step := range steps {
		if i := slices.IndexFunc(rep.Rows, func(row *row) bool { return row.Entry == step.Name }); i >= 0 {
			rep.Rows[i].Action = step.Action.String()
		}
	}
	if r.options.dryRun {
		return rep, nil
	}
	return rep, fs.Apply(steps)
}

package main

import (
	"errors"
	"strconv"
	"strings"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/internal/carry"
)

// An emulator that this command carries has no path: the kernel is handed a file
// in memory by its descriptor, and with the F flag keeps it. What the entry then
// reads is the name that it was opened by, and says nothing afterwards.
const descriptors = "/proc/self/fd/"

// inMemory reports whether an entry's interpreter was handed over so.
func inMemory(interpreter string) bool { return strings.HasPrefix(interpreter, descriptors) }

// carry notes which emulator is carried for the row's architecture.
func (r *row) carry(e *carry.Emulator) {
	r.carried, r.Carried = e, e.Digest()
}

// emulator says in the table which emulator it is: the entry's interpreter if
// that is a path.
func (r *row) emulator() string {
	switch {
	case r.carried != nil && (r.Holds == nil || r.Holds.Current):
		return "carried (" + r.carried.SHA256[:12] + ")"
	case inMemory(r.Emulator):
		return "in memory"
	}
	return r.Emulator
}

// asHeld returns an entry with the descriptor by which the current one of its
// name was registered, if that was: whether it holds what is carried is seen when
// it is probed.
func asHeld(desired binfmt.Entry, current []binfmt.Entry) binfmt.Entry {
	for _, c := range current {
		if c.Name == desired.Name && inMemory(c.Interpreter) {
			desired.Interpreter = c.Interpreter
		}
	}
	return desired
}

// unpack puts the carried emulators of those entries into memory that will be
// registered. They are to be open until then.
func unpack(steps []binfmt.Step, byName map[string]*row) (images []*carry.Image, err error) {
	images = make([]*carry.Image, len(steps))
	errs := make([]error, len(steps))
	inParallel(len(steps), func(i int) {
		step := &steps[i]
		row := byName[step.Name]
		if row == nil || row.carried == nil || step.Action != binfmt.Add && step.Action != binfmt.Replace {
			return
		}
		if images[i], errs[i] = row.carried.Open(""); errs[i] == nil {
			step.Desired.Interpreter = descriptors + strconv.Itoa(int(images[i].File.Fd()))
			row.Emulator = step.Desired.Interpreter
		}
	})
	if err := errors.Join(errs...); err != nil {
		closeAll(images)
		return nil, err
	}
	return images, nil
}

func closeAll(images []*carry.Image) {
	for _, i := range images {
		if i != nil {
			i.Close()
		}
	}
}

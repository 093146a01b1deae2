package binfmt

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
)

// A Staged is a plan of which the first half is done: what is to be added is
// there, and what is to be replaced is there a second time, under a temporary
// name. The kernel tries the newest entry first, so the new ones are in use
// and can be tried out, while nothing that was there is gone: a program that
// could be executed before still can at every moment, and if this process is
// killed. Commit does the other half; Undo and Rollback go back.
type Staged struct {
	fs     FS
	steps  []Step
	added  map[string]string // name of a step's entry: name under which it was registered
	undone map[string]bool   // names of steps' entries
}

// Apply carries out a plan: Stage, then Commit.
func (fs FS) Apply(steps []Step) error {
	staged, err := fs.Stage(steps)
	if err != nil {
		return err
	}
	return staged.Commit()
}

// Stage does the first half of a plan. If a step fails, those before it are
// undone. Two steps that register the same name fail with EEXIST.
func (fs FS) Stage(steps []Step) (*Staged, error) {
	s := &Staged{fs: fs, steps: steps, added: make(map[string]string), undone: make(map[string]bool)}
	r := registrar{fs: fs}
	defer r.close()
	for _, step := range steps {
		name, err := step.Name, error(nil)
		_, twice := s.added[step.Name]
		switch {
		case step.Action != Add && step.Action != Replace:
			continue
		case twice:
			err = fs.failure("register", step.Name, fs.path("register"), fmt.Errorf("a step of the plan has the same name: %w", syscall.EEXIST))
		case step.Action == Add:
			err = r.register(step.Desired)
		default:
			name, err = r.registerTemporary(step.Desired)
		}
		if err != nil {
			return nil, errors.Join(err, s.Rollback())
		}
		s.added[step.Name] = name
	}
	return s, nil
}

// StandIn registers an entry at once under a temporary name that is free, and returns
// that: for an entry that was there and is gone. A later plan for the entry has the
// temporary one removed again.
func (fs FS) StandIn(e Entry) (name string, err error) {
	r := registrar{fs: fs}
	defer r.close()
	return r.registerTemporary(e)
}

// maxTemporary bounds the search for a free name: each interrupted run can have
// left one.
const maxTemporary = 100

// registerTemporary registers an entry under a temporary name that is free.
func (r *registrar) registerTemporary(e Entry) (string, error) {
	final := e.Name
	var err error
	for i := range maxTemporary {
		e.Name = final + temporarySuffix
		if i > 0 {
			e.Name += strconv.Itoa(i + 1)
		}
		// A name that is taken is left by a run that was killed, and may be all
		// that stands behind its programs: Plan has it removed in the end.
		if err = r.register(e); !errors.Is(err, syscall.EEXIST) {
			return e.Name, err
		}
	}
	return "", err
}

// Undo removes again what was staged for the named entries; Commit then leaves
// them as they were.
func (s *Staged) Undo(names []string) error {
	var errs []error
	for _, name := range names {
		if temporary, ok := s.added[name]; ok {
			err := s.remove(temporary)
			if err == nil {
				delete(s.added, name)
				s.undone[name] = true
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Rollback undoes all that was staged, the last first.
func (s *Staged) Rollback() error {
	var names []string
	for _, step := range slices.Backward(s.steps) {
		names = append(names, step.Name)
	}
	return s.Undo(names)
}

// Commit finishes the plan: an old entry is removed, the new one registered
// under its own name, and the temporary one removed; then come the plan's
// removals. A step that fails does not keep the others from being done, and
// leaves the temporary entry in place.
func (s *Staged) Commit() error {
	var errs []error
	for _, step := range s.steps {
		temporary, staged := s.added[step.Name]
		switch {
		case step.Action == Remove && s.undone[step.Current.Final()]:
			// A temporary entry that still does the work of the one that could
			// not be replaced.
		case step.Action == Remove:
			errs = append(errs, s.remove(step.Name))
		case step.Action == Replace && staged:
			errs = append(errs, s.replace(step, temporary))
		}
	}
	return errors.Join(errs...)
}

func (s *Staged) replace(step Step, temporary string) error {
	if err := s.remove(step.Name); err != nil {
		return err
	}
	if err := s.fs.Register(step.Desired); err != nil {
		return fmt.Errorf("%w (%s stands in for it)", err, temporary)
	}
	return s.remove(temporary)
}

// remove removes an entry, unless somebody has meanwhile: systemd-binfmt and others do not
// wait for who has the instance locked.
func (s *Staged) remove(name string) error {
	err := s.fs.Remove(name)
	if errors.Is(err, os.ErrNotExist) && !errors.Is(err, ErrNotMounted) {
		return nil
	}
	return err
}

package binfmt

import "fmt"

// A State says what is mounted on an instance's directory.
type State int

const (
	NotMounted State = iota
	Autofs           // it will be mounted when somebody looks into it
	Mounted
)

func (s State) String() string {
	switch s {
	case Mounted:
		return "mounted"
	case Autofs:
		return "not yet mounted by autofs"
	}
	return "not mounted"
}

func (fs FS) mustBeMounted(op, path string) error {
	state, err := fs.State()
	if err == nil && state != Mounted {
		err = &Error{Op: op, Path: path, Err: fmt.Errorf("%w (%s)", ErrNotMounted, state)}
	}
	return err
}

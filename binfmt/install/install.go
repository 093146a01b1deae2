package install

import "errors"

// Errors and warnings about where entries would be registered.
var (
	// ErrNotLasting: entries would be gone with this container.
	ErrNotLasting = errors.New("the host has not mounted binfmt_misc: what is registered from this container would be gone when it exits")
	// ErrContainer: entries would be those of a container's user namespace.
	ErrContainer = errors.New("this container is in a user namespace: a binfmt_misc mounted here would be of its own, hide the entries that there are, and be gone with the container")
	// ErrHidden, a warning: a new instance hides entries by which programs ran, and
	// there is no emulator to register for them.
	ErrHidden = errors.New("do not run any more in this user namespace: the binfmt_misc mounted now hides their entries, and no emulator was found for them")
	// ErrPrivate, a warning: entries belong to a user namespace.
	ErrPrivate = errors.New("this binfmt_misc belongs to the user namespace that register runs in: what is registered is seen there only, and is gone with the last mount of it")
	// ErrNoAnswer: the directory cannot be looked at.
	ErrNoAnswer = errors.New("the file system there does not answer")
	// ErrLocked, a warning: it takes long until another process has ended its change.
	ErrLocked = errors.New("another process is changing this binfmt_misc: waiting for it")
	// ErrNoMemory: there is not enough memory to keep emulators in.
	ErrNoMemory = errors.New("not enough memory")
	// ErrOnFUSE, a warning: emulators could not be kept in memory. Programs run as
	// long as what serves the files is there.
	ErrOnFUSE = errors.New("the emulators are on a FUSE file system, and cannot be kept in memory")
)

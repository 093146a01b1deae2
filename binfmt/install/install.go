package install

import "errors"

// ErrNotLasting says that entries would be gone with this container.
var ErrNotLasting = errors.New("the host has not mounted binfmt_misc: what is registered from this container would be gone when it exits")

// ErrContainer says that entries would be those of a container's user namespace.
var ErrContainer = errors.New("this container is in a user namespace: a binfmt_misc mounted here would be of its own, hide the entries that there are, and be gone with the container")

// ErrHidden says, as a warning, that a new instance hides entries by which programs
// ran, and that there is no emulator to register for them.
var ErrHidden = errors.New("do not run any more in this user namespace: the binfmt_misc mounted now hides their entries, and no emulator was found for them")

// ErrPrivate says, as a warning, that entries belong to a user namespace.
var ErrPrivate = errors.New("this binfmt_misc belongs to the user namespace that register runs in: what is registered is seen there only, and is gone with the last mount of it")

// ErrNoAnswer says that the directory cannot be looked at.
var ErrNoAnswer = errors.New("the file system there does not answer")

// ErrNoMemory says that there is not enough memory to keep emulators in.
var ErrNoMemory = errors.New("not enough memory")

// ErrOnFUSE says, as a warning, that emulators could not be kept in memory:
// programs run as long as what serves the files is there.
var ErrOnFUSE = errors.New("the emulators are on a FUSE file system, and cannot be kept in memory")

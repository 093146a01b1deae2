package install

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
)

// isOfAbove reports whether the instance that is mounted is that of a user namespace above
// this one, as containers have it that see the host's: its files belong to who
// mounted it there.
func isOfAbove(fs binfmt.FS) (bool, error) {
	state, err := fs.State()
	if err != nil || state != binfmt.Mounted {
		return false, err
	}
	var st unix.Stat_t
	if err := unix.Stat(fs.Dir(), &st); err != nil {
		return false, &binfmt.Error{Op: "look at", Path: fs.Dir(), Err: err}
	}
	return st.Uid != 0 && int(st.Uid) != os.Geteuid(), nil
}

// rootAbove reports whether root is root in the namespace above, too, so that files do not say
// which one's they are.
func rootAbove() bool {
	ids, _ := os.ReadFile("/proc/self/uid_map") // user_namespaces(7)
	fields := strings.Fields(string(ids))
	return len(fields) < 3 || fields[0] == "0" && fields[1] == "0"
}

// mountOwn mounts this user namespace's instance over one of a namespace above, and reports
// whether it did. There can be none before Linux 6.7 (EPERM): it is as it was, then.
func mountOwn(fs binfmt.FS) (mounted bool, err error) {
	state, err := fs.State()
	if err != nil || state != binfmt.Mounted {
		return false, err
	}
	if above, err := isOfAbove(fs); err != nil || !above && !rootAbove() {
		return false, err
	}
	err = fs.MountOver()
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EPERM) {
		return false, nil // the one that is there is its own; there can be none
	}
	return err == nil, err
}

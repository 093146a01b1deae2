package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// MakeDir makes a directory and those above it that are missing, which are the
// caller's own (mode 0700). Root makes none below another user's: under sudo -E, HOME
// is that of the user, who could not write there any more.
func MakeDir(path string) error {
	if os.Geteuid() == 0 {
		if dir, uid, err := owner(path); err != nil {
			return err
		} else if uid != 0 {
			return fmt.Errorf("%s belongs to user %d: root puts nothing there", dir, uid)
		}
	}
	return os.MkdirAll(path, 0o700)
}

// owner returns whose the directory at a path is, or the nearest above it that is
// there.
func owner(path string) (dir string, uid uint32, err error) {
	for dir = filepath.Clean(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil {
			return dir, info.Sys().(*syscall.Stat_t).Uid, nil
		}
		if !errors.Is(err, os.ErrNotExist) || dir == filepath.Dir(dir) {
			return dir, 0, err
		}
	}
}

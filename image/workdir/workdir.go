// Package workdir tells directories that are worked in, whose files are replaced
// and removed, from those that hold somebody's own. Those are of the first kind that
// are in the user's cache.
package workdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/cli"
)

// Cache returns a directory, which it makes, below that of the user's cache which is this
// project's.
func Cache(elements ...string) (string, error) {
	cache, err := os.UserCacheDir()
	dir := filepath.Join(append([]string{cache, "calico-go-build"}, elements...)...)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		if err = unix.Access(dir, unix.W_OK); err != nil {
			err = &fs.PathError{Op: "write", Path: dir, Err: err}
		}
	}
	if err != nil {
		return "", cli.WithHint(err, "set XDG_CACHE_HOME to a directory, by its whole path, in which some GB may be kept")
	}
	return dir, nil
}

// marker is in each directory that was worked in.
const marker = ".go-build"

// Claim makes a directory one that is worked in: a new one, an empty one, or one that
// was claimed before.
func Claim(dir string) error {
	mark := filepath.Join(dir, marker)
	if _, err := os.Lstat(mark); err == nil {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		return cli.WithHint(fmt.Errorf("%s holds files that were not made here, and might be replaced or removed", dir),
			"name a new or an empty directory, or, if all in it may go: touch %s", cli.Quote(mark))
	}
	return errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(mark, nil, 0o644))
}

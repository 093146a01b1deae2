package debian

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// UnpackTree unpacks packages into a new directory, as they are installed: of releases
// before and after the directories of / became links to those of /usr. No link leads
// out of it, nor does the list of libraries, which is empty: a loader that an emulator
// runs with -L would find this machine's.
func UnpackTree(ctx context.Context, dir string, debs ...string) error {
	for _, name := range []string{"bin", "lib", "lib32", "lib64", "sbin"} {
		err := errors.Join(os.MkdirAll(filepath.Join(dir, "usr", name), 0o755), os.Symlink("usr/"+name, filepath.Join(dir, name)))
		if err != nil {
			return err
		}
	}
	for _, deb := range debs {
		if err := Unpack(ctx, deb, dir); err != nil {
			return err
		}
	}
	cache := filepath.Join(dir, "etc", "ld.so.cache")
	return errors.Join(relative(dir), os.MkdirAll(filepath.Dir(cache), 0o755), os.WriteFile(cache, nil, 0o644))
}

// relative makes the links in a tree stay in it.
func relative(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type() != fs.ModeSymlink {
			return err
		}
		target, err := os.Readlink(path)
		if err != nil || !filepath.IsAbs(target) {
			return err
		}
		rel, err := filepath.Rel(filepath.Dir(path), filepath.Join(dir, target))
		if err != nil {
			return err
		}
		return errors.Join(os.Remove(path), os.Symlink(rel, path))
	})
}

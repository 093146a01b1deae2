package rootarchive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

// The cache has a directory for each tree, whose name is the digest of what was
// unpacked, and in known/ a symbolic link for each archive, whose name says which file
// it is, and as it is now: then nothing of it has to be read. Who uses a tree has it locked.
const (
	known    = "known"
	partial  = ".partial-"
	treeName = "sha256-"
)

// Is reports whether a path is that of an archive or OCI layout. Another directory is
// a root file system itself.
func Is(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return err == nil && info.Mode().IsRegular()
	}
	for _, name := range []string{"oci-layout", "index.json"} {
		if info, err := os.Stat(filepath.Join(path, name)); err != nil || !info.Mode().IsRegular() {
			return false
		}
	}
	return true
}

// UserCache returns where trees are kept, or an error if there is no place.
func UserCache() (string, error) {
	cache, err := file.UserCacheDir()
	if err != nil {
		return "", cli.WithHint(fmt.Errorf("no directory to unpack it into: %w", err), "set HOME or XDG_CACHE_HOME, or unpack it yourself and name the directory")
	}
	return filepath.Join(cache, "crossrun", "rootfs"), nil
}

// Directory returns the directory with the root file system of an archive, for a
// platform if it has several; an empty one is the host's, or the only one. It is
// unpacked into the cache unless it is there. If another process is at that, waiting
// is called, and it is waited for. What is there of an earlier content of the archive, or
// was not asked for in a month, is removed then, unless somebody uses it: as long as use
// is open, also in a process that it is passed on to, nobody removes the directory.
func Directory(ctx context.Context, cache, path, platform string, waiting func()) (dir string, use *os.File, err error) {
	id, err := identity(path, platform)
	if err != nil {
		return "", nil, err
	}
	link := filepath.Join(cache, known, id)
	if dir, use := follow(cache, link); dir != "" {
		touch(link)
		return dir, use, nil
	}
	if err := file.MakeDir(filepath.Join(cache, known)); err != nil {
		return "", nil, cli.WithHint(err, "set XDG_CACHE_HOME to a directory of your own, or unpack the archive yourself and name the directory")
	}
	unlock, err := file.Lock(ctx, link+".lock", waiting)
	if err != nil {
		return "", nil, err
	}
	defer func() {
		os.Remove(link + ".lock")
		unlock()
	}()
	if dir, use := follow(cache, link); dir != "" {
		return dir, use, nil
	}
	sweep(cache)
	for range 10 { // should another process remove it meanwhile, as the tree of another archive
		name, err := unpack(ctx, cache, path, platform)
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", path, err)
		}
		os.Remove(link)
		if err := os.Symlink(filepath.Join("..", name), link); err != nil {
			return "", nil, err
		}
		if dir, use := follow(cache, link); dir != "" {
			forget(cache, id)
			return dir, use, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return "", nil, fmt.Errorf("%s: what is unpacked in %s does not stay there", path, cache)
}

// identity says which file an archive is, before the dash, and how it is now.
func identity(path, platform string) (string, error) {
	real, err := filepath.Abs(path)
	if err == nil {
		real, err = filepath.EvalSymlinks(real)
	}
	if err != nil {
		return "", err
	}
	var st unix.Stat_t
	if err := unix.Stat(real, &st); err != nil {
		return "", &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		if err := unix.Stat(filepath.Join(real, "index.json"), &st); err != nil {
			return "", &os.PathError{Op: "stat", Path: path + "/index.json", Err: err}
		}
	}
	name, content := fmt.Appendf(nil, "%q %q", real, platform), fmt.Appendf(nil, "%d %d %d %d %d", st.Dev, st.Ino, st.Size, st.Mtim, st.Ctim)
	sum := func(b []byte) []byte { s := sha256.Sum256(b); return s[:16] }
	return fmt.Sprintf("%x-%x", sum(name), sum(content)), nil
}

// follow returns the tree that a link leads to, if both are there, in this user's cache: the
// owners in another's are not what the archive says, and that user may change it. The file
// is the tree's, with a lock.
func follow(cache, link string) (tree string, use *os.File) {
	to, err := os.Readlink(link)
	if err != nil || !strings.HasPrefix(filepath.Base(to), treeName) {
		return "", nil
	}
	dir := filepath.Join(cache, filepath.Base(to))
	for _, path := range []string{cache, filepath.Dir(link), link} {
		var st unix.Stat_t
		if unix.Lstat(path, &st) != nil || int(st.Uid) != os.Geteuid() {
			return "", nil
		}
	}
	if use, err = hold(dir, unix.LOCK_SH); err != nil {
		return "", nil
	}
	return dir, use
}

// hold opens a tree and locks it, if nobody else has a lock that forbids it. It is an error if
// the tree is not there any more.
func hold(dir string, kind int) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.EACCES && kind == unix.LOCK_SH {
		return nil, nil // it is not to be read: nobody can lock it, or remove it
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	f := os.NewFile(uintptr(fd), dir)
	err = file.IgnoringEINTR(func() error { return unix.Flock(fd, kind|unix.LOCK_NB) })
	if kind == unix.LOCK_SH && err != nil && err != unix.EWOULDBLOCK {
		err = nil // a file system that has no locks: nobody gets the other kind, either
	}
	var opened, there unix.Stat_t
	if err == nil {
		err = errors.Join(unix.Fstat(fd, &opened), unix.Lstat(dir, &there))
	}
	if err == nil && (opened.Dev != there.Dev || opened.Ino != there.Ino) {
		err = fs.ErrNotExist
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// touch says that a link was followed now.
func touch(link string) {
	_ = unix.UtimesNanoAt(unix.AT_FDCWD, link, []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_NOW}}, unix.AT_SYMLINK_NOFOLLOW)
}

// maxAge is how long a tree stays that nobody asks for.
const maxAge = 30 * 24 * time.Hour

// forget removes the links of what an archive was before, or that nobody has followed for
// long, and the trees to which no other leads. What is in use stays, with its link.
func forget(cache, id string) {
	name, _, _ := strings.Cut(id, "-")
	entries, _ := os.ReadDir(filepath.Join(cache, known))
	old, wanted := map[string]string{}, map[string]bool{}
	for _, e := range entries {
		link := filepath.Join(cache, known, e.Name())
		to, err := os.Readlink(link)
		info, infoErr := os.Lstat(link)
		if err != nil || infoErr != nil {
			continue // a lock
		}
		of, _, whole := strings.Cut(e.Name(), "-")
		if whole && e.Name() != id && (of == name || time.Since(info.ModTime()) > maxAge) {
			old[link] = filepath.Base(to)
		} else {
			wanted[filepath.Base(to)] = true
		}
	}
	for link, tree := range old {
		if wanted[tree] || strings.HasPrefix(tree, treeName) && removeUnused(cache, tree) {
			os.Remove(link)
		}
	}
}

// removeUnused removes a tree, and reports whether it is gone: not while somebody uses it.
func removeUnused(cache, tree string) bool {
	aside, held, err := newPartial(cache) // should this process be killed, another sweeps it away
	if err != nil {
		return false
	}
	defer held.Close()
	defer removeTree(aside)
	dir := filepath.Join(cache, tree)
	f, err := hold(dir, unix.LOCK_EX)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	defer f.Close()
	return unix.Rename(dir, aside) == nil // which is empty, and stays locked
}

// unpack unpacks an archive into the cache, and returns the name of its tree there.
func unpack(ctx context.Context, cache, path, platform string) (name string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		root, err := os.OpenRoot(path)
		if err != nil {
			return "", err
		}
		defer root.Close()
		return unpackImage(ctx, cache, directory{root}, platform)
	}
	f, err := file.OpenRegular(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	archive, err := plain(ctx, f, cache)
	if err != nil {
		return "", err
	}
	defer archive.Close()
	members, err := list(archive)
	if err != nil {
		return "", err
	}
	name, err = unpackImage(ctx, cache, members, platform)
	if name != "" || err != nil {
		return name, err
	}
	if platform != "" {
		return "", cli.WithHint(errors.New("it is an archive of files, not of an image that has a platform"), "leave --platform out")
	}
	return inPlace(cache, func(t *tree) (string, error) { return t.unpack(ctx, io.NewSectionReader(archive, 0, 1<<62), false) })
}

// unpackImage unpacks the image for a platform. There is no name if the files are no
// image's.
func unpackImage(ctx context.Context, cache string, from files, platform string) (name string, err error) {
	all, err := candidates(from)
	if err != nil || len(all) == 0 {
		return "", err
	}
	chosen, err := choose(all, platform, from)
	if err != nil {
		return "", err
	}
	image, err := chosen.load()
	if err != nil {
		return "", err
	}
	name = nameOf(image.name)
	if _, err := os.Lstat(filepath.Join(cache, name)); err == nil {
		return name, nil
	}
	return inPlace(cache, func(t *tree) (string, error) { return image.name, image.unpack(ctx, from, t) })
}

func nameOf(digest string) string { return strings.Replace(digest, ":", "-", 1) }

// inPlace makes a tree beside its place, and renames it. do fills it, and returns its
// digest.
func inPlace(cache string, do func(*tree) (digest string, err error)) (name string, err error) {
	dir, held, err := newPartial(cache)
	if err != nil {
		return "", err
	}
	defer held.Close()
	defer removeTree(dir)
	t, err := newTree(dir)
	if err != nil {
		return "", err
	}
	defer t.close()
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	digest, err := do(t)
	if err == nil {
		err = t.finish()
	}
	if err != nil {
		return "", err
	}
	name = nameOf(digest)
	err = os.Rename(dir, filepath.Join(cache, name))
	if errors.Is(err, fs.ErrExist) { // another archive has the same
		err = nil
	}
	return name, err
}

// newPartial makes a directory that no sweep of another process removes: it is locked. One that
// was removed before it could be is made again.
func newPartial(cache string) (dir string, held *os.File, err error) {
	for range 100 {
		if dir, err = os.MkdirTemp(cache, partial); err != nil {
			return "", nil, err
		}
		if held, err = os.Open(dir); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = file.IgnoringEINTR(func() error { return unix.Flock(int(held.Fd()), unix.LOCK_EX) })
		}
		if err != nil {
			break
		}
		if _, err = os.Lstat(dir); err == nil {
			return dir, held, nil
		}
		held.Close()
	}
	held.Close() // nil is not closed
	removeTree(dir)
	return "", nil, err
}

// removeTree removes a tree, whose directories need not be writable.
func removeTree(dir string) {
	if os.RemoveAll(dir) == nil {
		return
	}
	filepath.WalkDir(dir, func(path string, entry fs.DirEntry, _ error) error {
		if entry != nil && entry.IsDir() {
			os.Chmod(path, 0o700)
		}
		return nil
	})
	os.RemoveAll(dir)
}

// sweep removes the trees of processes that were killed: nobody has their locks.
func sweep(cache string) {
	left, _ := filepath.Glob(filepath.Join(cache, partial+"*"))
	for _, dir := range left {
		f, err := os.Open(dir)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			removeTree(dir)
		}
		f.Close()
	}
}

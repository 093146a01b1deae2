package rootarchive

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A tree is a root file system that is being unpacked. Names are looked up below its
// directory whatever symbolic links say (openat2(2), RESOLVE_IN_ROOT, Linux 5.6), and
// what has the last name is never followed.
type tree struct {
	fd   int
	root bool // owners are set
	dirs map[string]*tar.Header
	made map[string]bool // what the layer has made, and the directories above that
}

func newTree(dir string) (*tree, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return &tree{fd: fd, root: os.Geteuid() == 0, dirs: map[string]*tar.Header{}}, nil
}

func (t *tree) close() { unix.Close(t.fd) }

// unpack unpacks a tar archive, and returns the digest of all of it. In a layer,
// names that begin with .wh. remove what is of lower layers.
func (t *tree) unpack(ctx context.Context, from io.Reader, isLayer bool) (digest string, err error) {
	hash := sha256.New()
	from = io.TeeReader(from, hash)
	t.made = map[string]bool{}
	r := tar.NewReader(from)
	for {
		header, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", notTar(err)
		}
		if err := context.Cause(ctx); err != nil {
			return "", err
		}
		if err := t.add(header, r, isLayer); err != nil {
			return "", fmt.Errorf("%s: %w", header.Name, err)
		}
	}
	if _, err := io.Copy(io.Discard, from); err != nil { // what follows the end is part of it
		return "", err
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil)), nil
}

// inside returns a name of an archive as one below the tree: without what makes it
// absolute. A name with .. is nobody's by accident.
func inside(name string) (string, error) {
	if slices.Contains(strings.Split(name, "/"), "..") {
		return "", errors.New("the name leads out of the archive")
	}
	return strings.TrimPrefix(path.Clean("/"+name), "/"), nil
}

// Names in layers (OCI image specification, layer.md).
const (
	whiteout = ".wh."         // before the name of a file: it is not there
	opaque   = ".wh..wh..opq" // in a directory: nothing of lower layers is in it
	aufs     = ".wh..wh."     // what else AUFS had
)

// add adds what a header is of.
func (t *tree) add(header *tar.Header, content io.Reader, isLayer bool) error {
	name, err := inside(header.Name)
	if err != nil {
		return err
	}
	dir, base := path.Split(name)
	if isLayer && strings.HasPrefix(base, whiteout) {
		return t.whiteOut(dir, base)
	}
	switch header.Typeflag {
	case tar.TypeXGlobalHeader:
		return nil
	case tar.TypeChar, tar.TypeBlock: // crossrun's /dev is another
		return nil
	case tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeLink, tar.TypeFifo, tar.TypeGNUSparse:
	default:
		return fmt.Errorf("its type, %q, is not known", header.Typeflag)
	}
	for above := name; above != "." && above != "" && !t.made[above]; above = path.Dir(above) {
		t.made[above] = true
	}
	if name == "" {
		if header.Typeflag == tar.TypeDir {
			t.dirs[""] = header
		}
		return nil
	}
	parent, err := t.directory(strings.TrimSuffix(dir, "/"))
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	if header.Typeflag == tar.TypeDir {
		t.dirs[name] = header
		return makeDirectory(parent, base)
	}
	if header.Typeflag == tar.TypeLink && t.isItself(header.Linkname, parent, base) {
		return nil // GNU tar has one of a file that it was given twice
	}
	t.forget(name)
	if err := remove(parent, base); err != nil {
		return err
	}
	switch header.Typeflag {
	case tar.TypeLink:
		return t.link(header.Linkname, parent, base)
	case tar.TypeSymlink:
		err = unix.Symlinkat(header.Linkname, parent, base)
	case tar.TypeFifo:
		err = unix.Mkfifoat(parent, base, 0o600)
	default:
		err = write(parent, base, content)
	}
	if err != nil {
		return err
	}
	return t.attributes(header, parent, base)
}

// whiteOut removes what an entry says that there is no more of lower layers.
func (t *tree) whiteOut(dir, base string) error {
	switch {
	case base == opaque:
		return t.removeLowerIn(strings.TrimSuffix(dir, "/"))
	case strings.HasPrefix(base, aufs):
		return nil
	case base == whiteout || base == whiteout+"." || base == whiteout+"..":
		return errors.New("whiteout of nothing")
	}
	return t.removeLower(dir + strings.TrimPrefix(base, whiteout))
}

// forget forgets the headers of a directory that is removed, and of all below: under their
// names there may be something else later, by way of a link.
func (t *tree) forget(name string) {
	maps.DeleteFunc(t.dirs, func(dir string, _ *tar.Header) bool { return dir == name || strings.HasPrefix(dir, name+"/") })
}

// isItself reports whether a link's target is the file of that name.
func (t *tree) isItself(target string, parent int, base string) bool {
	from, last, err := t.target(target)
	if err != nil {
		return false
	}
	defer unix.Close(from)
	var a, b unix.Stat_t
	return unix.Fstatat(from, last, &a, unix.AT_SYMLINK_NOFOLLOW) == nil && unix.Fstatat(parent, base, &b, unix.AT_SYMLINK_NOFOLLOW) == nil &&
		a.Ino == b.Ino && a.Dev == b.Dev && a.Mode&unix.S_IFMT != unix.S_IFDIR
}

// lookup opens a directory of the tree, by O_PATH.
func (t *tree) lookup(name string) (int, error) {
	how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	for {
		fd, err := unix.Openat2(t.fd, "./"+name, how)
		if err != unix.EAGAIN && err != unix.EINTR { // something was renamed meanwhile
			return fd, err
		}
	}
}

// directory opens a directory of the tree, which is made if it is missing.
func (t *tree) directory(name string) (int, error) {
	fd, err := t.lookup(name)
	if err != unix.ENOENT {
		return fd, err
	}
	dir, base := path.Split(name)
	parent, err := t.directory(strings.TrimSuffix(dir, "/"))
	if err != nil {
		return -1, err
	}
	defer unix.Close(parent)
	err = unix.Mkdirat(parent, base, 0o700)
	if err == unix.EEXIST {
		return -1, fmt.Errorf("%s is a symbolic link that leads nowhere", name)
	}
	if err != nil {
		return -1, err
	}
	t.dirs[name] = &tar.Header{Mode: 0o755}
	return t.lookup(name)
}

// makeDirectory makes a directory unless there is one. What else has the name goes.
func makeDirectory(parent int, base string) error {
	err := unix.Mkdirat(parent, base, 0o700)
	if err != unix.EEXIST {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return nil
	}
	if err := unix.Unlinkat(parent, base, 0); err != nil {
		return err
	}
	return unix.Mkdirat(parent, base, 0o700)
}

// target opens the directory of a hard link's target, which has that name there.
func (t *tree) target(name string) (dir int, base string, err error) {
	within, err := inside(name)
	if err != nil {
		return -1, "", err
	}
	above, base := path.Split(within)
	if dir, err = t.lookup(strings.TrimSuffix(above, "/")); err != nil {
		return -1, "", fmt.Errorf("link to %s: %w", name, err)
	}
	return dir, base, nil
}

// link gives a file that is in the tree another name.
func (t *tree) link(target string, parent int, base string) error {
	from, last, err := t.target(target)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	if err := unix.Linkat(from, last, parent, base, 0); err != nil {
		return fmt.Errorf("link to %s: %w", target, err)
	}
	return nil
}

func write(parent int, base string, content io.Reader) error {
	fd, err := unix.Openat(parent, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	s := &sparse{File: os.NewFile(uintptr(fd), base)}
	_, err = io.Copy(onlyWriter{s}, content)
	return errors.Join(err, s.Truncate(s.size), s.Close())
}

// A sparse file has holes for what is zero: a lastlog of 300 MB may have a few blocks.
type sparse struct {
	*os.File
	size int64
}

// onlyWriter hides the file's other methods from io.Copy.
type onlyWriter struct{ io.Writer }

// Write implements io.Writer.
func (s *sparse) Write(b []byte) (int, error) {
	const block = 4096 // of most file systems
	s.size += int64(len(b))
	if len(b) >= block && len(bytes.TrimLeft(b, "\x00")) == 0 {
		_, err := s.Seek(int64(len(b)), io.SeekCurrent)
		return len(b), err
	}
	return s.File.Write(b)
}

// capabilities are a file's, as archives and file systems have them.
const capabilities = "security.capability"

// attributes sets owner, mode and times, as far as the user may. Owners that are not
// mapped in this user namespace stay the user's.
func (t *tree) attributes(header *tar.Header, parent int, base string) error {
	if t.root {
		err := unix.Fchownat(parent, base, header.Uid, header.Gid, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil && err != unix.EPERM && err != unix.EINVAL {
			return err
		}
	}
	if header.Typeflag != tar.TypeSymlink {
		// After the owner: chown(2) takes the set-user-ID bit away. The name is no link.
		if err := unix.Fchmodat(parent, base, uint32(header.Mode&0o7777), 0); err != nil {
			return err
		}
	}
	if text := header.PAXRecords["SCHILY.xattr."+capabilities]; t.root && text != "" {
		path := fmt.Sprintf("/proc/self/fd/%d/%s", parent, base)
		_ = unix.Lsetxattr(path, capabilities, []byte(text), 0) // not every file system has it
	}
	modified := header.ModTime
	if modified.IsZero() {
		modified = time.Unix(0, 0)
	}
	times := []unix.Timespec{unix.NsecToTimespec(modified.UnixNano()), unix.NsecToTimespec(modified.UnixNano())}
	return unix.UtimesNanoAt(parent, base, times, unix.AT_SYMLINK_NOFOLLOW)
}

// finish gives directories their attributes, the lower ones first: until now they
// could be written to.
func (t *tree) finish() error {
	names := slices.Sorted(maps.Keys(t.dirs))
	for _, name := range slices.Backward(names) {
		header, where, base := t.dirs[name], name, "."
		if name != "" {
			where, base = path.Dir(name), path.Base(name)
		}
		parent, err := t.lookup(where)
		if err != nil {
			continue // a later layer has something else there
		}
		var st unix.Stat_t
		err = unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			err = t.attributes(header, parent, base)
		}
		unix.Close(parent)
		if err != nil && err != unix.ENOENT {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// removeLower removes what lower layers have under a name: all, or that of a directory
// which the layer has not made.
func (t *tree) removeLower(name string) error {
	dir, base := path.Split(name)
	parent, err := t.lookup(strings.TrimSuffix(dir, "/"))
	if err == unix.ENOENT || err == unix.ENOTDIR {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	if !t.made[name] {
		t.forget(name)
		return remove(parent, base)
	}
	var st unix.Stat_t
	if err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil // what the layer has made, and not a directory, or a link that leads to another
	}
	return t.removeLowerIn(name)
}

// removeLowerIn removes what lower layers have in a directory.
func (t *tree) removeLowerIn(name string) error {
	fd, err := t.lookup(name)
	if err == unix.ENOENT || err == unix.ENOTDIR {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	names, err := namesIn(fd, ".")
	if err != nil {
		return err
	}
	for _, base := range names {
		if err := t.removeLower(path.Join(name, base)); err != nil {
			return err
		}
	}
	return nil
}

// namesIn returns what is in a directory.
func namesIn(parent int, base string) ([]string, error) {
	fd, err := unix.Openat(parent, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), base)
	defer f.Close()
	return f.Readdirnames(-1)
}

// remove removes a file, or a directory with all that is in it, if it is there.
func remove(parent int, base string) error {
	err := unix.Unlinkat(parent, base, 0)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	if err != unix.EISDIR && err != unix.EPERM {
		return err
	}
	fd, err := unix.Openat(parent, base, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	names, err := namesIn(fd, ".")
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := remove(fd, name); err != nil {
			return err
		}
	}
	return unix.Unlinkat(parent, base, unix.AT_REMOVEDIR)
}

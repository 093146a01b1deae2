package crossenv

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/embedded"
	"github.com/projectcalico/go-build/internal/file"
)

// linkName returns the name under which the go command looks for what runs an
// architecture's programs (go help run).
func linkName(arch *elfmagic.Arch) string { return "go_linux_" + arch.GOARCH + "_exec" }

// linked reports whether the go command looks for what runs an architecture's
// programs: for Go's ports but the host's.
func linked(arch *elfmagic.Arch) bool { return arch.GOARCH != "" && arch.GOARCH != runtime.GOARCH }

// A Kind of links is for those who look for their names.
type Kind string

// Kinds of links.
const (
	ForGo       Kind = "go"       // go_linux_arm64_exec: go run, go test
	ForQEMU     Kind = "qemu"     // qemu-aarch64, qemu-aarch64-static: what calls QEMU's emulators
	ForBuildKit Kind = "buildkit" // buildkit-qemu-aarch64: BuildKit, which copies the file
)

// ParseKinds reads a list of kinds with commas between.
func ParseKinds(list string) ([]Kind, error) {
	known := []Kind{ForGo, ForQEMU, ForBuildKit}
	var kinds []Kind
	for name := range strings.SplitSeq(list, ",") {
		kind := Kind(strings.TrimSpace(name))
		if !slices.Contains(known, kind) {
			return nil, cli.WithHint(fmt.Errorf("%q is no kind of names", name), "known are go, qemu and buildkit")
		}
		kinds = append(kinds, kind)
	}
	return kinds, nil
}

// A link is one that is to be made. BuildKit copies what it finds: of a symbolic
// link nothing would be left in the container.
type link struct {
	name string
	hard bool
}

// links returns the links of a kind, but those for the host's own programs, which
// nobody looks for. Emulators may be asked for by QEMU's names even so.
func links(kind Kind, arch *elfmagic.Arch, inside *embedded.Archive) []link {
	switch {
	case kind == ForGo && linked(arch):
		return []link{{linkName(arch), false}}
	case kind == ForQEMU:
		return []link{{"qemu-" + arch.Name, false}, {"qemu-" + arch.Name + "-static", false}}
	case kind == ForBuildKit && arch.GOARCH != runtime.GOARCH && inside.Find(arch) != nil:
		return []link{{"buildkit-qemu-" + arch.Name, true}}
	}
	return nil
}

// Link makes links to runner, an absolute path, of the kinds that are given, for
// each architecture: they are found if dir is in PATH. It returns their names,
// whether made or there already. If something else has one of the names, or if a
// link cannot be made, nothing is changed. BuildKit has those for which an emulator is
// inside the runner: its containers have no other. Errors have hints.
func Link(dir, runner string, inside *embedded.Archive, kinds ...Kind) ([]string, error) {
	if inside == nil && slices.Contains(kinds, ForBuildKit) {
		return nil, cli.WithHint(errors.New("this crossrun has no emulators in it, and BuildKit's containers have nothing else"), "make dist builds one that has")
	}
	if _, err := os.Stat(runner); err != nil {
		return nil, cli.WithHint(fmt.Errorf("runner: %w", err), "name crossrun's own file")
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, cli.WithHint(fmt.Errorf("%s: is not a directory", dir), "name a directory; it is made if it is missing")
	}
	var names []string
	var missing []link
	var others []error
	for _, arch := range elfmagic.Archs() {
		for _, kind := range kinds {
			for _, l := range links(kind, arch, inside) {
				names = append(names, l.name)
				there, err := l.isThere(dir, runner)
				switch {
				case err != nil:
					others = append(others, err)
				case !there:
					missing = append(missing, l)
				}
			}
		}
	}
	if len(others) > 0 {
		return nil, errors.Join(others...)
	}
	if err := makeLinks(dir, runner, missing); err != nil {
		return nil, err
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// isThere reports whether the link is. Errors say that something else is.
func (l link) isThere(dir, runner string) (bool, error) {
	path := filepath.Join(dir, l.name)
	if !l.hard {
		return isLink(path, runner)
	}
	f, err := file.OpenRegular(runner)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
		if same, err := file.Same(f, path); err == nil && same {
			return true, nil
		}
	} else if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return false, cli.WithHint(fmt.Errorf("%s: is there, and is not this crossrun", path), "remove it, or name another directory; nothing was changed")
}

// isLink reports whether path is a link to runner. Errors say that it is
// something else.
func isLink(path, runner string) (bool, error) {
	what := "is there, and is no link"
	switch to, err := os.Readlink(path); {
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err == nil:
		what = "is a link to " + to
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		if filepath.Clean(to) == filepath.Clean(runner) {
			return true, nil
		}
	case !errors.Is(err, syscall.EINVAL):
		return false, cli.WithHint(err, "name a directory that you may read")
	}
	return false, cli.WithHint(fmt.Errorf("%s: %s", path, what), "remove it, or name another directory; nothing was changed")
}

// makeLinks makes the links, all or none.
func makeLinks(dir, runner string, links []link) error {
	const hint = "name a directory that you may write to"
	_, missing := os.Stat(dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return cli.WithHint(err, hint)
	}
	for i, l := range links {
		var err error
		if path := filepath.Join(dir, l.name); !l.hard {
			err = os.Symlink(runner, path)
		} else if err = hardLink(runner, path); err == nil {
			runner = path // a copy, perhaps: one is enough
		}
		if err != nil {
			for _, made := range links[:i] {
				os.Remove(filepath.Join(dir, made.name))
			}
			if missing != nil {
				os.Remove(dir)
			}
			return cli.WithHint(err, hint)
		}
	}
	return nil
}

// hardLink gives a file another name, or makes a copy of it: on another file system,
// or where only its owner may give it one (sysctl fs.protected_hardlinks).
func hardLink(from, to string) error {
	if real, err := filepath.EvalSymlinks(from); err == nil {
		from = real // link(2) would make a name for the symbolic link
	}
	err := os.Link(from, to)
	if !errors.Is(err, syscall.EXDEV) && !errors.Is(err, syscall.EPERM) {
		return err
	}
	f, err := file.OpenRegular(from)
	if err != nil {
		return err
	}
	defer f.Close()
	return file.Replace(to, 0o755, func(w io.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
}

package crossenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
)

// linkName returns the name under which the go command looks for what runs an
// architecture's programs (go help run).
func linkName(arch *elfmagic.Arch) string { return "go_linux_" + arch.GOARCH + "_exec" }

// linked reports whether the go command looks for what runs an architecture's
// programs: for Go's ports but the host's.
func linked(arch *elfmagic.Arch) bool { return arch.GOARCH != "" && arch.GOARCH != runtime.GOARCH }

// Link makes a symbolic link to runner, an absolute path, for each of Go's ports
// but the host's: go run and go test find them if dir is in PATH. It returns
// their names, whether made or there already. If something else has one of the
// names, or if a link cannot be made, nothing is changed. Errors have hints.
func Link(dir, runner string) ([]string, error) {
	if _, err := os.Stat(runner); err != nil {
		return nil, cli.WithHint(fmt.Errorf("runner: %w", err), "name crossrun's own file")
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, cli.WithHint(fmt.Errorf("%s: is not a directory", dir), "name a directory; it is made if it is missing")
	}
	var names, missing []string
	var others []error
	for _, arch := range elfmagic.Archs() {
		if !linked(arch) {
			continue
		}
		name := linkName(arch)
		names = append(names, name)
		there, err := isLink(filepath.Join(dir, name), runner)
		switch {
		case err != nil:
			others = append(others, err)
		case !there:
			missing = append(missing, name)
		}
	}
	if len(others) > 0 {
		return nil, errors.Join(others...)
	}
	if err := makeLinks(dir, runner, missing); err != nil {
		return nil, err
	}
	slices.Sort(names)
	return names, nil
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
func makeLinks(dir, runner string, names []string) error {
	const hint = "name a directory that you may write to"
	_, missing := os.Stat(dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return cli.WithHint(err, hint)
	}
	for i, name := range names {
		if err := os.Symlink(runner, filepath.Join(dir, name)); err != nil {
			for _, made := range names[:i] {
				os.Remove(filepath.Join(dir, made))
			}
			if missing != nil {
				os.Remove(dir)
			}
			return cli.WithHint(err, hint)
		}
	}
	return nil
}

package crossenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
)

// linkName returns the name under which the go command looks for what runs an
// architecture's programs (go help run).
func linkName(arch *elfmagic.Arch) string { return "go_linux_" + arch.GOARCH + "_exec" }

// Link makes a symbolic link to runner, an absolute path, for each of Go's ports
// but the host's: go run and go test find them if dir is in PATH. It returns
// their names, whether made or there already. If something else has one of the
// names, or if a link cannot be made, nothing is changed. Errors have hints.
func Link(dir, runner string) ([]string, error) {
	if err := absolute("runner", runner); err != nil {
		return nil, err
	}
	switch info, err := os.Stat(runner); {
	case err != nil:
		return nil, cli.WithHint(fmt.Errorf("runner: %w", err), "name crossrun's own file")
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return nil, cli.WithHint(fmt.Errorf("runner: %s is no program", runner), "name crossrun's own file")
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, cli.WithHint(fmt.Errorf("%s: is not a directory", dir), "name a directory; it is made if it is missing")
	}
	var names, missing []string
	var others []error
	for _, arch := range elfmagic.Archs() {
		if arch.GOARCH == "" || arch.GOARCH == runtime.GOARCH {
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
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil:
		return false, cli.WithHint(err, "name a directory that you may read")
	}
	what := "is there, and is no link"
	if info.Mode()&os.ModeSymlink != 0 {
		to, err := os.Readlink(path)
		if err != nil {
			return false, err
		}
		what = "is a link to " + to
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		if filepath.Clean(to) == filepath.Clean(runner) {
			return true, nil
		}
	}
	return false, cli.WithHint(fmt.Errorf("%s: %s", path, what), "remove it, or name another directory; nothing was changed")
}

// makeLinks makes the links, all or none.
func makeLinks(dir, runner string, names []string) (err error) {
	if len(names) == 0 {
		return nil
	}
	_, statErr := os.Stat(dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return cli.WithHint(err, "name a directory that you may write to")
	}
	var made []string
	defer func() {
		if err == nil {
			return
		}
		for _, path := range made {
			os.Remove(path)
		}
		if statErr != nil {
			os.Remove(dir)
		}
	}()
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.Symlink(runner, path); err != nil {
			return cli.WithHint(err, "name a directory that you may write to")
		}
		made = append(made, path)
	}
	return nil
}

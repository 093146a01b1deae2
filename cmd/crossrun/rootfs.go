package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/internal/carry"
	"github.com/projectcalico/go-build/internal/cli"
)

// rootPath is PATH in a root file system: what Debian's login gives root.
const rootPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// rootEnvironment returns the environment of a command in a root file system:
// the caller's, but for what names files that are not there.
func rootEnvironment(environment []string) []string {
	kept := slices.DeleteFunc(slices.Clone(environment), func(v string) bool {
		key, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"PATH", "HOME", "TMPDIR", "PWD", "OLDPWD", "LD_LIBRARY_PATH", "LD_PRELOAD", "QEMU_LD_PREFIX"}, key)
	})
	kept = append(kept, "PATH="+rootPath, "HOME=/root")
	if carry.Embedded() != nil {
		kept = append(kept, "CROSSRUN_CACHE=off") // nothing is put into the system
	}
	return kept
}

// crossrunRoot runs the command in the root file system that the options name.
func crossrunRoot(o *options, stdout, stderr io.Writer) error {
	if err := existingDirectory("--rootfs", o.rootfs); err != nil {
		return err
	}
	root, err := filepath.EvalSymlinks(o.rootfs)
	if err == nil {
		root, err = filepath.Abs(root)
	}
	if err != nil {
		return fmt.Errorf("--rootfs: %w", err)
	}
	arch, found := architectureIn(root, o.args[0], rootPath)
	if o.print {
		err := explained(private.Check())
		switch {
		case err != nil:
			return fmt.Errorf("--rootfs: %w", err)
		case !found:
			return notFoundIn(o)
		}
		_, err = fmt.Fprintln(stdout, launch{path: self(), argv: append([]string{name, "--rootfs", root}, o.args...)})
		return err
	}
	first, err := embedded(arch)
	if err != nil {
		return err
	}
	i, err := prepare(nil, "", private.InstanceOptions{Root: root, Command: o.args[0], Path: rootPath}, first)
	var failed *private.Error
	if errors.As(err, &failed) && failed.Op == private.OpLookUp && errors.Is(err, fs.ErrNotExist) {
		return notFoundIn(o)
	}
	if err != nil {
		return fmt.Errorf("--rootfs: %w", err)
	}
	defer i.Close()
	l := launch{path: i.Path, argv: o.args, comment: i.comment}
	if o.verbose {
		fmt.Fprintf(stderr, "%s: %s becomes the root file system, with a binfmt_misc of its own and %d emulators: %s\n", name, root, i.emulators, l)
	}
	if err := o.start(); err != nil {
		return err
	}
	return cannot(explained(i.Exec(name, i.Path, o.args, append(rootEnvironment(os.Environ()), o.variables()...))))
}

// notFoundIn says that there is no such command in a root file system.
func notFoundIn(o *options) error {
	err := fmt.Errorf("%s: not found in %s", o.args[0], o.rootfs)
	if strings.Contains(o.args[0], "/") {
		return notFound(cli.WithHint(err, "name the file as it is called below that directory"))
	}
	return notFound(cli.WithHint(err, "install it there, or name its file: PATH is %s", rootPath))
}

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/binfmt/install"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/embedded"
)

// Where systemd-binfmt and update-binfmts look for files.
const (
	systemdDir = "/etc/binfmt.d"
	debianDir  = "/usr/share/binfmts"
)

// An exportFile is one that is to be written.
type exportFile struct {
	path    string
	content []byte
}

// export writes files that make other tools register emulators, instead of
// registering them. They may be for another host, which HOST_ARCH in the
// environment names.
func (o *options) export(ctx context.Context, t teller) error {
	files, err := o.files(ctx)
	if err == nil {
		err = checkPlaces(files)
	}
	if err == nil && !o.DryRun {
		err = writeAll(files)
	}
	if err != nil {
		return err
	}
	for _, f := range files {
		if o.DryRun {
			t.file(fileChange{Path: f.path, Action: hostInstall, Content: string(f.content)}, "# "+f.path+"\n"+string(f.content))
		} else {
			t.file(fileChange{Path: f.path, Action: hostInstall}, f.path)
		}
	}
	return nil
}

// files returns what is to be written, with nothing written yet.
func (o *options) files(ctx context.Context) ([]exportFile, error) {
	native, err := exportHost(ctx)
	if err != nil {
		return nil, err
	}
	decisions, err := install.Desired(install.ForHost(native, o.Request, os.Getenv("HOST_ARCH") == ""), o.Request)
	if errors.Is(err, install.ErrNoEmulator) && embedded.Emulators() != nil {
		err = cli.WithHint(err, "the embedded emulators have no path from which they could be registered at boot: install others, or have register itself run then")
	}
	if err != nil {
		return nil, err
	}
	var files []exportFile
	var errs []error
	for _, d := range decisions {
		switch {
		case d.Err != nil:
			err := o.worded(d.Err)
			errs = append(errs, cli.WithHint(err, "%s; HOST_ARCH in the environment names another host, whose emulators are not looked for", cli.Hint(err)))
		case d.Action == binfmt.Skip:
			if len(decisions) == 1 {
				return nil, cli.WithHint(fmt.Errorf("%s is native to the host", d.Arch), "HOST_ARCH in the environment names another host")
			}
		default:
			f, err := o.file(d.Desired)
			files, errs = append(files, f), append(errs, err)
		}
	}
	return files, errors.Join(errs...)
}

// exportHost returns what the host that the files are for runs natively: this
// one, or the one that HOST_ARCH names.
func exportHost(ctx context.Context) ([]*elfmagic.Arch, error) {
	name := os.Getenv("HOST_ARCH")
	if name == "" {
		return host.Native(ctx)
	}
	arch, err := elfmagic.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("HOST_ARCH: %w", err)
	}
	return append([]*elfmagic.Arch{arch}, host.Relatives(arch)...), nil
}

func (o *options) file(e binfmt.Entry) (exportFile, error) {
	if o.debian {
		return exportFile{filepath.Join(cmp.Or(o.exportDir, debianDir), e.Name), debianFile(e)}, nil
	}
	var line bytes.Buffer
	err := binfmt.WriteConf(&line, []binfmt.Entry{e})
	return exportFile{filepath.Join(cmp.Or(o.exportDir, systemdDir), e.Name+".conf"), line.Bytes()}, err
}

// debianFile returns the entry in the format of update-binfmts --import.
func debianFile(e binfmt.Entry) []byte {
	escaped := func(b []byte) string { return strings.ReplaceAll(fmt.Sprintf(" % x", b), " ", `\x`) }
	answer := func(flag binfmt.Flags) string {
		if e.Flags.Has(flag) {
			return yes
		}
		return no
	}
	return fmt.Appendf(nil, "package %s\ninterpreter %s\nmagic %s\nmask %s\ncredentials %s\npreserve %s\nfix_binary %s\n",
		e.Name, e.Interpreter, escaped(e.Pattern.Magic), escaped(e.Pattern.Mask),
		answer(binfmt.Credentials), answer(binfmt.PreserveArgv0), answer(binfmt.FixBinary))
}

// checkPlaces returns why a file cannot be written, or is not to be, as far as that is
// seen without privilege.
func checkPlaces(files []exportFile) error {
	for _, f := range files {
		if info, err := os.Lstat(f.path); err == nil && info.IsDir() {
			return cli.WithHint(fmt.Errorf("cannot write %s: it is a directory", f.path), "remove it, or name another directory with --exportdir")
		}
		if target, _ := os.Readlink(f.path); target == os.DevNull {
			return cli.WithHint(fmt.Errorf("cannot write %s: somebody has masked it (binfmt.d(5)): it is a link to %s", f.path, target), "remove the link, or name the other architectures")
		}
		if _, err := os.Stat(filepath.Dir(f.path)); err != nil {
			return noPlace(f, err)
		}
	}
	return nil
}

// noPlace is the error about a directory into which a file cannot be written.
func noPlace(f exportFile, err error) error {
	hint := "make the directory first, or name another with --exportdir"
	switch {
	case errors.Is(err, fs.ErrPermission):
		hint = "root may write there: sudo register …; or name another directory with --exportdir"
	case errors.Is(err, unix.EROFS):
		hint = "name a directory that can be written to with --exportdir"
	}
	return cli.WithHint(fmt.Errorf("cannot write %s: %w", f.path, err), "%s", hint)
}

// writeAll writes all files, or leaves all as they were: they come into place
// when each of them has been written.
func writeAll(files []exportFile) (err error) {
	var written []string
	defer func() {
		for _, path := range written {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	for _, f := range files {
		temporary, err := os.CreateTemp(filepath.Dir(f.path), ".register-*")
		if err != nil {
			return noPlace(f, err)
		}
		written = append(written, temporary.Name())
		_, err = temporary.Write(f.content)
		if err = errors.Join(err, temporary.Chmod(0o644), temporary.Close()); err != nil {
			return fmt.Errorf("cannot write %s: %w", f.path, err)
		}
	}
	for _, f := range files {
		if err := os.Rename(written[0], f.path); err != nil {
			return fmt.Errorf("cannot write %s: %w", f.path, err)
		}
		written = written[1:]
	}
	return nil
}

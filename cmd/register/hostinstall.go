package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/install"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

// errNoInit: nothing on the host is known that would start a service.
var errNoInit = errors.New("neither systemd nor OpenRC is there: nothing would start register at boot")

// installHost puts the command, emulators and a service onto the host whose root
// directory is given.
func (o *options) installHost(ctx context.Context, t teller, stderr io.Writer) error {
	root, err := os.OpenRoot(o.installRoot) // no symbolic link leads out of it
	if err != nil {
		return err
	}
	defer root.Close()
	init, err := initOf(root)
	if err != nil {
		return err
	}
	emulators, err := o.emulatorsForHost(ctx)
	if err != nil {
		return err
	}
	plan := planHost(init, "/proc/self/exe", cli.Version(), emulators, o.serviceArguments(), o.watch.passed)
	if err := plan.hash(); err != nil {
		return err
	}
	changes, err := o.changeHost(root, plan)
	if err != nil {
		return err
	}
	for _, c := range changes {
		t.file(c.told(), c.String())
	}
	return o.startOnHost(ctx, plan.start, t, stderr)
}

// uninstallHost undoes installHost.
func (o *options) uninstallHost(t teller) error {
	root, err := os.OpenRoot(o.uninstallRoot)
	if err != nil {
		return err
	}
	defer root.Close()
	if _, err := root.Stat(hostManifest); errors.Is(err, fs.ErrNotExist) {
		return cli.WithHint(fmt.Errorf("nothing was installed: there is no /%s", hostManifest), "--uninstall-host=DIRECTORY names the host's root directory")
	}
	changes, err := o.changeHost(root, hostPlan{})
	for _, c := range changes {
		t.file(c.told(), c.String())
	}
	if err == nil && !o.DryRun {
		t.note("what runs, and its entries, stay until it ends: systemctl stop register-watch, or, with OpenRC, pkill -f 'register --watch'; register --uninstall")
	}
	return err
}

// initOf returns what starts services on a host: what does so now, or else what its init is.
// Debian's systems with OpenRC have systemd's files, too.
func initOf(root *os.Root) (initSystem, error) {
	there := func(paths ...string) bool {
		return slices.ContainsFunc(paths, func(path string) bool {
			_, err := root.Lstat(path)
			return err == nil
		})
	}
	hasOpenRC := there("sbin/openrc-run", "usr/bin/openrc-run")
	target, _ := root.Readlink("sbin/init")
	switch {
	case there("run/systemd/system"):
		return systemd, nil
	case there("run/openrc"):
		return openRC, nil
	case path.Base(target) == "systemd":
		return systemd, nil
	case hasOpenRC && there("sbin/init"):
		return openRC, nil
	case there("usr/lib/systemd/systemd", "lib/systemd/systemd"):
		return systemd, nil
	case hasOpenRC:
		return openRC, nil
	}
	return "", cli.WithHint(errNoInit, "--install-host=DIRECTORY names the host's root directory; in a container: docker run -v /:/host … --install-host=/host")
}

// emulatorsForHost returns the paths of emulators that are to be put onto the host. Those
// that are embedded go with the command.
func (o *options) emulatorsForHost(ctx context.Context) (map[string]string, error) {
	r := o.Request
	r.NoProbe, r.DryRun = true, true
	f, err := install.Gather(ctx, binfmt.New(o.mount), r)
	if err != nil {
		return nil, err
	}
	decisions, err := install.Desired(f, r)
	if err != nil {
		return nil, err
	}
	paths := make(map[string]string)
	for _, d := range decisions {
		switch {
		case d.Err != nil:
			return nil, d.Err
		case d.Emulator != nil && d.Emulator.Path != "":
			paths[d.Arch.Name] = d.Emulator.Path
		}
	}
	return paths, nil
}

// serviceArguments are the flags and architectures that the service is given: all that say
// what is registered, and where. --force is not passed on: it replaces files here.
func (o *options) serviceArguments() []string {
	var args []string
	for _, c := range []struct {
		flag  string
		value install.Choice
	}{{"--persistent", o.Persistent}, {"--credential", o.Credentials}, {"--preserve-argv0", o.PreserveArgv0}} {
		if c.value != install.Auto {
			args = append(args, c.flag+"="+map[install.Choice]string{install.Yes: yes, install.No: no}[c.value])
		}
	}
	if o.IgnoreFamily {
		args = append(args, "--ignore-family="+yes)
	}
	if o.mount != binfmt.DefaultMount {
		args = append(args, "--mount="+o.mount)
	}
	for _, arch := range o.Archs {
		args = append(args, arch.Name)
	}
	return args
}

// hash reads what is to be installed.
func (p *hostPlan) hash() error {
	for i := range p.Files {
		f := &p.Files[i]
		if f.Target != "" {
			continue
		}
		if f.source == "" {
			f.SHA256 = fmt.Sprintf("%x", sha256.Sum256([]byte(f.text)))
			continue
		}
		var err error
		if f.SHA256, err = file.SHA256(f.source); err != nil {
			return err
		}
	}
	return nil
}

func copyFrom(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// changeHost does what leads to the plan, and returns that. What was installed is
// written down first: if this is interrupted, the next run finishes or undoes it.
func (o *options) changeHost(root *os.Root, plan hostPlan) ([]hostChange, error) {
	before, err := readManifest(root)
	if err != nil {
		return nil, err
	}
	there, err := lookAtHost(root, slices.Concat(plan.Files, before.Files))
	if err != nil {
		return nil, err
	}
	changes, err := planHostChanges(plan.Files, slices.Concat(before.Files, before.Earlier), there, o.Force)
	if err != nil {
		return nil, cli.WithHint(err, "--force replaces it")
	}
	if o.DryRun {
		for i := range changes {
			changes[i].action = would + changes[i].action
		}
		return changes, nil
	}
	if len(plan.Files) > 0 {
		if err := writeManifest(root, plan, before); err != nil {
			return nil, onHost(err)
		}
	}
	for i, c := range changes {
		switch c.action {
		case hostInstall:
			err = c.put(root)
		case hostRemove:
			err = root.Remove(c.Path)
		}
		if err != nil {
			return changes[:i], onHost(err)
		}
	}
	if len(plan.Files) > 0 {
		return changes, onHost(writeManifest(root, plan, hostPlan{}))
	}
	for _, f := range before.Files {
		_ = root.Remove(f.temporary())
	}
	err = root.Remove(hostManifest)
	for _, dir := range []string{hostBin, hostDir} {
		_ = root.Remove(dir) // unless somebody put something there
	}
	return changes, onHost(err)
}

// onHost adds to an error of writing what to do about it.
func onHost(err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return cli.WithHint(err, "root installs; in a container, the host's root directory is to be mounted so that it can be written to: -v /:/host")
	}
	return err
}

func readManifest(root *os.Root) (p hostPlan, err error) {
	info, err := root.Lstat(hostManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	var text []byte
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errors.New("is no file")
	default:
		text, err = root.ReadFile(hostManifest)
	}
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil {
		return p, fmt.Errorf("/%s: %w", hostManifest, err)
	}
	for _, f := range slices.Concat(p.Files, p.Earlier) {
		if !fs.ValidPath(f.Path) {
			return p, fmt.Errorf("/%s: %q is no path below the root directory", hostManifest, f.Path)
		}
	}
	return p, nil
}

// writeManifest writes down the plan's files, and those of before that it lacks, or has with
// another content.
func writeManifest(root *os.Root, plan, before hostPlan) error {
	for _, f := range slices.Concat(before.Files, before.Earlier) {
		switch now := named(plan.Files, f.Path); {
		case now == nil:
			plan.Files = append(slices.Clip(plan.Files), f)
		case !now.same(f):
			plan.Earlier = append(slices.Clip(plan.Earlier), f)
		}
	}
	text, err := json.MarshalIndent(plan, "", "  ")
	if err != nil {
		return err
	}
	return hostFile{Path: hostManifest, text: string(text) + "\n", mode: 0o644}.put(root)
}

// lookAtHost returns what is at the paths of files.
func lookAtHost(root *os.Root, files []hostFile) (there []hostFile, err error) {
	for _, f := range files {
		if named(there, f.Path) != nil {
			continue
		}
		info, err := root.Lstat(f.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := root.Readlink(f.Path)
			if err != nil {
				return nil, err
			}
			there = append(there, hostFile{Path: f.Path, Target: target})
		case info.Mode().IsRegular():
			opened, err := root.Open(f.Path)
			if err != nil {
				return nil, err
			}
			digest, err := file.Digest(opened)
			if err = errors.Join(err, opened.Close()); err != nil {
				return nil, err
			}
			there = append(there, hostFile{Path: f.Path, SHA256: strings.TrimPrefix(digest, "sha256:"), mode: uint32(info.Mode().Perm())})
		default:
			there = append(there, hostFile{Path: f.Path, SHA256: "none: " + info.Mode().String()})
		}
	}
	return there, nil
}

// put puts a file into its place, whole or not at all. One that is executed is replaced.
func (f hostFile) put(root *os.Root) error {
	if err := makeDirectories(root, path.Dir(f.Path)); err != nil {
		return err
	}
	temporary := f.temporary()
	_ = root.Remove(temporary) // left by a run that was killed
	err := f.write(root, temporary)
	if err == nil {
		err = root.Rename(temporary, f.Path)
	}
	if err != nil {
		_ = root.Remove(temporary)
	}
	return err
}

// makeDirectories makes those that are missing for everybody, whatever the umask is.
func makeDirectories(root *os.Root, dir string) error {
	if info, err := root.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := makeDirectories(root, path.Dir(dir)); err != nil { // "." is one
		return err
	}
	switch err := root.Mkdir(dir, 0o755); {
	case errors.Is(err, fs.ErrExist): // no directory, or made meanwhile
		return root.MkdirAll(dir, 0o755)
	case err != nil:
		return err
	}
	return root.Chmod(dir, 0o755)
}

// temporary is its name until it is whole.
func (f hostFile) temporary() string {
	return path.Join(path.Dir(f.Path), "."+path.Base(f.Path)+".register-new")
}

func (f hostFile) write(root *os.Root, name string) error {
	if f.Target != "" {
		return root.Symlink(f.Target, name)
	}
	w, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fs.FileMode(f.mode))
	if err != nil {
		return err
	}
	if f.source != "" {
		err = copyFrom(w, f.source)
	} else {
		_, err = io.WriteString(w, f.text)
	}
	// Whatever the umask is: an emulator is executed by all.
	return errors.Join(err, w.Chmod(fs.FileMode(f.mode)), w.Sync(), w.Close())
}

// startOnHost starts the service, where this is the host, or says how, and on a dry run that
// it would.
func (o *options) startOnHost(ctx context.Context, start []string, t teller, stderr io.Writer) error {
	_, err := os.Stat("/run/systemd/system")
	if _, rc := os.Stat("/run/openrc"); o.installRoot != "/" || err != nil && rc != nil {
		t.note("it starts at the next boot, or now, on the host: " + strings.Join(start, " && "))
		return nil
	}
	if o.DryRun {
		t.note("would run: " + strings.Join(start, " && "))
		return nil
	}
	for _, line := range start {
		words := strings.Fields(line)
		cmd := exec.CommandContext(ctx, words[0], words[1:]...)
		cmd.Stdout, cmd.Stderr = stderr, stderr
		if err := cmd.Run(); err != nil {
			return cli.WithHint(fmt.Errorf("%s: %w", line, err), "it is installed, and was not started")
		}
	}
	return nil
}

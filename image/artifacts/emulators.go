package artifacts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/jsonfile"
	"github.com/projectcalico/go-build/image/qemu"
	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/file"
)

// BuiltEmulators is where make emulators puts those that it builds, each host's
// in a directory.
const BuiltEmulators = "bin/emulators"

// Installed is where Debian's packages put emulators.
const Installed = "/usr/bin"

// A Choice says which emulators for a host are wanted. This is the one place
// where that is decided.
type Choice struct {
	Word string // debian, debian:SUITE, built or a directory; empty: those that were built if all are there, else Debian's
	Root string // the repository
	Host *elfmagic.Arch

	Some      bool // if Word is built, some of them are enough
	Installed bool // Debian's are those in /usr/bin, if they run on the host
}

// Suite returns the suite of Debian's that emulators are to be fetched from, if one is
// named: trixie, for debian:trixie.
func (c Choice) Suite() (suite string, named bool) { return strings.CutPrefix(c.Word, "debian:") }

// Dir returns the directory that the emulators are in, or nothing if Debian's are
// to be fetched. Of a directory that is named its subdirectory for the host is
// taken, if emulators are there.
func (c Choice) Dir() (string, error) {
	switch c.Word {
	case "", "built":
		dir := filepath.Join(c.Root, BuiltEmulators, c.Host.GOARCH)
		err := c.built(dir)
		if err == nil || c.Word != "" {
			return dir, err
		}
	case "debian":
	default:
		if suite, named := c.Suite(); named {
			if !suiteName.MatchString(suite) {
				return "", cli.WithHint(fmt.Errorf("%q is not the name of a suite of Debian's", suite), "debian:trixie, debian:sid")
			}
			return "", nil
		}
		if dir := filepath.Join(c.Word, c.Host.GOARCH); has(dir, c.Host) {
			return dir, nil
		}
		if info, err := os.Stat(c.Word); err != nil || !info.IsDir() {
			return "", cli.WithHint(fmt.Errorf("emulators %q are neither debian nor built, nor a directory", c.Word),
				"make emulators builds them, those of Debian are fetched")
		}
		return c.Word, nil
	}
	if c.Installed && c.Host.GOARCH == runtime.GOARCH && has(Installed, c.Host) {
		return Installed, nil
	}
	return "", nil
}

var suiteName = regexp.MustCompile(`^[a-z][a-z-]*$`)

// has reports whether there are emulators for a host in a directory.
func has(dir string, host *elfmagic.Arch) bool {
	_, _, err := findEmulators(host, dir)
	return err == nil
}

// built reports what is missing in a directory of built emulators.
func (c Choice) built(dir string) error {
	m, err := qemu.ReadManifest(dir)
	if err == nil && (!c.Some || c.Word == "") {
		var missing []string
		for _, arch := range elfmagic.Archs() {
			if !slices.ContainsFunc(m.Emulators, func(e qemu.Built) bool { return e.Target == arch.Name }) {
				missing = append(missing, arch.Name)
			}
		}
		if len(missing) > 0 {
			err = fmt.Errorf("%s has no emulators of %s", dir, strings.Join(missing, ", "))
		}
	}
	if err != nil {
		return cli.WithHint(err, "make emulators ARCH=%s builds them", c.Host.GOARCH)
	}
	return nil
}

// findEmulators returns the static emulators in a directory that run on a host,
// and the architectures that have none. The host's own is not looked for; i386's
// is on amd64, where a kernel may lack it.
func findEmulators(host *elfmagic.Arch, dir string) (found []*emulator.Emulator, missing []*elfmagic.Arch, err error) {
	search := emulator.Search{Dirs: []string{dir}, Static: true, Native: []*elfmagic.Arch{host}}
	for _, arch := range elfmagic.Archs() {
		if arch == host {
			continue
		}
		e, err := search.Find(arch)
		switch {
		case errors.Is(err, emulator.ErrMissing):
			missing = append(missing, arch)
		case err != nil:
			return nil, nil, err
		default:
			found = append(found, e)
		}
	}
	if len(found) == 0 {
		return nil, nil, fmt.Errorf("no static emulator for %s in %s", host.Platform(), dir)
	}
	return found, missing, nil
}

// Emulators are those in a directory that run on a host, and where they are from.
type Emulators struct {
	Found  []*emulator.Emulator
	Origin Origin
}

// ReadEmulators reads the emulators in a directory: those of the targets, which must
// all be there, or of all architectures, of which it says the missing ones.
func ReadEmulators(ctx context.Context, host *elfmagic.Arch, dir string, targets []*elfmagic.Arch, say func(format string, args ...any)) (e Emulators, err error) {
	found, missing, err := findEmulators(host, dir)
	if err != nil {
		return e, err
	}
	if len(targets) > 0 {
		missing = nil
		found = slices.DeleteFunc(found, func(e *emulator.Emulator) bool { return !slices.Contains(targets, e.Arch) })
		if len(found) < len(targets) {
			return e, fmt.Errorf("not all of the emulators that are wanted are in %s: only %d of %d", dir, len(found), len(targets))
		}
	}
	for _, arch := range missing {
		say("no emulator for %s", arch)
	}
	origin, err := readOrigin(ctx, found[0].Path, say)
	return Emulators{found, origin}, err
}

// InImage returns the emulators, under the names that static ones have in Debian and those
// that others have, and what is distributed with them, as files of an image, of which one is
// written into a directory, and what there is to say of them.
func (e Emulators) InImage(dir string) (files []rootfs.File, programs []Program, err error) {
	if files, err = e.Origin.Files(dir); err != nil {
		return nil, nil, err
	}
	name := func(e *emulator.Emulator) string { return "usr/bin/qemu-" + e.Arch.Name + "-static" }
	for _, e := range e.Found {
		files = append(files, rootfs.File{Name: name(e), Source: e.Path, Mode: 0o755},
			rootfs.File{Name: strings.TrimSuffix(name(e), "-static"), Target: path.Base(name(e))})
	}
	programs, err = e.Programs(name)
	return files, programs, err
}

// FetchEmulators gets Debian's newest static emulators for a host, which Go has a port
// for, or those of a suite, into a directory, and returns the one of its directories that
// they are in.
func FetchEmulators(ctx context.Context, host *elfmagic.Arch, suite, dir string, say func(format string, args ...any)) (bin string, err error) {
	deb, newest, err := debian.Emulators(ctx, host.Debian[0].Name, suite, say)
	if err != nil {
		return "", err
	}
	o := Origin{Package: newest}
	if o.Sources, err = debian.SourcesOf(ctx, deb); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	unlock, err := file.Lock(ctx, dir+".lock", func() { say("waiting for another run in %s …", dir) })
	if err != nil {
		return "", err
	}
	defer unlock()
	fresh := dir + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return "", err
	}
	if err := debian.Unpack(ctx, deb, fresh); err != nil {
		return "", err
	}
	if err := jsonfile.Write(filepath.Join(fresh, Installed, originFile), o); err != nil {
		return "", err
	}
	return filepath.Join(dir, Installed), replace(dir, fresh)
}

// replace puts another directory in the place of one, if there is one, which another run
// may be reading: there always is one or the other, if the file system can exchange them.
func replace(dir, with string) error {
	if unix.Renameat2(unix.AT_FDCWD, with, unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE) == nil {
		return os.RemoveAll(with)
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(with, dir)
}

// fetched returns where the emulators are. Debian is asked for them again only when
// that is wanted.
func (b *Builder) fetched(ctx context.Context) (dir string, err error) {
	if b.Emulators != "" {
		return b.Emulators, nil
	}
	dir = b.work("emulators")
	bin := filepath.Join(dir, Installed)
	if _, err := os.Stat(filepath.Join(bin, originFile)); err == nil && !b.Update {
		return bin, nil
	}
	return FetchEmulators(ctx, b.Arch, "", dir, b.Say)
}

// Programs returns what there is to say of emulators. Those that were built must be
// those that the manifest beside them is of. They get names of their own.
func (e Emulators) Programs(name func(*emulator.Emulator) string) (programs []Program, err error) {
	o := e.Origin
	for _, e := range e.Found {
		p := Program{Path: name(e), Version: e.Version}
		o.describe(&p, e.Host.Debian[0].Name)
		if p.SHA256, err = file.SHA256(e.Path); err != nil {
			return nil, err
		}
		same := func(b qemu.Built) bool { return b.Target == e.Arch.Name && b.SHA256 == p.SHA256 }
		if o.manifest != nil && !slices.ContainsFunc(o.manifest.Emulators, same) {
			err := fmt.Errorf("%s is not what %s beside it says", e.Path, qemu.ManifestFile)
			return nil, cli.WithHint(err, "make emulators puts it right")
		}
		programs = append(programs, p)
	}
	return programs, nil
}

func (b *Builder) emulators(ctx context.Context) (c contents, err error) {
	dir, err := b.fetched(ctx)
	if err != nil {
		return c, err
	}
	e, err := ReadEmulators(ctx, b.Arch, dir, nil, b.Say)
	if err == nil {
		c.files, c.programs, err = e.InImage(b.work("origin"))
	}
	return c, err
}

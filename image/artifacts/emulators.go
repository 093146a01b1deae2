package artifacts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

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
	Word string // debian, built or a directory; empty: those that were built if all are there, else Debian's
	Root string // the repository
	Host *elfmagic.Arch

	Some      bool // if Word is built, some of them are enough
	Installed bool // Debian's are those in /usr/bin, if they run on the host
}

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

// has reports whether there are emulators for a host in a directory.
func has(dir string, host *elfmagic.Arch) bool {
	_, _, err := FindEmulators(host, dir)
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

// FindEmulators returns the static emulators in a directory that run on a host,
// and the architectures that have none. The host's own is not looked for; i386's
// is on amd64, where a kernel may lack it.
func FindEmulators(host *elfmagic.Arch, dir string) (found []*emulator.Emulator, missing []*elfmagic.Arch, err error) {
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

// EmulatorFile returns an emulator as a file of an image.
func EmulatorFile(e *emulator.Emulator) rootfs.File {
	return rootfs.File{Name: "usr/bin/qemu-" + e.Arch.Name + "-static", Source: e.Path, Mode: 0o755}
}

// FetchEmulators gets Debian's newest static emulators for a host, which Go has a port
// for, into a directory, and returns the one of its directories that they are in.
func FetchEmulators(ctx context.Context, host *elfmagic.Arch, dir string, say func(format string, args ...any)) (bin string, newest debian.Package, err error) {
	deb, newest, err := debian.Emulators(ctx, host.Debian[0].Name, say)
	if err != nil {
		return "", newest, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", newest, err
	}
	return filepath.Join(dir, Installed), newest, debian.Unpack(ctx, deb, dir)
}

// fetched returns where the emulators are, and the package that they are from if they
// were fetched. It is remembered beside them: Debian is asked again only when that is
// wanted.
func (b *Builder) fetched(ctx context.Context) (dir string, pack debian.Package, err error) {
	if b.Emulators != "" {
		return b.Emulators, pack, nil
	}
	dir = b.work("emulators")
	memory := filepath.Join(dir, "package.json")
	if !b.Update && jsonfile.Read(memory, &pack) == nil {
		return filepath.Join(dir, Installed), pack, nil
	}
	if dir, pack, err = FetchEmulators(ctx, b.Arch, dir, b.Say); err == nil {
		err = jsonfile.Write(memory, pack)
	}
	return dir, pack, err
}

// EmulatorPrograms returns what there is to say of emulators of one directory,
// which are of a package of Debian's, or were built, or are of unknown origin. Those
// that were built must be those that the manifest beside them is of. They get names
// of their own.
func EmulatorPrograms(found []*emulator.Emulator, dir string, pack debian.Package, name func(*emulator.Emulator) string) (programs []Program, err error) {
	origin := Program{Package: "qemu"}
	m := new(qemu.Manifest)
	_, built := EmulatorManifest(dir)
	if built {
		if m, err = qemu.ReadManifest(dir); err != nil {
			return nil, err
		}
		var files, patches []string
		for _, s := range m.Source {
			files = append(files, s.Name+" (sha256 "+s.SHA256+")")
		}
		for _, p := range m.Patches {
			patches = append(patches, p.Name+" (sha256 "+p.SHA256+")")
		}
		origin.PURL = purl("deb/debian", "qemu", m.Debian, "?arch=source")
		origin.Source = fmt.Sprintf("built from Debian's source qemu %s: %s; patches: %s",
			m.Debian, strings.Join(files, ", "), strings.Join(patches, ", "))
	}
	for _, e := range found {
		p := origin
		p.Path, p.Version = name(e), e.Version
		if pack.Name != "" {
			p.Package, p.Version = pack.Name, pack.Version
			p.PURL = purl("deb/debian", pack.Name, pack.Version, "?arch="+e.Host.Debian[0].Name)
		}
		if p.SHA256, err = file.SHA256(e.Path); err != nil {
			return nil, err
		}
		same := func(b qemu.Built) bool { return b.Target == e.Arch.Name && b.SHA256 == p.SHA256 }
		if built && !slices.ContainsFunc(m.Emulators, same) {
			err := fmt.Errorf("%s is not what %s beside it says", e.Path, qemu.ManifestFile)
			return nil, cli.WithHint(err, "make emulators puts it right")
		}
		programs = append(programs, p)
	}
	return programs, nil
}

// EmulatorManifest returns the manifest of emulators that were built as a file of
// an image, if there is one in their directory.
func EmulatorManifest(dir string) (file rootfs.File, found bool) {
	source := filepath.Join(dir, qemu.ManifestFile)
	_, err := os.Stat(source)
	return rootfs.File{Name: manifestDir + "emulators.json", Source: source, Mode: 0o644}, err == nil
}

func (b *Builder) emulators(ctx context.Context) (c contents, err error) {
	dir, pack, err := b.fetched(ctx)
	if err != nil {
		return c, err
	}
	found, missing, err := FindEmulators(b.Arch, dir)
	if err != nil {
		return c, err
	}
	for _, arch := range missing {
		b.Say("no emulator for %s", arch)
	}
	if file, built := EmulatorManifest(dir); built {
		c.files = append(c.files, file)
	}
	for _, e := range found {
		c.files = append(c.files, EmulatorFile(e))
	}
	c.programs, err = EmulatorPrograms(found, dir, pack, func(e *emulator.Emulator) string { return EmulatorFile(e).Name })
	return c, err
}

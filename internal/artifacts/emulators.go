package artifacts

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/debian"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/message"
	"github.com/projectcalico/go-build/internal/rootfs"
)

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

// FetchEmulators gets Debian's newest static emulators for a host architecture
// into a directory, and returns the one of its directories that they are in. Say
// is told of each step.
func FetchEmulators(ctx context.Context, host *elfmagic.Arch, dir string, say func(format string, args ...any)) (string, debian.Package, error) {
	var newest debian.Package
	if len(host.Debian) == 0 {
		return "", newest, fmt.Errorf("no port of Debian for %s", host)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", newest, err
	}
	port := host.Debian[0].Name
	apt, err := debian.Open(filepath.Join(cache, "calico-go-build", "apt"), port)
	if err != nil {
		return "", newest, err
	}
	say("looking for Debian's emulators for %s …", port)
	const again = "run this again when the mirror is whole and can be reached, or name a directory of static emulators: -emulators"
	// One list of several may be out of step on a mirror: apt keeps the others.
	updateErr := apt.Update(ctx)
	if newest, err = apt.StaticEmulators(ctx); err != nil {
		return "", newest, message.WithHint(cmp.Or(updateErr, err), again)
	}
	if updateErr != nil {
		say("warning: not all of Debian's lists could be read; there may be newer emulators than %s: %v", newest.Version, updateErr)
	}
	say("fetching %s %s …", newest.Name, newest.Version)
	deb, err := apt.Download(ctx, newest.Name, newest.Version)
	if err != nil {
		return "", newest, message.WithHint(err, again)
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", newest, err
	}
	return filepath.Join(dir, "usr/bin"), newest, debian.Unpack(ctx, deb, dir)
}

// A fetched package is remembered beside its files: Debian is asked again only
// when that is wanted.
type fetched struct {
	Dir     string
	Package debian.Package
}

func (b *Builder) fetched(ctx context.Context) (f fetched, err error) {
	if b.Emulators != "" {
		return fetched{Dir: b.Emulators}, nil
	}
	memory := b.work("emulators.json")
	if data, err := os.ReadFile(memory); err == nil && !b.Update && json.Unmarshal(data, &f) == nil {
		if _, err := os.Stat(f.Dir); err == nil {
			return f, nil
		}
	}
	b.Update = false
	if err := os.RemoveAll(memory); err != nil {
		return f, err
	}
	if f.Dir, f.Package, err = FetchEmulators(ctx, b.Arch, b.work("emulators"), b.say); err != nil {
		return f, err
	}
	data, err := json.Marshal(f)
	if err != nil {
		return f, err
	}
	return f, os.WriteFile(memory, data, 0o644)
}

func (b *Builder) emulatorInputs(ctx context.Context) (inputs, error) {
	in := inputs{"recipe 1", "go " + b.Versions.Go + " for the time"}
	f, err := b.fetched(ctx)
	if err != nil {
		return in, err
	}
	in.add("%s %s", f.Package.Name, f.Package.Version)
	found, _, err := FindEmulators(b.Arch, f.Dir)
	if err != nil {
		return in, err
	}
	for _, e := range found {
		if err := in.addFile(e.Arch.Name, e.Path); err != nil {
			return in, err
		}
	}
	return in, nil
}

func (b *Builder) emulators(ctx context.Context) (c contents, err error) {
	f, err := b.fetched(ctx)
	if err != nil {
		return c, err
	}
	found, missing, err := FindEmulators(b.Arch, f.Dir)
	if err != nil {
		return c, err
	}
	for _, arch := range missing {
		b.say("no emulator for %s", arch)
	}
	for _, e := range found {
		file := EmulatorFile(e)
		c.files = append(c.files, file)
		p := Program{Path: file.Name, Package: cmp.Or(f.Package.Name, "qemu"), Version: cmp.Or(f.Package.Version, e.Version), Debian: f.Package.Name != ""}
		if p.SHA256, err = digest(e.Path); err != nil {
			return c, err
		}
		c.programs = append(c.programs, p)
	}
	return c, nil
}

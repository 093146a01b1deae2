package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/jsonfile"
)

// A treeSpec says which of Debian's packages a tree of files is made of. Nothing is
// installed.
type treeSpec struct {
	name     string
	port     string // Debian's architecture
	suites   []string
	closure  bool // all that the packages depend on, too
	packages []string
}

// A tree is one that was made.
type tree struct {
	Files   []debian.File
	Failure string `json:",omitempty"` // why it could not be made; it is asked for again with Update
	dir     string
}

// sysrootSpec are the headers and static libraries of a host: of trixie, whatever
// the machine has.
func sysrootSpec(host *elfmagic.Arch) treeSpec {
	return treeSpec{"sysroot-" + host.GOARCH, host.Debian[0].Name, []string{"trixie"}, false, []string{
		"libc6", "libc6-dev", "libgcc-14-dev", "libgcc-s1", "linux-libc-dev",
		"libgio-2.0-dev", "libglib2.0-dev", "libpcre2-dev", "libsysprof-capture-4-dev", "zlib1g-dev",
	}}
}

// mesonSpec is Python code; Debian 12's own is too old for QEMU.
func mesonSpec(native *elfmagic.Arch) treeSpec {
	return treeSpec{"meson", native.Debian[0].Name, []string{"trixie", "sid"}, false, []string{"meson"}}
}

func portSpec(name, suite string) treeSpec {
	return treeSpec{"guests-" + name + "-" + suite, name, []string{suite}, true, portPackages}
}

// tree makes a tree, unless it is there. Which packages it was made of is
// remembered: Debian is asked again, once, only when that is wanted.
func (b *Builder) tree(ctx context.Context, w treeSpec) (t tree, err error) {
	memory := b.path("trees", w.name+".json")
	anew := b.Update && !b.asked[w.name]
	b.asked[w.name] = true
	if !anew && jsonfile.Read(memory, &t) == nil {
		if t.Failure != "" {
			return t, errors.New(t.Failure)
		}
		if t.dir = b.treeDir(w, t.Files); exists(t.dir) {
			return t, nil
		}
	}
	b.Say("fetching %s from Debian's %s for %s …", strings.Join(w.packages, ", "), strings.Join(w.suites, " and "), w.port)
	t, err = b.fetchTree(ctx, w)
	if ctx.Err() != nil {
		return t, err
	}
	if err != nil {
		t = tree{Failure: debian.Reason(err)}
	}
	return t, errors.Join(err, jsonfile.Write(memory, t))
}

// treeDir is where a tree of packages is.
func (b *Builder) treeDir(w treeSpec, packages []debian.File) string {
	in := inputs{"tree 2", w.port}
	in.files("package", packages)
	return b.path("trees", w.name+"-"+in.key())
}

func (b *Builder) fetchTree(ctx context.Context, w treeSpec) (t tree, err error) {
	if err := os.MkdirAll(b.path("trees"), 0o755); err != nil {
		return t, err
	}
	apt, err := debian.Open(b.aptDir(), w.port, w.suites...)
	if err != nil {
		return t, err
	}
	updateErr := apt.Update(ctx)
	list := apt.Packages
	if w.closure {
		list = apt.Closure
	}
	var debs []string
	if t.Files, err = list(ctx, w.packages...); err == nil {
		debs, err = apt.Get(ctx, t.Files)
	}
	if err != nil {
		return t, errors.Join(updateErr, err)
	}
	t.dir = b.treeDir(w, t.Files)
	return t, whole(t.dir, func(dir string) error {
		old, err := filepath.Glob(b.path("trees", w.name+"-*"))
		for _, other := range old {
			if other != dir {
				os.RemoveAll(other)
			}
		}
		return errors.Join(err, debian.UnpackTree(ctx, dir, debs...))
	})
}

func (b *Builder) aptDir() string { return filepath.Join(filepath.Dir(b.cache), "apt") }

// libraries makes a host's sysroot.
func (b *Builder) libraries(ctx context.Context, host *elfmagic.Arch) (tree, error) {
	t, err := b.tree(ctx, sysrootSpec(host))
	if err != nil {
		return t, fmt.Errorf("headers and libraries for %s: %w", host.Platform(), err)
	}
	return t, nil
}

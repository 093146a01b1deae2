package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/internal/cli"
)

// sysrootSuite is Debian 12, older than the image's base: what is linked against its
// C library runs where the containers' base is that or UBI 9. (From glibc 2.38 on C
// that calls strtol or sscanf needs that version.) All ports are there.
const sysrootSuite = "bookworm"

// sysrootPackages are what cgo in Calico links, and the compiler's part. Other -dev
// packages that these depend on have nothing in them that is used.
var sysrootPackages = []string{
	"libc6", "libc6-dev", "libcrypt-dev", "libcrypt1", "libgcc-12-dev", "libgcc-s1", "linux-libc-dev",
	"libelf-dev", "libelf1", "libpcap0.8", "libpcap0.8-dev", "zlib1g", "zlib1g-dev",
	// What libpcap needs, and a linker other than lld, and who runs what is linked with it.
	"libcap2", "libdbus-1-3", "libgcrypt20", "libgpg-error0", "liblz4-1", "liblzma5", "libsystemd0", "libzstd1",
}

// sysrootKept are the files of a sysroot that compilers and programs ask for, and
// licences; sysrootDropped those among them that are for debugging and other languages.
var (
	sysrootKept    = regexp.MustCompile(`^(usr/include/|(usr/)?lib(64)?/|lib(64)?$|usr/share/doc/[^/]+/copyright$)`)
	sysrootDropped = regexp.MustCompile(`/(gconv|audit|bfd-plugins|pkgconfig|plugin)/|/lib[a-z]*san(_preinit)?\.|/lib(gcov|gomp|itm|quadmath|mcheck|g|thread_db|c_malloc_debug|memusage|pcprofile|nss_(compat|hesiod))[.-]`)
)

// sysroots makes the sysroots that clang links for, at /usr/TRIPLET/sys-root: the
// image's own, in which the C library is older than the image's, and in an image for
// amd64 those of all architectures.
func (b *Builder) sysroots(ctx context.Context) (c contents, err error) {
	list := "SYSROOT\tPACKAGE\tVERSION\tSOURCE\n"
	for _, arch := range b.sysrootArchs() {
		files, packages, err := b.sysroot(ctx, arch)
		if err != nil {
			return c, err
		}
		c.files, list = append(c.files, files...), list+packages
	}
	if err := b.clangs(&c); err != nil {
		return c, err
	}
	file := b.work("sysroots", "sysroots.tsv")
	c.add(ShareDir+"sysroots.tsv", file, 0o644)
	return c, os.WriteFile(file, []byte(list), 0o644)
}

// sysrootArchs are the architectures that there are sysroots of. In an image for amd64
// others are cross-compiled for.
func (b *Builder) sysrootArchs() []*elfmagic.Arch {
	if b.Arch.GOARCH == "amd64" {
		return versions.Architectures()
	}
	return []*elfmagic.Arch{b.Arch}
}

// Sysroot is where an image for the architecture has its own.
func Sysroot(arch *elfmagic.Arch) string { return "/usr/" + triplet(arch) + "/sys-root" }

func triplet(arch *elfmagic.Arch) string { return arch.Debian[0].Triplet }

// clangs adds what clang is to know of Debian. Beside itself it looks for a file that is
// named after its target, as LLVM writes it (loadDefaultConfigFiles in
// clang/lib/Driver/Driver.cpp, since 16).
//
// BPF programs include headers of the kernel's, which include others that Debian has in
// the directory of an architecture, and others in none. Where there are several sysroots
// each has a compiler: TRIPLET-clang, as clang --target=TRIPLET is. That of amd64 is
// another target than the one of plain clang there, which has no sysroot.
func (b *Builder) clangs(c *contents) error {
	bin := "lib/llvm-" + b.Versions.LLVMMajor() + "/bin/"
	configure := func(target, flags string) error {
		file := b.work("sysroots", target+".cfg")
		for _, command := range []string{"clang", "clang++"} {
			c.add("usr/"+bin+target+"-"+command+".cfg", file, 0o644)
		}
		return os.WriteFile(file, []byte(flags+"\n"), 0o644)
	}
	for _, target := range []string{"bpf", "bpfeb", "bpfel"} {
		if err := configure(target, "-idirafter /usr/include/"+triplet(b.Arch)); err != nil {
			return err
		}
	}
	archs := b.sysrootArchs()
	if len(archs) == 1 {
		return nil
	}
	for _, arch := range archs {
		target := strings.Replace(triplet(arch), "-linux", "-unknown-linux", 1)
		if err := configure(target, "--sysroot="+Sysroot(arch)+" -fuse-ld=lld"); err != nil {
			return err
		}
		for _, command := range []string{"clang", "clang++"} {
			c.files = append(c.files, rootfs.File{Name: "usr/bin/" + triplet(arch) + "-" + command, Target: "../" + bin + command})
		}
	}
	return nil
}

// sysroot makes an architecture's sysroot, and returns its files in the image and a
// table of its packages. Debian is asked for newer packages only when that is wanted.
func (b *Builder) sysroot(ctx context.Context, arch *elfmagic.Arch) (files []rootfs.File, packages string, err error) {
	dir := b.work("sysroots", triplet(arch))
	in := b.inputs(slices.Concat([]string{"sysroot 1", sysrootSuite, triplet(arch)}, sysrootPackages)...)
	if b.Update {
		if err := os.RemoveAll(filepath.Join(dir, "stamp")); err != nil {
			return nil, "", err
		}
	}
	root, table := filepath.Join(dir, "root"), filepath.Join(dir, "packages.tsv")
	err = b.step(ctx, dir, "the sysroot of "+triplet(arch), in, func() error {
		text, err := fetchSysroot(ctx, arch, b.work("apt"), root)
		return errors.Join(err, os.WriteFile(table, []byte(text), 0o644))
	})
	if err != nil {
		return nil, "", err
	}
	text, err := os.ReadFile(table)
	if err == nil {
		files, err = sysrootFiles(root, Sysroot(arch)[1:])
	}
	return files, string(text), err
}

// fetchSysroot unpacks the packages into a directory, and returns a table of them.
func fetchSysroot(ctx context.Context, arch *elfmagic.Arch, state, root string) (string, error) {
	apt, err := debian.Open(state, arch.Debian[0].Name, sysrootSuite)
	if err != nil {
		return "", err
	}
	updateErr := apt.Update(ctx)
	list, err := apt.Packages(ctx, sysrootPackages...)
	if err != nil { // apt-get update succeeds where a mirror cannot be reached, too
		return "", cli.WithHint(errors.Join(updateErr, err), "see that Debian's mirror can be reached, and run this again: what was built is kept")
	}
	debs, err := apt.Get(ctx, list)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for i, f := range list {
		s, err := debian.SourcesOf(ctx, debs[i])
		if err != nil {
			return "", err
		}
		p := f.Package()
		fmt.Fprintf(&text, "%s\t%s\t%s\t%s %s\n", Sysroot(arch), p.Name, p.Version, s.Source.Name, s.Source.Version)
	}
	return text.String(), debian.UnpackTree(ctx, root, debs...)
}

// sysrootFiles returns those of a tree that are of use, as files below a name.
func sysrootFiles(root, name string) (files []rootfs.File, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil || !sysrootKept.MatchString(rel) || sysrootDropped.MatchString(rel) {
			return err
		}
		f := rootfs.File{Name: name + "/" + rel, Source: path, Mode: 0o644}
		if d.Type() == fs.ModeSymlink {
			if f.Target, err = os.Readlink(path); err != nil {
				return err
			}
			if _, err := os.Stat(path); err != nil {
				return nil // to what is left out, or to another package's
			}
		} else if info, err := d.Info(); err != nil {
			return err
		} else if info.Mode()&0o111 != 0 {
			f.Mode = 0o755
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

// sysroot returns the directory whose lib/ and usr/ the emulator shall show to
// a dynamically linked program before the host's: the one that was named, or
// the one that has its loader. It is empty for static programs, and where the
// host's own directories have the loader or QEMU_LD_PREFIX says where it is.
func sysroot(p *program, named string) (string, error) {
	if p.elfErr != nil || p.interp == "" {
		return named, nil
	}
	if named != "" {
		if !hasLoader(named, p) {
			return "", missingLoader(p, named)
		}
		return filepath.Abs(named)
	}
	if prefix := os.Getenv("QEMU_LD_PREFIX"); prefix != "" && hasLoader(prefix, p) || hasLoader("/", p) {
		return "", nil
	}
	for _, dir := range systemRoots("/usr", p.header.Arch) {
		if hasLoader(dir, p) {
			return dir, nil
		}
	}
	return "", missingLoader(p, "/")
}

// systemRoots returns the directories in which distributions have other
// architectures' libraries, as far as they are there:
//
//	TRIPLET                          Debian, Ubuntu (libc6-ARCH-cross), Arch Linux
//	TRIPLET/sys-root                 cross compilers that are built by hand
//	ARCH-redhat-linux/sys-root/fcNN  Fedora (sysroot-ARCH-fcNN-glibc)
//	ARCH-suse-linux/sys-root         openSUSE (cross-ARCH-glibc-devel)
//	ARCH-unknown-linux-*             Gentoo (crossdev)
//	ARCH-linux-musl*                 musl's cross compilers
//
// Nix needs none: its programs name their loader in the store.
func systemRoots(usr string, arch *elfmagic.Arch) []string {
	return rootsOf(usr, triplets(usr), arch)
}

// triplets returns the names in usr that may be of a system of another architecture.
func triplets(usr string) []string {
	dir, err := os.Open(usr)
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1) // those that were read
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.Contains(name, "-linux") })
	slices.Sort(names)
	return names
}

// rootsOf is systemRoots for those that names are the triplets of.
func rootsOf(usr string, names []string, arch *elfmagic.Arch) []string {
	var patterns []string
	for _, port := range arch.Debian {
		patterns = append(patterns, port.Triplet, port.Triplet+"/sys-root")
	}
	archs := append([]string{arch.Name}, arch.Uname...)
	slices.Sort(archs)
	for _, a := range slices.Compact(archs) {
		patterns = append(patterns, a+"-redhat-linux/sys-root/*", a+"-suse-linux/sys-root", a+"-unknown-linux-*", a+"-linux-musl*")
	}
	var dirs []string
	for _, pattern := range patterns {
		triplet, below, _ := strings.Cut(pattern, "/")
		for _, name := range slices.Backward(names) { // the newest release comes first
			if ok, _ := filepath.Match(triplet, name); !ok {
				continue
			}
			found, _ := filepath.Glob(filepath.Join(usr, name, below)) // an error is a bad pattern
			slices.Reverse(found)
			dirs = append(dirs, found...)
		}
	}
	return dirs
}

// prefixVariable and the name of an architecture are the variable by which our
// emulators find its programs' loaders and libraries: directories with colons between
// them, an empty one for the root directory (image/qemu/patches/95-prefix.patch). Others
// know QEMU_LD_PREFIX only, which is for all architectures.
const prefixVariable = "QEMU_LD_PREFIX_"

// prefixes returns the variables for programs of the architectures. A sysroot that is
// named is the only one for its architecture, but for one that comes first for all, if
// it is not empty; what the caller said to QEMU is left as it is.
func prefixes(archs []*elfmagic.Arch, usr, first string) ([]string, error) {
	if os.Getenv("QEMU_LD_PREFIX") != "" {
		return nil, nil
	}
	names := triplets(usr)
	var env []string
	for _, arch := range archs {
		named, err := namedSysroot("", arch)
		if err != nil {
			return nil, err
		}
		dirs := []string{named}
		if named == "" {
			if dirs = rootsOf(usr, names, arch); len(dirs) > 0 {
				dirs = append([]string{""}, dirs...) // the root directory comes first
			}
		} else if dirs[0], err = filepath.Abs(named); err != nil {
			return nil, err
		}
		if first != "" {
			dirs = append([]string{first}, dirs...)
		}
		variable := prefixVariable + arch.Name
		if len(dirs) > 0 && os.Getenv(variable) == "" {
			env = append(env, variable+"="+strings.Join(dirs, ":"))
		}
	}
	return env, nil
}

// hasLoader reports whether a program's loader is below root, and is of the
// program's architecture: several have one of the same name.
func hasLoader(root string, p *program) bool {
	f, err := file.OpenRegular(filepath.Join(root, p.interp))
	if err != nil {
		return false
	}
	defer f.Close()
	header, err := elfmagic.Identify(f)
	return err == nil && header.Arch == p.header.Arch
}

// missingLoader says that a program's loader is not where it should be. Without
// it execve reports that the program itself does not exist.
func missingLoader(p *program, root string) error {
	arch := p.header.Arch
	where := "on this system"
	if root != "/" {
		where = "below " + root
	}
	err := fmt.Errorf("%s: dynamically linked, and its loader %s is not %s", p.path, p.interp, where)
	var ways []string
	switch {
	case root != "/" && hasLoaderIn(root, "/", p):
		// As in systems of Debian's: the emulator, too, follows the link in this system.
		return cli.WithHint(fmt.Errorf("%w: a symbolic link there leads out of it", err), "make the link relative (symlinks -cr %s); or run a program that is in it with --rootfs %s", cli.Quote(root), cli.Quote(root))
	case strings.Contains(p.interp, "ld-musl"):
	case strings.HasPrefix(p.interp, "/system/"):
		return cli.WithHint(err, "it is an Android program: --sysroot DIR with an Android system in it")
	default:
		for _, port := range arch.Debian {
			libc := "libc6"
			if arch.Name == "alpha" {
				libc = "libc6.1"
			}
			ways = append(ways, fmt.Sprintf("apt-get install %s-%s-cross", libc, port.Name))
		}
	}
	ways = append(ways, fmt.Sprintf("--sysroot DIR with a %s system in it", arch.Platform()), "link the program statically")
	return cli.WithHint(err, "%s", strings.Join(ways, ", or "))
}

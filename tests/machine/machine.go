// Package machine is for tests in virtual machines without hardware support: Debian's
// kernels, and initial RAM disks.
package machine

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cavaliergopher/cpio"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/workdir"
)

// Command returns the command that boots a machine, with its console as standard
// output. The argument begins with the emulator's name; the initial RAM disk must power it
// off.
func Command(ctx context.Context, machine []string, kernel, initrd, options string) *exec.Cmd {
	args := append(slices.Clone(machine[1:]), "-accel", "tcg", "-m", "3072", "-nodefaults", "-nographic", "-serial", "stdio", "-no-reboot",
		"-kernel", kernel, "-initrd", initrd, "-append", "earlycon panic=-1 quiet "+options)
	return exec.CommandContext(ctx, machine[0], args...)
}

// Apt returns apt's state for an architecture and a suite, or skips.
func Apt(t testing.TB, ctx context.Context, goarch, suite string) *debian.Apt {
	t.Helper()
	cache, err := workdir.Cache("apt")
	require.NoError(t, err)
	arch, err := elfmagic.Lookup(goarch)
	require.NoError(t, err)
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("kernels come from Debian, through apt: ", err)
	}
	apt, err := debian.Open(cache, arch.Debian[0].Name, suite)
	require.NoError(t, err)
	updates.Lock()
	defer updates.Unlock()
	if key := goarch + suite; !updated[key] {
		require.NoError(t, apt.Update(ctx))
		updated[key] = true
	}
	return apt
}

var (
	updates sync.Mutex
	updated = make(map[string]bool)
)

// Kernel gets the newest kernel of a suite into a directory, that which a package is
// or depends on, and returns its file and that of its module binfmt_misc.
func Kernel(t testing.TB, ctx context.Context, goarch, suite, name, dir string) (kernel, module string) {
	t.Helper()
	apt := Apt(t, ctx, goarch, suite)
	files, err := apt.Closure(ctx, name)
	require.NoError(t, err)
	// A package of a name that stays depends on that of a version, and in newer
	// releases that on others which have the files.
	packages := slices.DeleteFunc(files, func(f debian.File) bool {
		return !slices.ContainsFunc([]string{"linux-image-", "linux-binary-", "linux-modules-"}, func(prefix string) bool { return strings.HasPrefix(f.Name, prefix) })
	})
	debs, err := apt.Get(ctx, packages)
	require.NoError(t, err)
	for _, deb := range debs {
		require.NoError(t, debian.Unpack(ctx, deb, dir))
	}
	kernels := append(glob(t, dir, "boot/vmlinu?-*"), glob(t, dir, "usr/lib/modules/*/vmlinu?")...)
	require.Len(t, kernels, 1, "%v", packages)
	for _, pattern := range []string{"lib/modules/*/kernel/fs/binfmt_misc.ko*", "usr/lib/modules/*/kernel/fs/binfmt_misc.ko*"} {
		if found := glob(t, dir, pattern); len(found) == 1 {
			return kernels[0], found[0]
		}
	}
	require.Fail(t, "no module binfmt_misc", "%v", packages)
	return "", ""
}

func glob(t testing.TB, dir, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	require.NoError(t, err)
	return found
}

// AppendTar writes what is in a tar archive to an initial RAM disk. Hard links become
// files of their own.
func AppendTar(initrd *cpio.Writer, archive io.Reader) error {
	contents := map[string][]byte{}
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		name := strings.TrimPrefix(filepath.Clean(h.Name), "/")
		header := &cpio.Header{Name: name, Mode: cpio.FileMode(h.Mode & 0o7777), Uid: h.Uid, Guid: h.Gid}
		var content []byte
		switch h.Typeflag {
		case tar.TypeDir:
			header.Mode |= cpio.TypeDir
		case tar.TypeSymlink:
			header.Mode |= cpio.TypeSymlink
			content = []byte(h.Linkname)
		case tar.TypeReg:
			header.Mode |= cpio.TypeReg
			if content, err = io.ReadAll(r); err != nil {
				return err
			}
			contents[name] = content
		case tar.TypeLink:
			header.Mode |= cpio.TypeReg
			content = contents[strings.TrimPrefix(filepath.Clean(h.Linkname), "/")]
		default:
			continue // devices are the kernel's
		}
		header.Size = int64(len(content))
		if err := initrd.WriteHeader(header); err != nil {
			return err
		}
		if _, err := initrd.Write(content); err != nil {
			return err
		}
	}
}

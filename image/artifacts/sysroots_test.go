package artifacts

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/internal/cli"
)

// What compilers and programs ask for is in a sysroot, and licences; no programs, and
// nothing of debuggers and other languages.
func TestASysrootHasWhatIsLinked(t *testing.T) {
	root := t.TempDir()
	for name, mode := range map[string]os.FileMode{
		"usr/include/libelf.h": 0o644, "usr/lib/s390x-linux-gnu/libelf.a": 0o644, "lib/s390x-linux-gnu/libc.so.6": 0o755,
		"usr/lib/gcc/s390x-linux-gnu/12/libgcc.a": 0o644, "usr/share/doc/libelf1/copyright": 0o644,
		"usr/bin/ldd": 0o755, "usr/share/doc/libelf1/changelog.gz": 0o644, "etc/ld.so.conf": 0o644,
		"usr/lib/s390x-linux-gnu/gconv/IBM1047.so": 0o644, "usr/lib/gcc/s390x-linux-gnu/12/libasan.a": 0o644,
		"usr/lib/gcc/s390x-linux-gnu/12/libgomp.a": 0o644, "usr/lib/s390x-linux-gnu/pkgconfig/zlib.pc": 0o644,
	} {
		file := filepath.Join(root, name)
		write(t, file, name)
		require.NoError(t, os.Chmod(file, mode))
	}
	require.NoError(t, os.Symlink("../../../lib/s390x-linux-gnu/libc.so.6", filepath.Join(root, "usr/lib/s390x-linux-gnu/libc.so")))
	require.NoError(t, os.Symlink("libnone.so.1", filepath.Join(root, "usr/lib/s390x-linux-gnu/libnone.so")))
	files, err := sysrootFiles(root, "usr/s390x-linux-gnu/sys-root")
	require.NoError(t, err)
	got := make(map[string]int64)
	for _, f := range files {
		name, err := filepath.Rel("usr/s390x-linux-gnu/sys-root", f.Name)
		require.NoError(t, err)
		got[name] = f.Mode
		if f.Target != "" {
			assert.Equal(t, "../../../lib/s390x-linux-gnu/libc.so.6", f.Target)
			got[name] = -1
		}
	}
	assert.Equal(t, map[string]int64{
		"usr/include/libelf.h": 0o644, "usr/lib/s390x-linux-gnu/libelf.a": 0o644, "lib/s390x-linux-gnu/libc.so.6": 0o755,
		"usr/lib/gcc/s390x-linux-gnu/12/libgcc.a": 0o644, "usr/share/doc/libelf1/copyright": 0o644, "usr/lib/s390x-linux-gnu/libc.so": -1,
	}, got)
}

// An image for amd64 has compilers for all, others only what BPF programs take.
func TestClangIsToldOfSysroots(t *testing.T) {
	for goarch, targets := range map[string][]string{
		"amd64": {"aarch64-unknown-linux-gnu", "bpf", "bpfeb", "bpfel", "powerpc64le-unknown-linux-gnu", "s390x-unknown-linux-gnu", "x86_64-unknown-linux-gnu"},
		"s390x": {"bpf", "bpfeb", "bpfel"},
	} {
		b, _ := newBuilder(t, goarch)
		require.NoError(t, os.MkdirAll(b.work("sysroots"), 0o755))
		var c contents
		require.NoError(t, b.clangs(&c))
		texts, links := make(map[string]string), 0
		bin := "usr/lib/llvm-" + b.Versions.LLVMMajor() + "/bin/"
		for _, f := range c.files {
			if f.Target != "" {
				links++
				continue
			}
			text, err := os.ReadFile(f.Source)
			require.NoError(t, err)
			texts[f.Name] = string(text)
		}
		assert.Len(t, texts, 2*len(targets))
		for _, target := range targets {
			assert.Contains(t, texts, bin+target+"-clang.cfg")
			assert.Contains(t, texts, bin+target+"-clang++.cfg")
		}
		if goarch == "s390x" {
			assert.Zero(t, links)
			assert.Equal(t, "-idirafter /usr/include/s390x-linux-gnu\n", texts[bin+"bpfeb-clang.cfg"])
			continue
		}
		assert.Equal(t, "--sysroot=/usr/aarch64-linux-gnu/sys-root -fuse-ld=lld\n", texts[bin+"aarch64-unknown-linux-gnu-clang.cfg"])
		assert.True(t, slices.Contains(c.files, rootfs.File{Name: "usr/bin/aarch64-linux-gnu-clang++", Target: "../" + bin[4:] + "clang++"}))
	}
}

// Without the mirror apt says only that it knows no package.
func TestASysrootWithoutAMirrorHasAHint(t *testing.T) {
	bin := t.TempDir()
	write(t, filepath.Join(bin, "apt-get"), `#!/bin/sh
case $1 in
indextargets) echo 'Debian|bookworm|stable|http://mirror.example/debian/' ;;
update) ;;
*) echo "E: Unable to locate package libc6" >&2; exit 100 ;;
esac
`)
	require.NoError(t, os.Chmod(filepath.Join(bin, "apt-get"), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	keyring := debian.Keyring
	t.Cleanup(func() { debian.Keyring = keyring })
	debian.Keyring = filepath.Join(bin, "apt-get") // any file
	_, err := fetchSysroot(t.Context(), lookup(t, "arm64"), t.TempDir(), t.TempDir())
	require.ErrorContains(t, err, "Unable to locate package libc6")
	assert.Contains(t, cli.Hint(err), "mirror can be reached")
}

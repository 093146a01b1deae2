package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
)

// unheard is a loader that no system has.
const unheard = "/lib/no-such-loader.so.1"

func TestTheSysrootIsWhereTheLoaderIs(t *testing.T) {
	arch := lookup(t, "arm64")
	dir := t.TempDir()
	right, wrong := filepath.Join(dir, "right"), filepath.Join(dir, "wrong")
	write(t, right+unheard, binaryFor(t, arch, ""))
	write(t, wrong+unheard, binaryFor(t, lookup(t, "riscv64"), ""))
	write(t, filepath.Join(dir, "text")+unheard, []byte("text"))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "pipe", "lib"), 0o755))
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe")+unheard, 0o600))
	relative := filepath.Join(dir, "relative")
	require.NoError(t, os.MkdirAll(relative+"/lib", 0o755))
	require.NoError(t, os.Symlink("../../right"+unheard, relative+unheard))
	t.Chdir(dir)

	dynamic := &program{path: "./hello", interp: unheard, header: elfmagic.Header{Arch: arch}}
	static := &program{path: "./hello", header: elfmagic.Header{Arch: arch}}
	text := &program{path: "./hello", elfErr: elfmagic.ErrNotELF}
	const missing = "./hello: dynamically linked, and its loader " + unheard + " is not "

	for name, test := range map[string]struct {
		program *program
		named   string
		prefix  string // QEMU_LD_PREFIX
		want    string
		err     string
	}{
		"named":                                 {program: dynamic, named: right, want: right},
		"named, relative":                       {program: dynamic, named: "right", want: right},
		"named, the loader is a link":           {program: dynamic, named: relative, want: relative},
		"named, without the loader":             {program: dynamic, named: dir, err: missing + "below " + dir},
		"named, with another's loader":          {program: dynamic, named: wrong, err: missing + "below " + wrong},
		"named, with a loader that is none":     {program: dynamic, named: "text", err: missing + "below text"},
		"named, with a pipe in its place":       {program: dynamic, named: "pipe", err: missing + "below pipe"},
		"named, whatever the environment says":  {program: dynamic, named: wrong, prefix: right, err: missing + "below " + wrong},
		"in the environment: QEMU knows":        {program: dynamic, prefix: right, want: ""},
		"in the environment, without a loader":  {program: dynamic, prefix: dir, err: missing + "on this system"},
		"in the environment, another's loader":  {program: dynamic, prefix: wrong, err: missing + "on this system"},
		"nowhere":                               {program: dynamic, err: missing + "on this system"},
		"a static program needs none":           {program: static, want: ""},
		"but one may be named for what it runs": {program: static, named: "right", want: "right"},
		"no program needs none":                 {program: text, want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("QEMU_LD_PREFIX", test.prefix)
			root, err := sysroot(test.program, test.named)
			if test.err != "" {
				assert.EqualError(t, err, test.err)
				assert.Empty(t, root)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.want, root)
		})
	}
}

func TestTheHostsOwnDirectoriesAreASysroot(t *testing.T) {
	t.Setenv("QEMU_LD_PREFIX", "")
	path := filepath.Join(t.TempDir(), "lib", "ld.so")
	write(t, path, binaryFor(t, lookup(t, "arm64"), ""))
	root, err := sysroot(&program{path: "./hello", interp: path, header: elfmagic.Header{Arch: lookup(t, "arm64")}}, "")
	require.NoError(t, err)
	assert.Empty(t, root)
	_, err = sysroot(&program{path: "./hello", interp: path, header: elfmagic.Header{Arch: lookup(t, "riscv64")}}, "")
	assert.Error(t, err, "the loader there is another architecture's")
}

func TestDebiansSysrootsAreFound(t *testing.T) {
	t.Setenv("QEMU_LD_PREFIX", "")
	found := 0
	for _, test := range []struct{ triplet, arch, loader string }{
		{"aarch64-linux-gnu", "arm64", "/lib/ld-linux-aarch64.so.1"},
		{"arm-linux-gnueabi", "arm", "/lib/ld-linux.so.3"},
		{"arm-linux-gnueabihf", "arm", "/lib/ld-linux-armhf.so.3"},
		{"s390x-linux-gnu", "s390x", "/lib/ld64.so.1"},
		{"powerpc64le-linux-gnu", "ppc64le", "/lib64/ld64.so.2"},
		{"mips64el-linux-gnuabi64", "mips64le", "/lib64/ld.so.1"},
		{"mips-linux-gnu", "mips", "/lib/ld.so.1"},
		{"sh4-linux-gnu", "sh4", "/lib/ld-linux.so.2"},
	} {
		if _, err := os.Stat("/usr/" + test.triplet + test.loader); err != nil {
			t.Log("not tried: ", err)
			continue
		}
		p := &program{path: "./hello", interp: test.loader, header: elfmagic.Header{Arch: lookup(t, test.arch)}}
		if hasLoader("/", p) {
			t.Logf("not tried: %s is installed for %s", test.loader, test.arch)
			continue
		}
		found++
		root, err := sysroot(p, "")
		require.NoError(t, err)
		assert.Equal(t, "/usr/"+test.triplet, root)
	}
	if found == 0 {
		t.Skip("none of Debian's libc6-*-cross packages is installed")
	}
}

func TestAMissingLoadersHintSaysWhereItIsHad(t *testing.T) {
	const anywhere = ", or link the program statically"
	for _, test := range []struct{ arch, interp, hint string }{
		{"arm64", "/lib/ld-linux-aarch64.so.1", "apt-get install libc6-arm64-cross, or --sysroot DIR with a linux/arm64 system in it" + anywhere},
		{"arm", "/lib/ld-linux-armhf.so.3", "apt-get install libc6-armhf-cross, or apt-get install libc6-armel-cross, or --sysroot DIR with a linux/arm/v7 system in it" + anywhere},
		{"alpha", "/lib/ld-linux.so.2", "apt-get install libc6.1-alpha-cross, or --sysroot DIR with a linux/alpha system in it" + anywhere},
		{"hexagon", "/lib/ld.so", "--sysroot DIR with a linux/hexagon system in it" + anywhere},
		{"arm64", "/lib/ld-musl-aarch64.so.1", "--sysroot DIR with a linux/arm64 system in it" + anywhere},
		{"arm64", "/system/bin/linker64", "it is an Android program: --sysroot DIR with an Android system in it"},
	} {
		p := &program{path: "./hello", interp: test.interp, header: elfmagic.Header{Arch: lookup(t, test.arch)}}
		for root, where := range map[string]string{"/": "on this system", "/srv/root": "below /srv/root"} {
			text, hint := said(missingLoader(p, root))
			assert.Equal(t, "./hello: dynamically linked, and its loader "+test.interp+" is not "+where, text)
			assert.Equal(t, test.hint, hint)
			assert.False(t, strings.Contains(hint, "%"), hint)
		}
	}
}

// A Debian system's /lib64/ld-linux-x86-64.so.2 is a link to /lib/x86_64-linux-gnu.
func TestASysrootsLinkOutOfItIsNamed(t *testing.T) {
	arch := foreign(t)
	root := t.TempDir()
	write(t, filepath.Join(root, "lib/there/ld.so"), binaryFor(t, arch, ""))
	require.NoError(t, os.Mkdir(filepath.Join(root, "lib64"), 0o755))
	link := filepath.Join(root, "lib64/ld.so")
	p := &program{path: "./hello", interp: "/lib64/ld.so", header: elfmagic.Header{Arch: arch}}

	require.NoError(t, os.Symlink("/lib/there/ld.so", link))
	_, err := sysroot(p, root)
	text, hint := said(err)
	assert.Equal(t, "./hello: dynamically linked, and its loader /lib64/ld.so is not below "+root+": a symbolic link there leads out of it", text)
	assert.Equal(t, "make the link relative (symlinks -cr "+root+"); or run a program that is in it with --rootfs "+root, hint)

	require.NoError(t, os.Remove(link))
	require.NoError(t, os.Symlink("../lib/there/ld.so", link))
	found, err := sysroot(p, root)
	require.NoError(t, err)
	assert.Equal(t, root, found)
}

func TestSystemRootsAreThoseThatDistributionsHave(t *testing.T) {
	usr := t.TempDir()
	for _, dir := range []string{
		"aarch64-linux-gnu/lib", "aarch64-redhat-linux/sys-root/fc40", "aarch64-redhat-linux/sys-root/fc41", "aarch64-suse-linux/sys-root",
		"aarch64-unknown-linux-gnu", "aarch64-linux-musl", "s390x-linux-gnu", "s390x-redhat-linux/sys-root/fc41", "arm-linux-gnueabihf",
		"arm-linux-gnueabi", "armv7l-unknown-linux-gnueabihf", "aarch64-none-elf", "aarch64_be-linux-gnu",
	} {
		require.NoError(t, os.MkdirAll(filepath.Join(usr, dir), 0o755))
	}
	for arch, want := range map[string]string{
		"arm64": "aarch64-linux-gnu aarch64-redhat-linux/sys-root/fc41 aarch64-redhat-linux/sys-root/fc40 aarch64-suse-linux/sys-root aarch64-unknown-linux-gnu aarch64-linux-musl",
		"s390x": "s390x-linux-gnu s390x-redhat-linux/sys-root/fc41",
		"arm":   "arm-linux-gnueabihf arm-linux-gnueabi armv7l-unknown-linux-gnueabihf",
		"sparc": "",
	} {
		var got []string
		for _, dir := range systemRoots(usr, lookup(t, arch)) {
			relative, err := filepath.Rel(usr, dir)
			require.NoError(t, err)
			got = append(got, relative)
		}
		assert.Equal(t, strings.Fields(want), append([]string{}, got...), arch)
	}
}

func TestEachArchitectureHasTheSysrootsOfItsPrograms(t *testing.T) {
	usr, named := t.TempDir(), t.TempDir()
	for _, dir := range []string{"aarch64-linux-gnu", "aarch64-linux-musl", "s390x-linux-gnu"} {
		require.NoError(t, os.MkdirAll(filepath.Join(usr, dir), 0o755))
	}
	archs := []*elfmagic.Arch{lookup(t, "arm64"), lookup(t, "s390x"), lookup(t, "riscv64")}
	t.Setenv("QEMU_LD_PREFIX", "")
	t.Setenv("CROSSRUN_SYSROOT_S390X", named)
	env, err := prefixes(archs, usr, "")
	require.NoError(t, err)
	assert.Equal(t, []string{
		"QEMU_LD_PREFIX_aarch64=:" + usr + "/aarch64-linux-gnu:" + usr + "/aarch64-linux-musl", // the host's own first
		"QEMU_LD_PREFIX_s390x=" + named,
	}, env)

	env, err = prefixes(archs[1:], usr, "/first")
	require.NoError(t, err)
	assert.Equal(t, []string{"QEMU_LD_PREFIX_s390x=/first:" + named, "QEMU_LD_PREFIX_riscv64=/first"}, env)

	t.Setenv("QEMU_LD_PREFIX_s390x", "/mine")
	env, err = prefixes(archs[1:], usr, "")
	require.NoError(t, err)
	assert.Empty(t, env, "the caller's own is left as it is")

	t.Setenv("CROSSRUN_SYSROOT_S390X", "/nonexistent")
	_, err = prefixes(archs, usr, "")
	assert.ErrorContains(t, err, "CROSSRUN_SYSROOT_S390X")

	t.Setenv("QEMU_LD_PREFIX", "/mine")
	env, err = prefixes(archs, usr, "")
	require.NoError(t, err)
	assert.Empty(t, env)
}

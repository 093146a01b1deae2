package crossenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unicode"

	"github.com/projectcalico/go-build/internal/cli"
)

// environment returns what a POSIX shell evaluates so that Go, C, pkg-config,
// Cargo, CMake and Meson build for the target and test with crossrun, and comments
// on what is missing. Variables that cannot be set, and would be another
// architecture's if they are, are unset. The files are in dir. Errors have hints.
func (t *target) environment(dir string) (string, error) {
	// Cargo splits the runner at white space, and knows no quotes.
	if strings.ContainsFunc(t.Runner, unicode.IsSpace) {
		return "", cli.WithHint(fmt.Errorf("%q: Cargo accepts no runner with a space in its path", t.Runner),
			"put crossrun into a directory whose path has none")
	}
	if strings.Contains(dir, ":") {
		return "", cli.WithHint(fmt.Errorf("%q: a directory with a colon in its path cannot be in PATH", dir),
			"set XDG_CACHE_HOME to another directory")
	}
	var s shell
	s.golang(t)
	s.c(t)
	s.pkgConfig(t)
	s.cargo(t)
	s.host(t)
	if t.Sysroot != "" {
		// For those that are run without the runner's arguments: go test's link,
		// and an entry in the kernel.
		s.set("QEMU_LD_PREFIX", t.Sysroot)
	} else {
		s.unsetOurs("QEMU_LD_PREFIX", "")
	}
	s.files(t, dir)
	// Comments come last: eval without quotes makes one line of all.
	return s.lines.String() + s.comments.String(), nil
}

// A shell is what a POSIX shell is told.
type shell struct{ lines, comments strings.Builder }

func (s *shell) set(name, value string) {
	fmt.Fprintf(&s.lines, "export %s=%s\n", name, cli.Quote(value))
}

func (s *shell) unset(names ...string) {
	for _, name := range names {
		fmt.Fprintf(&s.lines, "unset %s\n", name)
	}
}

// linkerSysroot is before the sysroot in Cargo's flags.
const linkerSysroot = "-Clink-arg=--sysroot="

// unsetOurs unsets a variable that names the sysroot of what was evaluated before, which
// pkg-config's names, too. One that the user has set stays.
func (s *shell) unsetOurs(name, before string) {
	if dir := os.Getenv("PKG_CONFIG_SYSROOT_DIR"); dir != "" && os.Getenv(name) == before+dir {
		s.unset(name)
	}
}

func (s *shell) comment(format string, args ...any) {
	fmt.Fprintf(&s.comments, "# "+format+"\n", args...)
}

func (s *shell) golang(t *target) {
	if t.arch.GOARCH == "" {
		s.unset("GOOS", "GOARCH")
		s.comment("Go has no port for %s", t.arch)
		return
	}
	s.set("GOOS", "linux")
	s.set("GOARCH", t.arch.GOARCH)
	if t.goValue != "" {
		s.set(t.goName, t.goValue)
	}
}

// c sets the compilers that are installed.
func (s *shell) c(t *target) {
	has := func(compiler, consequence string) bool {
		_, err := exec.LookPath(t.tool(compiler))
		if err != nil {
			install := "Debian has no package of it"
			if !t.unpackaged {
				install = "apt-get install " + compiler + "-" + strings.ReplaceAll(t.triplet, "_", "-")
			}
			s.comment("%s is not installed%s: %s", t.tool(compiler), consequence, install)
		}
		return err == nil
	}
	cgo, withoutGCC := "1", ""
	if t.arch.GOARCH != "" {
		withoutGCC = ", so cgo is off"
	}
	gcc := has("gcc", withoutGCC)
	if !gcc {
		cgo = "0"
	}
	if t.arch.GOARCH != "" {
		s.set("CGO_ENABLED", cgo)
	}
	if !gcc {
		s.unset("CC", "CXX", "AR")
		return
	}
	s.set("CC", strings.Join(t.compiler("gcc"), " "))
	if has("g++", "") {
		s.set("CXX", strings.Join(t.compiler("g++"), " "))
	} else {
		s.unset("CXX")
	}
	// The host's ar makes no index of foreign objects; strip is not asked for
	// by more than make install.
	s.set("AR", t.tool("ar"))
}

func (s *shell) pkgConfig(t *target) {
	// Not PKG_CONFIG_PATH: that leaves the host's own directories in place.
	s.set("PKG_CONFIG_LIBDIR", strings.Join(t.pkgConfigDirs(), ":"))
	if t.Sysroot != "" {
		s.set("PKG_CONFIG_SYSROOT_DIR", t.Sysroot)
	} else {
		s.unset("PKG_CONFIG_SYSROOT_DIR")
	}
	// Rust's pkg-config crate refuses to look for foreign libraries without it.
	s.set("PKG_CONFIG_ALLOW_CROSS", "1")
}

func (s *shell) cargo(t *target) {
	if t.rust == "" {
		s.unset("CARGO_BUILD_TARGET")
		s.comment("Rust has no target for %s", t.port)
		return
	}
	s.set("CARGO_BUILD_TARGET", t.rust)
	prefix := "CARGO_TARGET_" + strings.ToUpper(strings.ReplaceAll(t.rust, "-", "_"))
	// Also if it is not installed: Cargo then names what it misses, and does
	// not give foreign objects to the host's linker.
	s.set(prefix+"_LINKER", t.tool("gcc"))
	if t.Sysroot != "" {
		s.set(prefix+"_RUSTFLAGS", linkerSysroot+t.Sysroot)
	} else {
		s.unsetOurs(prefix+"_RUSTFLAGS", linkerSysroot)
	}
	s.set(prefix+"_RUNNER", strings.Join(t.runner(), " "))
}

// host sets what is asked by what a build itself runs, which is this machine's: Cargo's build scripts
// and macros (crates cc and pkg-config), and Meson's native programs. They would have the target's
// compiler and libraries. What the user has set stays.
func (s *shell) host(t *target) {
	set := func(name, value string) {
		if os.Getenv(name) == "" {
			s.set(name, value)
		}
	}
	cargo := t.rust != "" && t.arch.GOARCH != runtime.GOARCH // else they would be the target's, too
	if cargo {
		set("HOST_CC", "cc")
		set("HOST_CXX", "c++")
		set("HOST_AR", "ar")
	}
	dirs := hostPkgConfigDirs()
	if dirs == "" {
		return
	}
	set("PKG_CONFIG_PATH_FOR_BUILD", dirs)
	if cargo {
		set("HOST_PKG_CONFIG_LIBDIR", dirs)
		if t.Sysroot != "" {
			set("HOST_PKG_CONFIG_SYSROOT_DIR", "")
		}
	}
}

// hostPkgConfigDirs returns where pkg-config looks by itself, or nothing if it is not there.
func hostPkgConfigDirs() string {
	cmd := exec.Command("pkg-config", "--variable=pc_path", "pkg-config")
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PKG_CONFIG_") })
	out, _ := cmd.Output()
	return strings.TrimSpace(string(out))
}

// files points to what writeFiles writes.
func (s *shell) files(t *target, dir string) {
	s.set("CMAKE_TOOLCHAIN_FILE", filepath.Join(dir, cmakeFile)) // CMake 3.21 and newer read it
	s.set("CROSSRUN_MESON_CROSS_FILE", filepath.Join(dir, mesonFile))
	if linked(t.arch) {
		fmt.Fprintf(&s.lines, "export PATH=%s\"${PATH:+:$PATH}\"\n", cli.Quote(filepath.Join(dir, linkDir)))
	}
	s.comment(`Meson reads no variable: meson setup --cross-file "$CROSSRUN_MESON_CROSS_FILE" build`)
}

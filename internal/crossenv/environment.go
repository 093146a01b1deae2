package crossenv

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"unicode"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
)

// Options say for what, and with what, is built.
type Options struct {
	// Name is the architecture's name as the user typed it. It chooses between
	// the ports and variants of the architecture: armhf, armel, linux/arm/v6.
	Name string

	// Variant is the platform's variant (v7). If it is empty Name has it, or it
	// is the usual one.
	Variant string

	// Runner is crossrun's absolute path.
	Runner string

	// Sysroot is the absolute path of a system of the architecture, whose
	// headers and libraries are used; empty for those of Debian's cross
	// compilers and multiarch directories.
	Sysroot string

	// Dir is the directory that WriteFiles was given. Without it there are no
	// variables that point to its files.
	Dir string

	// LookPath looks for a compiler in PATH; exec.LookPath if it is nil.
	LookPath func(string) (string, error)
}

// Environment returns the variables with which Go, C, pkg-config, Cargo, CMake
// and Meson build for the architecture and test with crossrun, and comments on
// what is missing. Those that cannot be set, and would be another
// architecture's if they are, are unset. Errors have hints.
func Environment(arch *elfmagic.Arch, o Options) ([]Variable, error) {
	t, err := prepare(arch, o)
	if err != nil {
		return nil, err
	}
	// Cargo splits the runner at white space, and knows no quotes.
	if strings.ContainsFunc(o.Runner, unicode.IsSpace) {
		return nil, cli.WithHint(fmt.Errorf("%q: Cargo accepts no runner with a space in its path", o.Runner),
			"put crossrun into a directory whose path has none")
	}
	if strings.Contains(o.Dir, ":") {
		return nil, cli.WithHint(fmt.Errorf("%q: a directory with a colon in its path cannot be in PATH", o.Dir),
			"set XDG_CACHE_HOME to another directory")
	}
	var e environment
	e.golang(t)
	e.c(t, o)
	e.pkgConfig(t, o)
	e.cargo(t, o)
	if o.Sysroot != "" {
		// For those that are run without the runner's arguments: go test's link,
		// and an entry in the kernel.
		e.set("QEMU_LD_PREFIX", o.Sysroot)
	}
	e.files(t, o)
	// Comments come last: eval without quotes makes one line of all.
	return append(e.variables, e.comments...), nil
}

// prepare checks the options and finds the target that they name.
func prepare(arch *elfmagic.Arch, o Options) (*target, error) {
	if err := absolute("runner", o.Runner); err != nil {
		return nil, err
	}
	if o.Sysroot != "" {
		if err := absolute("sysroot", o.Sysroot); err != nil {
			return nil, err
		}
		// It becomes a part of CC, which make, configure and Go read differently.
		odd := func(c rune) bool {
			return c < unicode.MaxASCII && !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("+,-./@_=", c)
		}
		if strings.ContainsFunc(o.Sysroot, odd) {
			return nil, cli.WithHint(fmt.Errorf("%q: build tools accept no sysroot with a space or special character in its path", o.Sysroot),
				"name a symbolic link to it")
		}
	}
	if o.Dir != "" {
		if err := absolute("directory", o.Dir); err != nil {
			return nil, err
		}
	}
	return findTarget(arch, o)
}

// absolute returns an error if a path is not absolute, or has characters that
// no file of settings can have in it.
func absolute(what, path string) error {
	switch {
	case path == "":
		return errors.New(what + ": no path given")
	case !filepath.IsAbs(path):
		return cli.WithHint(fmt.Errorf("%s: %q is not an absolute path", what, path), "builds change their directory: name it from / on")
	case strings.ContainsFunc(path, unicode.IsControl):
		return cli.WithHint(fmt.Errorf("%s: %q has a control character in it", what, path), "rename it, or name a symbolic link to it")
	}
	return nil
}

// An environment is being put together.
type environment struct {
	variables, comments []Variable
}

func (e *environment) set(name, value string) {
	e.variables = append(e.variables, Variable{Name: name, Value: value})
}

func (e *environment) unset(names ...string) {
	for _, name := range names {
		e.variables = append(e.variables, Variable{Name: name, Unset: true})
	}
}

func (e *environment) comment(format string, args ...any) {
	e.comments = append(e.comments, Variable{Comment: fmt.Sprintf(format, args...)})
}

func (e *environment) golang(t *target) {
	if t.arch.GOARCH == "" {
		e.unset("GOOS", "GOARCH")
		e.comment("Go has no port for %s", t.arch)
		return
	}
	e.set("GOOS", "linux")
	e.set("GOARCH", t.arch.GOARCH)
	if t.goName != "" {
		e.set(t.goName, t.goValue)
	}
}

// c sets the compilers that are installed.
func (e *environment) c(t *target, o Options) {
	has := func(tool string) bool {
		look := o.LookPath
		if look == nil {
			look = exec.LookPath
		}
		_, err := look(t.tool(tool))
		return err == nil
	}
	missing := func(tool, consequence string) {
		install := "Debian has no package of it"
		if !t.unpackaged {
			install = "apt-get install " + t.packageOf(tool)
		}
		e.comment("%s is not installed%s: %s", t.tool(tool), consequence, install)
	}
	if !has("gcc") {
		if t.arch.GOARCH != "" {
			e.set("CGO_ENABLED", "0")
			missing("gcc", ", so cgo is off")
		} else {
			missing("gcc", "")
		}
		e.unset("CC", "CXX", "AR")
		return
	}
	if t.arch.GOARCH != "" {
		e.set("CGO_ENABLED", "1")
	}
	e.set("CC", strings.Join(t.compiler("gcc", o), " "))
	if has("g++") {
		e.set("CXX", strings.Join(t.compiler("g++", o), " "))
	} else {
		e.unset("CXX")
		missing("g++", "")
	}
	// The host's ar makes no index of foreign objects; strip is not asked for
	// by more than make install.
	e.set("AR", t.tool("ar"))
}

func (e *environment) pkgConfig(t *target, o Options) {
	// Not PKG_CONFIG_PATH: that leaves the host's own directories in place.
	e.set("PKG_CONFIG_LIBDIR", strings.Join(t.pkgConfigDirs(o), ":"))
	if o.Sysroot != "" {
		e.set("PKG_CONFIG_SYSROOT_DIR", o.Sysroot)
	} else {
		e.unset("PKG_CONFIG_SYSROOT_DIR")
	}
	// Rust's pkg-config crate refuses to look for foreign libraries without it.
	e.set("PKG_CONFIG_ALLOW_CROSS", "1")
}

func (e *environment) cargo(t *target, o Options) {
	if t.rust == "" {
		e.unset("CARGO_BUILD_TARGET")
		e.comment("Rust has no target for %s", t.port)
		return
	}
	e.set("CARGO_BUILD_TARGET", t.rust)
	prefix := "CARGO_TARGET_" + strings.ToUpper(strings.ReplaceAll(t.rust, "-", "_"))
	// Also if it is not installed: Cargo then names what it misses, and does
	// not give foreign objects to the host's linker.
	e.set(prefix+"_LINKER", t.tool("gcc"))
	if o.Sysroot != "" {
		e.set(prefix+"_RUSTFLAGS", "-Clink-arg=--sysroot="+o.Sysroot)
	}
	e.set(prefix+"_RUNNER", strings.Join(runner(o), " "))
}

// files points to what WriteFiles writes.
func (e *environment) files(t *target, o Options) {
	if o.Dir == "" {
		return
	}
	e.set("CMAKE_TOOLCHAIN_FILE", filepath.Join(o.Dir, cmakeFile)) // CMake 3.21 and newer read it
	e.set("CROSSRUN_MESON_CROSS_FILE", filepath.Join(o.Dir, mesonFile))
	if t.arch.GOARCH != "" && t.arch.GOARCH != runtime.GOARCH {
		e.variables = append(e.variables, Variable{Name: "PATH", Value: filepath.Join(o.Dir, linkDir), Prepend: true})
	}
	e.comment(`Meson reads no variable: meson setup --cross-file "$CROSSRUN_MESON_CROSS_FILE" build`)
}

// runner returns the command that runs a program.
func runner(o Options) []string {
	words := []string{o.Runner}
	if o.Sysroot != "" {
		words = append(words, "--sysroot", o.Sysroot)
	}
	return words
}

// tool returns the name of a tool of Debian's cross toolchain.
func (t *target) tool(name string) string { return t.triplet + "-" + name }

// packageOf returns Debian's package of a cross compiler.
func (t *target) packageOf(compiler string) string {
	return compiler + "-" + strings.ReplaceAll(t.triplet, "_", "-")
}

// compiler returns the command of a compiler.
func (t *target) compiler(name string, o Options) []string {
	words := []string{t.tool(name)}
	if o.Sysroot != "" {
		words = append(words, "--sysroot="+o.Sysroot)
	}
	return words
}

// pkgConfigDirs returns where pkg-config finds the architecture's libraries.
func (t *target) pkgConfigDirs(o Options) []string {
	if o.Sysroot == "" {
		return []string{"/usr/lib/" + t.multiarch + "/pkgconfig", "/usr/share/pkgconfig"}
	}
	// Not every system has multiarch directories.
	var dirs []string
	for _, dir := range []string{"/usr/lib/" + t.multiarch, "/usr/lib", "/usr/share"} {
		dirs = append(dirs, filepath.Join(o.Sysroot, dir, "pkgconfig"))
	}
	return dirs
}

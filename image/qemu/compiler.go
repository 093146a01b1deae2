package qemu

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/program"
	"github.com/projectcalico/go-build/internal/cli"
)

// oldestClang is the oldest that the recipe was tried with, newestClang one that
// there is not yet.
const oldestClang, newestClang = 19, 49

// installTools says how to get what is missing.
const installTools = "make emulators installs what is missing (root, Debian 12 or newer)"

// A Compiler is clang with its linker and tools, of one version.
type Compiler struct {
	Major   int
	Version string // what it says of itself
}

// tool returns the name of one of its commands: lld-19.
func (c Compiler) tool(name string) string { return fmt.Sprintf("%s-%d", name, c.Major) }

// tools are the commands that a build requires.
var tools = []string{"clang", "lld", "llvm-ar", "llvm-nm", "llvm-ranlib", "llvm-strip", "llvm-objcopy", "llvm-profdata"}

// newestCompiler returns the newest version all of whose tools there are.
func newestCompiler(has func(tool string) bool) (Compiler, error) {
	missing := fmt.Sprintf("clang %d or newer", oldestClang)
	var found Compiler
	for major := oldestClang; major <= newestClang; major++ {
		c := Compiler{Major: major}
		first := slices.IndexFunc(tools, func(name string) bool { return !has(c.tool(name)) })
		if first < 0 {
			found = c
		} else if first > 0 { // clang, without what it requires
			missing = c.tool(tools[first])
		}
	}
	if found.Major == 0 {
		return found, cli.WithHint(fmt.Errorf("%s is not installed", missing), installTools)
	}
	return found, nil
}

// otherTools are commands that a build runs besides, and Debian's packages of them.
var otherTools = []struct{ command, pack string }{
	{"bison", "bison"}, {"flex", "flex"}, {"ninja", "ninja-build"}, {"patch", "patch"}, {"diff3", "diffutils"}, {"pkg-config", "pkg-config"}, {"dpkg-source", "dpkg-dev"},
}

// missingTools returns the packages of those that are not installed.
func missingTools(ctx context.Context) []string {
	var packages []string
	for _, t := range otherTools {
		if _, err := exec.LookPath(t.command); err != nil {
			packages = append(packages, t.pack)
		}
	}
	if exec.CommandContext(ctx, "/usr/bin/python3", "-c", "import venv").Run() != nil {
		packages = append(packages, "python3", "python3-venv")
	}
	return packages
}

// findCompiler finds the newest clang whose tools are installed, and whose
// runtime for profiles is.
func findCompiler(ctx context.Context) (Compiler, error) {
	c, err := newestCompiler(func(tool string) bool { _, err := exec.LookPath(tool); return err == nil })
	if err != nil {
		return c, err
	}
	out, err := program.Output(program.Command(ctx, c.tool("clang"), "--version"))
	if err != nil {
		return c, err
	}
	line, _, _ := strings.Cut(out, "\n")
	c.Version = strings.TrimSpace(line)
	if out, err = program.Output(program.Command(ctx, c.tool("clang"), "--print-resource-dir")); err != nil {
		return c, err
	}
	runtimes, _ := filepath.Glob(filepath.Join(strings.TrimSpace(out), "lib", "*", "libclang_rt.profile*.a"))
	if len(runtimes) == 0 {
		return c, cli.WithHint(fmt.Errorf("libclang-rt-%d-dev is not installed", c.Major), installTools)
	}
	return c, nil
}

// InstallTools installs what builds the emulators besides Go, if it is missing:
// clang with its linker and tools, of one version, and what QEMU's configure
// requires. Libraries and headers are fetched, not installed.
func InstallTools(ctx context.Context, say func(string, ...any)) error {
	missing := missingTools(ctx)
	_, clang := findCompiler(ctx)
	if clang == nil && len(missing) == 0 {
		return nil
	}
	err := debian.Install(ctx, say, func(ctx context.Context, apt *debian.Apt) ([]string, error) {
		if clang == nil {
			return missing, nil
		}
		var names []string
		for major := oldestClang; major <= newestClang; major++ {
			names = append(names, Compiler{Major: major}.tool("clang"))
		}
		known, err := apt.Known(ctx, names...)
		if err != nil {
			return nil, err
		}
		for _, name := range slices.Backward(names) {
			if slices.ContainsFunc(known, func(p debian.Package) bool { return p.Name == name }) {
				major := strings.TrimPrefix(name, "clang-")
				return append(slices.Clone(missing), name, "lld-"+major, "llvm-"+major, "libclang-rt-"+major+"-dev"), nil
			}
		}
		return nil, cli.WithHint(fmt.Errorf("apt knows no clang %d or newer", oldestClang), "Debian 12 or newer is required, or LLVM's own packages")
	})
	if err != nil {
		return fmt.Errorf("what builds the emulators is not installed: %w", errors.Join(clang, err))
	}
	return nil
}

// Hosts are the architectures that emulators are built for: their Debian
// packages are fetched, and QEMU has a code generator for each.
func Hosts() []string { return []string{"amd64", "arm64"} }

// Host returns a host by its name.
func Host(name string) (*elfmagic.Arch, error) {
	arch, err := elfmagic.Lookup(name)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(Hosts(), arch.GOARCH) {
		return nil, cli.WithHint(fmt.Errorf("emulators are not built for %s", arch), "there are %s; make debian-emulators installs Debian's", strings.Join(Hosts(), " and "))
	}
	return arch, nil
}

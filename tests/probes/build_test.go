package probes

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/commands"
)

// mark is what the last byte of e_ident, which nothing reads, is in programs of
// the battery: by it binfmt_misc knows them, also those for this machine's own
// architecture, and by nothing else.
const mark = 'P'

// entry has an emulator run the programs.
func entry(emulator string) binfmt.Entry {
	magic, mask := make([]byte, elf.EI_NIDENT), make([]byte, elf.EI_NIDENT)
	copy(magic, elf.ELFMAG)
	copy(mask, "\xff\xff\xff\xff")
	magic[elf.EI_NIDENT-1], mask[elf.EI_NIDENT-1] = mark, 0xff
	return binfmt.Entry{
		Name: "probe", Pattern: elfmagic.Pattern{Magic: magic, Mask: mask}, Interpreter: emulator,
		Flags: binfmt.PreserveArgv0 | binfmt.OpenBinary | binfmt.FixBinary,
	}
}

// sources are the C families' files, without the extension.
func sources() ([]string, error) {
	files, err := filepath.Glob("testdata/*.c")
	if err != nil {
		return nil, err
	}
	var families []string
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".c"); name != "probe" {
			families = append(families, name)
		}
	}
	return families, nil
}

// compiler is the one that makes programs of an architecture, and its arguments.
func compiler(arch *elfmagic.Arch) []string {
	if len(arch.Debian) == 0 {
		return nil
	}
	command := []string{arch.Debian[0].Triplet + "-gcc"}
	switch arch.Name {
	case "alpha": // bytes by themselves, and what IEEE 754 asks for
		command = append(command, "-mcpu=ev67", "-mieee-with-inexact", "-mfp-rounding-mode=d")
	case "i386":
		command = append(command, "-msse2", "-mfpmath=sse") // the older unit's results are wider than what is asked for
	}
	return append(append(command, commands.Port(arch.Debian[0].Triplet).Link()...), "-pthread", "-O2", "-fasynchronous-unwind-tables", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-format-truncation", "-Wno-clobbered")
}

var errNoCompiler = errors.New("no cross compiler")

// build makes all programs of an architecture in a directory, in which those
// that are there already are kept.
func build(ctx context.Context, arch *elfmagic.Arch, dir string, only []string) (map[string]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	families, err := sources()
	if err != nil {
		return nil, err
	}
	programs := make(map[string]string)
	gcc := compiler(arch)
	if gcc == nil {
		return nil, fmt.Errorf("%w for %s", errNoCompiler, arch.Name)
	}
	if _, err := exec.LookPath(gcc[0]); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoCompiler, err)
	}
	for _, family := range families {
		files := []string{"testdata/probe.c", "testdata/" + family + ".c"}
		programs[family], err = made(ctx, filepath.Join(dir, family), append([]string{"testdata/probe.h"}, files...), func(out string) *exec.Cmd {
			args := slices.Concat(gcc[1:], []string{"-o", out}, files, []string{"-lrt", "-lm", "-Wl,--as-needed", "-latomic"}) // some 32-bit ones have no atomics of 64 bits
			return exec.CommandContext(ctx, gcc[0], args...)
		})
		if err != nil {
			return nil, err
		}
	}
	if arch.GOARCH != "" {
		files, err := filepath.Glob("golang/*.go")
		if err != nil {
			return nil, err
		}
		programs["golang"], err = made(ctx, filepath.Join(dir, "golang"), files, func(out string) *exec.Cmd {
			cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", out, "./golang")
			cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch.GOARCH, "CGO_ENABLED=0")
			return cmd
		})
		if err != nil {
			return nil, err
		}
	}
	for family := range programs {
		if len(only) > 0 && !slices.Contains(only, family) {
			delete(programs, family)
		}
	}
	return programs, nil
}

// made returns the program that a command makes of files, in which it is marked;
// its name has what it was made of.
func made(ctx context.Context, name string, files []string, command func(out string) *exec.Cmd) (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, command("").Args)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		sum.Write(text)
	}
	path := fmt.Sprintf("%s-%.8x", name, sum.Sum(nil))
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	partial := fmt.Sprint(path, ".", os.Getpid())
	cmd := command(partial)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out.String())
	}
	f, err := os.OpenFile(partial, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	_, err = f.WriteAt([]byte{mark}, elf.EI_NIDENT-1)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	return path, os.Rename(partial, path)
}

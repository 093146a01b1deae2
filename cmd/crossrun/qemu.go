package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
)

// Build tools call QEMU's emulators by their names and with their flags: Zig, Cross,
// CMake (CROSSCOMPILING_EMULATOR), Meson (exe_wrapper), Cargo's runners. Called so,
// crossrun takes these flags, and runs what the program starts, too.

// A qemuFlag is one of QEMU's (linux-user/main.c, arg_table; those of 7.2 to 11.1).
// The variable of QEMU's that means the same holds for what the program starts, too.
type qemuFlag struct {
	name     string
	hasValue bool
	variable string
	set      func(c *qemuCall, value string) error // instead of the variable
}

var qemuFlags = []qemuFlag{
	{"h", false, "", (*qemuCall).ask},
	{"help", false, "", (*qemuCall).ask},
	{"version", false, "", (*qemuCall).ask},

	{"0", true, "", func(c *qemuCall, v string) error { c.argv0 = &v; return nil }},
	{"L", true, "", func(c *qemuCall, v string) error { c.prefix = v; return nil }},
	{"cpu", true, "", (*qemuCall).setCPU},
	{"E", true, "", (*qemuCall).setVariables},
	{"U", true, "", (*qemuCall).unsetVariables},
	{"g", true, "", func(c *qemuCall, v string) error { c.gdb = v; return nil }},
	{"strace", false, "", func(c *qemuCall, _ string) error { c.strace = true; return nil }},

	{"s", true, "QEMU_STACK_SIZE", nil},
	{"r", true, "QEMU_UNAME", nil},
	{"B", true, "QEMU_GUEST_BASE", nil},
	{"R", true, "QEMU_RESERVED_VA", nil},
	{"t", true, "QEMU_RTSIG_MAP", nil},
	{"d", true, "QEMU_LOG", nil},
	{"dfilter", true, "QEMU_DFILTER", nil},
	{"D", true, "QEMU_LOG_FILENAME", nil},
	{"p", true, "QEMU_PAGESIZE", nil},
	{"one-insn-per-tb", false, "QEMU_ONE_INSN_PER_TB", nil},
	{"singlestep", false, "QEMU_SINGLESTEP", nil},
	{"tb-size", true, "QEMU_TB_SIZE", nil},
	{"tb-cache", true, tbCache, nil}, // ours
	{"seed", true, "QEMU_RAND_SEED", nil},
	{"trace", true, "QEMU_TRACE", nil},
	{"plugin", true, "QEMU_PLUGIN", nil},
	{"perfmap", false, "QEMU_PERFMAP", nil},
	{"jitdump", false, "QEMU_JITDUMP", nil},
	{"xtensa-abi-call0", false, "QEMU_XTENSA_ABI_CALL0", nil},
}

// A qemuCall is a command line of QEMU's.
type qemuCall struct {
	options
	name   string // that the command was called by
	arch   *elfmagic.Arch
	argv0  *string
	prefix string // where QEMU looks for what a program opens first: a sysroot
	asks   bool   // something of the emulator itself
	given  []string
}

// runAsQEMU runs a command line of QEMU's emulator for an architecture.
func runAsQEMU(args []string, arch *elfmagic.Arch, stdout, stderr io.Writer) int {
	c := &qemuCall{name: filepath.Base(args[0]), arch: arch}
	argv0, byKernel := startedByKernel()
	var err error
	if byKernel {
		err = c.fromKernel(args[1:], argv0)
	} else {
		err = c.parse(args[1:])
	}
	switch {
	case err != nil && cli.Hint(err) == "":
		err = cli.WithHint(err, "%s [flags] PROGRAM [ARG…], where the flags are QEMU's, which %s -h lists", c.name, c.name)
	case err != nil:
	case c.asks:
		err = c.askEmulator()
	default:
		err = c.run(stdout, stderr)
	}
	return exitStatus(err, stderr)
}

// parse reads the arguments as QEMU does: flags have one dash or two, their values
// are words of their own, and the first other word is the program.
func (c *qemuCall) parse(args []string) error {
	c.given = args
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		given := args[0]
		args = args[1:]
		if given == "--" {
			break
		}
		flag, err := findQEMUFlag(given)
		if err != nil {
			return err
		}
		value := "1"
		if flag.hasValue {
			if len(args) == 0 {
				return fmt.Errorf("flag needs an argument: %s", given)
			}
			value, args = args[0], args[1:]
		}
		if err := c.take(flag, value); err != nil {
			return fmt.Errorf("%s %s: %w", given, value, err)
		}
	}
	c.args = args
	if len(args) == 0 && !c.asks {
		return errors.New("no program given")
	}
	return nil
}

func findQEMUFlag(given string) (*qemuFlag, error) {
	name := strings.TrimPrefix(strings.TrimPrefix(given, "-"), "-")
	for i := range qemuFlags {
		if qemuFlags[i].name == name {
			return &qemuFlags[i], nil
		}
	}
	return nil, fmt.Errorf("unknown flag: %s", given)
}

func (c *qemuCall) take(flag *qemuFlag, value string) error {
	if flag.set != nil {
		return flag.set(c, value)
	}
	c.asks = c.asks || flag.hasValue && value == "help" // -d help, -trace help
	return os.Setenv(flag.variable, value)
}

func (c *qemuCall) ask(string) error {
	c.asks = true
	return nil
}

// setCPU sets the model for all programs of the architecture. Emulators of others,
// which QEMU_CPU would be for, too, end on a CPU that they do not know.
func (c *qemuCall) setCPU(model string) error {
	if model == "help" || model == "?" {
		return c.ask("")
	}
	os.Unsetenv("QEMU_CPU") // the flag comes first
	return setSetting(c.arch, "CPU", model)
}

// setVariables and unsetVariables have several, as QEMU has, with commas between.
func (c *qemuCall) setVariables(list string) error {
	for v := range strings.SplitSeq(list, ",") {
		if name, _, whole := strings.Cut(v, "="); !whole || name == "" {
			return cli.WithHint(fmt.Errorf("%q is not NAME=VALUE", v), "as in QEMU, a comma begins another variable")
		}
		c.changes = append(c.changes, v)
	}
	return nil
}

func (c *qemuCall) unsetVariables(list string) error {
	for name := range strings.SplitSeq(list, ",") {
		if name == "" || strings.Contains(name, "=") {
			return fmt.Errorf("%q is no name of a variable", name)
		}
		c.changes = append(c.changes, name)
	}
	return nil
}

// fromKernel takes what the kernel calls the interpreter of an entry with: the
// program's path, its argv[0] if the entry has the flag P, and its arguments. The
// kernel is not asked to run it again, which would never end.
func (c *qemuCall) fromKernel(args []string, argv0 bool) error {
	if argv0 && len(args) > 1 {
		c.argv0 = &args[1]
		args = append(args[:1:1], args[2:]...)
	}
	if len(args) == 0 {
		return errors.New("no program given")
	}
	c.args, c.asked, c.by = args, byEmulator, "its entry in the kernel"
	return nil
}

// run runs the program, of which QEMU wants the path: it does not look into PATH.
func (c *qemuCall) run(stdout, stderr io.Writer) error {
	argv := append([]string(nil), c.args...)
	if c.argv0 != nil {
		argv[0] = *c.argv0
	}
	p, err := inspect("", c.args[0], argv, 0)
	if err != nil {
		return err
	}
	binary := p.binary()
	if binary.elfErr != nil {
		return unusable(binary)
	}
	if arch := binary.header.Arch; arch != c.arch {
		err := fmt.Errorf("%s: invalid ELF image for this architecture: it is for %s, not for %s", binary.path, arch.Platform(), c.arch.Platform())
		return cannot(cli.WithHint(err, "%s runs it, and crossrun, which looks by itself", emulator.EntryName(arch)))
	}
	if err := c.setSysroot(binary); err != nil {
		return err
	}
	if c.gdb != "" && c.asked == firstWay {
		c.asked, c.by = byEmulator, "-g"
	}
	f, err := gather(p, &c.options)
	if err != nil {
		return err
	}
	if (f.foreign == nil || f.itself) && c.asked == firstWay {
		// The kernel would run it without an emulator, which the name asks for.
		c.asked, c.by = byEmulator, c.name
	}
	return take(p, &c.options, f, stdout, stderr)
}

// setSysroot has all programs of the architecture find their loaders and libraries
// where -L says. A prefix that has no loader for the program is QEMU's own affair:
// it looks there first for each file that a program opens.
func (c *qemuCall) setSysroot(binary *program) error {
	if c.prefix == "" {
		return nil
	}
	dir, err := filepath.Abs(c.prefix) // for what the program starts elsewhere
	switch {
	case err != nil:
		return err
	case binary.interp == "" || !hasLoader(dir, binary):
		return os.Setenv("QEMU_LD_PREFIX", dir)
	}
	return setSetting(c.arch, "SYSROOT", dir)
}

// askEmulator has the emulator itself say what it is asked.
func (c *qemuCall) askEmulator() error {
	e, err := findEmulator(&c.options, c.arch)
	if err != nil {
		return err
	}
	w := &way{path: e.Path, argv: append([]string{c.name}, c.given...), emulator: e}
	return cannot(fmt.Errorf("%s: %w", e.Name(), w.exec(func() {})))
}

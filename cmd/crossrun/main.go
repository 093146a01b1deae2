// Crossrun runs a program of any architecture: by itself if the host can, by
// what is registered with the kernel if that can, else by QEMU's user-mode
// emulator. Nothing stays between the caller and the program.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/pflag"

	"github.com/projectcalico/go-build/internal/message"
	"github.com/projectcalico/go-build/internal/version"
)

// Exit statuses of crossrun itself, as env and docker run have them; any other
// is the program's.
const (
	exitFailed   = 125 // crossrun failed: wrong flags, no such emulator or sysroot
	exitCannot   = 126 // the program was found and cannot be run
	exitNotFound = 127 // the program was not found
)

const name = "crossrun"

func main() {
	os.Exit(run(arguments(os.Args), os.Stdout, os.Stderr))
}

// arguments returns what follows the command's name. Under the name that go run
// and go test look for, go_linux_arm64_exec for one, all of it is the program's.
func arguments(args []string) []string {
	if hook, _ := path.Match("go_linux_*_exec", filepath.Base(args[0])); hook {
		return append([]string{"--"}, args[1:]...)
	}
	return args[1:]
}

// options is what the command line asks for.
type options struct {
	emulator string
	sysroot  string
	cpu      string
	print    bool
	verbose  bool
	version  bool
	help     bool
	args     []string // the program and its arguments
}

func (o *options) flags() *pflag.FlagSet {
	f := pflag.NewFlagSet(name, pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	// The first argument that is no flag is the program; what follows is its.
	f.SetInterspersed(false)
	f.StringVar(&o.emulator, "emulator", "", "run the program with this emulator: a `file`, or a name looked up in PATH")
	f.StringVar(&o.sysroot, "sysroot", "", "`directory` with the loader and libraries of a dynamically linked program (default: found by itself)")
	f.StringVar(&o.cpu, "cpu", "", "CPU `model` to emulate; max has every feature, and the emulator's -cpu help lists all")
	f.BoolVar(&o.print, "print", false, "print what would be run, as a shell command, and do not run it")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "say on standard error what is run, and why so")
	f.BoolVar(&o.version, "version", false, "print the version")
	f.BoolVarP(&o.help, "help", "h", false, "print this text")
	return f
}

func run(args []string, stdout, stderr io.Writer) int {
	var o options
	var err error
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		o.args = args // no flags, most often: they need not be known
	} else {
		f := o.flags()
		err = f.Parse(args)
		o.args = f.Args()
	}
	switch {
	case err != nil:
	case o.help:
		fmt.Fprint(stdout, usage())
		return 0
	case o.version:
		fmt.Fprintf(stdout, "%s %s %s %s/%s\n", name, version.String(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return 0
	case len(o.args) == 0:
		err = errors.New("no program given")
	}
	if err != nil {
		message.Error(stderr, name, message.WithHint(err, "%s [flags] BINARY [ARG…]; %s --help says more", name, name))
		return exitFailed
	}
	if err := crossrun(&o, stdout, stderr); err != nil {
		message.Error(stderr, name, err)
		var status *statusError
		if errors.As(err, &status) {
			return status.status
		}
		return exitFailed
	}
	return 0 // --print; execve does not return
}

// A statusError is an error with the exit status that it means.
type statusError struct {
	error
	status int
}

func (e *statusError) Unwrap() error { return e.error }

func cannot(err error) error   { return &statusError{err, exitCannot} }
func notFound(err error) error { return &statusError{err, exitNotFound} }

func usage() string {
	var o options
	return `Usage: crossrun [flags] BINARY [ARG…]

Runs BINARY, whichever architecture it is for. A program of the host's own is
just executed. One of another architecture is executed too if the kernel has an
enabled entry for it (see register), and otherwise given to QEMU's emulator.
It takes no privilege, and registers nothing.

The program takes crossrun's place: exit status, signals, terminal, working
directory, standard streams and environment are its own.

Examples:
  crossrun ./hello                       a program of any architecture
  crossrun --sysroot /srv/arm64 ./hello  with the libraries of that system
  crossrun --cpu max ./hello             with every CPU feature
  crossrun --print ./hello               what would be run?

Under the name go_linux_GOARCH_exec, in PATH, it is what the go command runs
programs of that GOARCH with: GOARCH=arm64 go test ./... then needs no more.

Flags:
` + o.flags().FlagUsagesWrapped(100) + `
A dynamically linked program needs its loader and libraries: they are looked
for in / and in Debian's /usr/TRIPLET (libc6-ARCH-cross). QEMU_LD_PREFIX and
QEMU's other variables are honoured.

Exit status: the program's; 125 if crossrun fails, 126 if BINARY cannot be run,
127 if it is not found.
`
}

// existingDirectory returns an error if path is not one.
func existingDirectory(flag, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return message.WithHint(fmt.Errorf("%s: %w", flag, err), "name the directory that has lib/ and usr/ in it")
	}
	if !info.IsDir() {
		return fmt.Errorf("%s: %s is not a directory", flag, filepath.Clean(path))
	}
	return nil
}

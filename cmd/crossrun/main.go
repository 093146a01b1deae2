// Crossrun runs a program of any architecture: by itself if the host can, by
// what is registered with the kernel if that can, else by QEMU's user-mode
// emulator. Nothing stays between the caller and the program, but for one in
// another root file system.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/embedded"
	"github.com/projectcalico/go-build/internal/emulator"
	_ "github.com/projectcalico/go-build/internal/heap"
	"github.com/projectcalico/go-build/internal/watch"
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
	beTraceable()
	private.Main()
	if inBuild() {
		embedded.KeepNothing()
	}
	watch.Main(configureWatched) // a supervisor unpacks, too
	emulator.Option = "--emulator FILE"
	switch {
	case os.Args[0] == watcher:
		if err := keepTime(os.Args); err != nil {
			fmt.Print(err)
			os.Exit(exitFailed)
		}
	case os.Args[0] == interpreter && embedded.Emulators() != nil:
		cli.Error(os.Stderr, name, interpret(os.Args[1:]))
		os.Exit(exitCannot)
	case os.Args[0] == helperName:
		os.Exit(handOn(os.Args[1:], os.Stderr))
	default:
		stdout := &cli.Output{Writer: os.Stdout}
		os.Exit(stdout.Status(runAs(os.Args, stdout, os.Stderr), exitFailed, os.Stderr, name))
	}
}

// options is what the command line asks for.
type options struct {
	kernel, private, handedOn, watched, direct bool
	print, verbose, version, help, strace      bool
	doctor                                     bool
	emulator, cpu, sysroot, rootfs             string
	env, link, names, gdb, generate            string
	platform, translations, cache              string
	archive                                    string   // that rootfs was unpacked from
	held                                       *os.File // which says that it is in use
	setenv, emulators                          []string
	changes                                    []string // of the caller's environment: NAME=VALUE, or NAME to be unset
	timeout                                    time.Duration

	evaluated bool // a shell evaluates what is printed

	args  []string // the program and its arguments
	asked string   // the flag of the way that is asked for,
	by    string   // and the one that does
}

func (o *options) flags() *pflag.FlagSet {
	f := pflag.NewFlagSet(name, pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	// The first argument that is no flag is the program; what follows is its.
	f.SetInterspersed(false)
	f.BoolVar(&o.private, "private", false, "run it, and what it starts, in a binfmt_misc of its own, or fail; native programs, too, for what they start")
	f.StringVar(&o.rootfs, "rootfs", "", "run the command in this root file system, a `directory` with a whole system of any architecture, as its root user; or in a copy, of which nothing is kept, of an archive of one")
	f.StringVar(&o.platform, "platform", "", "with --rootfs and an archive of an image that has several: which `one` of them (default: the host's, or the only one)")
	f.StringArrayVarP(&o.setenv, "setenv", "E", nil, "with --rootfs, whose environment is a login's: a `variable` of the command, NAME=VALUE, or NAME with the caller's value")
	f.StringVar(&o.sysroot, "sysroot", "", "`directory` with the loader and libraries of a dynamically linked program, or of what a native one starts (default: found by itself)")
	f.StringVar(&o.cpu, "cpu", "", "CPU `model` to emulate; max has every feature, and the emulator's -cpu help lists all")
	f.BoolVar(&o.print, "print", false, "print what would be run, as a shell command, and do not run it")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "say on standard error what is run, and why so")
	f.BoolVar(&o.doctor, "doctor", false, "say what runs here, in which way, why not, and what to do; a program of each architecture is tried")
	f.BoolVarP(&o.help, "help", "h", false, "print this text")
	f.BoolVar(&o.version, "version", false, "print the version")

	f.BoolVar(&o.kernel, "kernel", false, "run the program by what is registered with the kernel, or fail")
	f.BoolVar(&o.handedOn, "handed-on", false, "run the program by an emulator that hands on what it cannot execute, or fail; it must be one of ours")
	f.BoolVar(&o.watched, "watched", false, "run it, and what it starts, under a supervisor that looks at what they execute, or fail; needs no namespaces")
	f.BoolVar(&o.direct, "direct", false, "run the program by the emulator, and leave what it starts to the kernel")
	f.StringArrayVar(&o.emulators, "emulator", nil, "run the program with this emulator, QEMU's or not (FEX, box64): a `file`, or a name looked up in PATH; or, with what it starts, all of an architecture: ARCH=FILE")
	f.BoolVar(&o.strace, "strace", false, "print emulated system calls on standard error, of all processes")
	f.StringVarP(&o.gdb, "gdb", "g", "", "wait for a debugger on this TCP `port` (gdb-multiarch: target remote :PORT); the program itself only, by the emulator")
	f.DurationVar(&o.timeout, "timeout", 0, "end the program with SIGTERM after this `time` (90s, 5m), and with SIGKILL ten seconds later")
	f.StringVar(&o.translations, "cache-translations", "", "have emulators of ours keep what they translate, for the next start: `on|off`, or a directory of your own; alone: on")
	f.Lookup("cache-translations").NoOptDefVal = "on"
	f.StringVar(&o.cache, "cache", "", "show which translations are kept, and how many: `show|clear`; clear removes them; alone: show")
	f.Lookup("cache").NoOptDefVal = showCache
	f.StringVar(&o.env, "env", "", "print what a shell evaluates to build and test for an `architecture`: eval \"$(crossrun --env arm64)\"")
	f.StringVar(&o.link, "link", "", "make links to this command in a `directory`, under the names that others look for in PATH")
	f.StringVar(&o.names, "names", "", "with --link, a `list` of whose names: go (go run, go test; the default), qemu (what calls QEMU's emulators), buildkit (RUN steps of other platforms; a crossrun with embedded emulators)")
	f.StringVar(&o.generate, "generate", "", "print completions of the command line for a shell, or the manual page: `bash|zsh|fish|man`")
	return f
}

func run(args []string, stdout, stderr io.Writer) int {
	var o options
	var err error
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		o.args = args // no flags, most often: they need not be known
	} else {
		f := o.flags()
		if err = f.Parse(args); err == nil {
			err = cli.GivenEmpty(f)
		}
		o.args, o.evaluated = f.Args(), f.Changed("env") || err != nil && slices.ContainsFunc(args, isEnv)
	}
	if err == nil {
		if said, status := o.says(stdout, stderr); said {
			return status
		}
		err = o.check()
	}
	if err == nil && o.timeout > 0 && !o.print && os.Getpid() == 1 {
		return runAsChild(stderr)
	}
	if o.translations != "" && err == nil {
		err = os.Setenv(translationsVariable, o.translations) // for what the program starts, too
	}
	if err != nil {
		err = habit(err, args)
	} else if err = cmp.Or(o.nameEmulators(), o.mode(), existingDirectory("--sysroot", o.sysroot)); err == nil {
		err = o.unpackRoot(stderr)
	}
	if err == nil {
		err = o.do(stdout, stderr)
	}
	if err == nil {
		return 0 // --print; execve does not return
	}
	if o.evaluated {
		fmt.Fprintln(stdout, "false") // of eval "$()" a shell looks at what it evaluates only
	}
	return exitStatus(err, stderr)
}

// isEnv reports whether an argument is the flag --env, which may not have been reached.
func isEnv(arg string) bool { return arg == "--env" || strings.HasPrefix(arg, "--env=") }

// says prints what is asked of the command itself, if something is, and returns the exit
// status.
func (o *options) says(stdout, stderr io.Writer) (said bool, status int) {
	switch {
	case o.help:
		fmt.Fprint(stdout, usage())
	case o.version:
		fmt.Fprintf(stdout, "%s %s %s %s/%s\n", name, cli.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		fmt.Fprint(stdout, emulator.Known())
	case o.generate != "":
		text, err := page().GeneratedFor(o.generate)
		if err != nil {
			return true, exitStatus(err, stderr)
		}
		fmt.Fprint(stdout, text)
	default:
		return false, 0
	}
	return true, 0
}

// check returns an error if flags do not go together, or with the program's name.
func (o *options) check() error {
	switch {
	case o.names != "" && o.link == "":
		return errors.New("--names is for --link: which links are made")
	case o.env != "" || o.link != "" || o.doctor || o.cache != "":
		if len(o.args) > 0 {
			err := fmt.Errorf("--env, --link, --cache and --doctor run no program: %q is too much", o.args[0])
			return cli.WithHint(err, "%s", saidHere(o.args[0]))
		}
	case len(o.args) == 0:
		return errors.New("no program given")
	case len(o.setenv) > 0 && o.rootfs == "":
		return errors.New("--setenv is for --rootfs: elsewhere the environment is the caller's")
	case slices.ContainsFunc(o.setenv, func(v string) bool { return strings.HasPrefix(v, "=") || v == "" }):
		return fmt.Errorf("--setenv %q: the name of a variable is missing", o.setenv)
	case o.timeout < 0:
		return fmt.Errorf("--timeout %v is negative", o.timeout)
	}
	return nil
}

// do does what is asked for. Without an error the program does not run: it would be in
// this one's place.
func (o *options) do(stdout, stderr io.Writer) error {
	switch {
	case o.doctor:
		return doctor(context.Background(), stdout)
	case o.cache != "":
		return cache(o.cache, stdout)
	case o.env != "" || o.link != "":
		return forBuilds(o, stdout)
	}
	return crossrun(o, stdout, stderr)
}

// exitStatus says what failed, and returns the exit status for it.
func exitStatus(err error, stderr io.Writer) int {
	cli.Error(stderr, name, explained(err))
	return statusMeant(err, exitFailed)
}

// mode finds the way that is asked for.
func (o *options) mode() error {
	for _, flag := range []struct {
		name string
		set  bool
		way  string
	}{
		{"--rootfs", o.rootfs != "", inRoot}, {"--sysroot", o.sysroot != "" && o.rootfs != "", firstWay},
		{"--kernel", o.kernel, byKernel}, {"--private", o.private && o.rootfs == "", byInstance}, {"--handed-on", o.handedOn, byHelper}, {"--watched", o.watched, byWatch}, {"--direct", o.direct, byEmulator},
		// Whoever names an emulator, or a CPU to emulate, wants emulation.
		{"--emulator", o.emulator != "", byEmulator}, {"--cpu", o.cpu != "", byEmulator}, {"--gdb", o.gdb != "", byEmulator},
	} {
		if !flag.set {
			continue
		}
		if o.by != "" && o.asked != flag.way {
			return cli.WithHint(fmt.Errorf("%s and %s ask for different things", o.by, flag.name), "leave one out")
		}
		o.asked, o.by = flag.way, flag.name
	}
	return nil
}

// A statusError is an error with the exit status that it means.
type statusError struct {
	error
	status int
}

func (e *statusError) Unwrap() error { return e.error }

// statusMeant returns the exit status that an error means, or another one if it means none.
func statusMeant(err error, otherwise int) int {
	if status, ok := errors.AsType[*statusError](err); ok {
		return status.status
	}
	return otherwise
}

func cannot(err error) error   { return &statusError{err, exitCannot} }
func notFound(err error) error { return &statusError{err, exitNotFound} }

func usage() string {
	common, others := cli.FlagUsages(new(options).flags(), "version")
	return `Usage: crossrun [flags] BINARY [ARG…]
       crossrun --rootfs DIR|ARCHIVE COMMAND [ARG…]
       crossrun --env ARCH

Runs BINARY, whichever architecture it is for, and what it starts. It needs no
privilege, and registers nothing on the machine. A program of the host's own is
watched for what it starts, unless the kernel has entries for all architectures
that Go has a port for, and no setting for one is in the environment; one of
another architecture is run in the first of these ways that works:

  --kernel     by an enabled entry in the kernel (see register)
  --private    in a binfmt_misc of its own, in which every emulator is
               registered: programs, scripts and tests that start others work
               (Linux 6.7, where users may make user namespaces)
  --handed-on  by one of our emulators, which hands on what the program
               executes: foreign programs start others, on any kernel and in
               any container; native ones are watched, where they can be
  --watched    under a supervisor that is asked about what they execute, and
               has emulators executed: all that they start works, without
               namespaces (Linux 5.9, where users may trace their own processes)
  --direct     by QEMU's emulator, which runs the program itself; what that
               executes is left to the kernel

The program takes crossrun's place: process ID, exit status, signals, terminal,
working directory, standard streams and environment are its own. One that is
watched has a process ID of its own: crossrun waits for it, passes signals on,
and ends as it does; unless root runs it, set-user-ID programs such as sudo do
not change the user. In a binfmt_misc of its own it is in a user namespace, too:
files of other users seem to belong to nobody, set-user-ID programs do not
change the user, and root has root's files and processes, but no capability over
the machine.

With --rootfs it has a /dev, process IDs, users and a resolv.conf of its own,
and /sys and /proc/sys are read-only. crossrun waits for it, and hands signals
and stops on; all that it has left behind ends with it. Root is not the
machine's where the directory's file system can be mounted so; an ordinary user
has the users that /etc/subuid and /etc/subgid give, with newuidmap(1), else
one. --rootfs / does this to the machine's own files: so an ordinary user
unpacks, makes and removes systems of many users.

Examples:
  crossrun ./hello                       a program of any architecture
  crossrun ./run-tests.sh                a script of a foreign interpreter
  crossrun make check                    a native one that starts foreign ones
  crossrun --rootfs ./debian-arm64 sh    any architecture's system, as root
  crossrun --rootfs image.tar sh         an image: docker save, OCI layout, tar
  crossrun --sysroot /srv/arm64 ./hello  with the libraries of that system
  crossrun --cpu max ./hello             with every CPU feature
  crossrun --emulator amd64=FEX make     amd64 programs by another emulator
  crossrun --print ./hello               what would be run?

To build and test for another architecture with Go, C and C++, CMake, Meson,
pkg-config and Cargo:
  eval "$(crossrun --env arm64)"
Under the name go_linux_GOARCH_exec, in PATH, it is what the go command runs
programs of that GOARCH with: GOARCH=arm64 go test ./... then needs no more.
Under QEMU's names, such as qemu-aarch64 or qemu-s390x-static, it takes QEMU's
flags (-L, -E, -cpu, -0, -g, …; -h lists them), runs programs of that
architecture only, as CMake, Meson, Cargo and Zig want it, and runs what these
start. Under BuildKit's names, in the PATH of buildkitd, it runs RUN steps.

Flags that are used most:
` + common + `
Other flags:
` + others + `
A dynamically linked program needs its loader and libraries: they are looked
for in / and where Debian's, Fedora's, openSUSE's and Gentoo's cross packages
have them: /usr/TRIPLET, /usr/ARCH-redhat-linux/sys-root, …

Environment, for flags that cannot be given; ARCH is any name of an architecture
in capitals, such as ARM64 or S390X:
  CROSSRUN_EMULATOR_ARCH  as --emulator ARCH=FILE: what is registered with the
                          kernel is not used then for that architecture
  CROSSRUN_SYSROOT_ARCH   as --sysroot, for programs of that architecture
  CROSSRUN_CPU_ARCH       the CPU model, for all processes
  CROSSRUN_CACHE          where a crossrun with embedded emulators (--version
                          lists them) keeps what it has unpacked: a directory of
                          your own, which nobody else may write to, or off
                          (default: crossrun/emulators in XDG_CACHE_HOME or
                          ~/.cache)
  CROSSRUN_TRANSLATIONS   as --cache-translations: on, off, or a directory
                          (default: ` + translationsDefault + `; on: crossrun/translations in
                          XDG_CACHE_HOME or ~/.cache)
QEMU's own variables are honoured: QEMU_LD_PREFIX, QEMU_CPU, QEMU_STRACE and
those that its manual lists.

Exit status: the program's; 125 if crossrun fails, 126 if BINARY cannot be run,
127 if it is not found.
`
}

// existingDirectory returns an error if a path is given that is not one.
func existingDirectory(flag, path string) error {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		err = fmt.Errorf("%s: %w", flag, err)
	case !info.IsDir():
		err = fmt.Errorf("%s: %s is not a directory", flag, filepath.Clean(path))
	default:
		return nil
	}
	hint := "name the directory that has lib/ and usr/ in it"
	if flag == "--rootfs" { // an image's name, perhaps, or a pipe
		hint += ", or an archive's file: docker save IMAGE -o image.tar makes one of an image"
	}
	return cli.WithHint(err, "%s", hint)
}

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/install"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
)

// options is what the command line asks for.
type options struct {
	install.Request

	name      string   // under which the command runs
	args      []string // which name the architectures of the request
	emulators []string // ARCH=FILE

	mount string
	json  bool // the report's form

	systemd   string // architecture, or ALL
	debian    bool
	exportDir string

	uninstall bool
	status    bool
	facts     bool
	version   bool
	generate  string // for which shell, or man

	installRoot   string // root directory of the host that it is installed on
	uninstallRoot string
	rootless      string // engine in whose user namespace it registers

	watch watchOptions
}

const (
	auto = "auto"
	yes  = "yes"
	no   = "no"
)

// A choice is a flag whose value is one of a few words, which stand for values.
type choice[T comparable] struct {
	value *T
	words []string
	of    []T
}

func (c choice[T]) String() string { return c.words[slices.Index(c.of, *c.value)] }
func (c choice[T]) Type() string   { return strings.Join(c.words, "|") }
func (c choice[T]) Set(s string) error {
	i := slices.Index(c.words, s)
	if i < 0 {
		return fmt.Errorf("must be %s", strings.Join(c.words, " or "))
	}
	*c.value = c.of[i]
	return nil
}

func orAuto(value *install.Choice) choice[install.Choice] {
	return choice[install.Choice]{value, []string{auto, yes, no}, []install.Choice{install.Auto, install.Yes, install.No}}
}

func (o *options) flags() *pflag.FlagSet {
	*o = options{name: name}
	f := pflag.NewFlagSet(name, pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	f.BoolVar(&o.status, "status", false, "show what is registered and whether it runs; needs no privilege")
	f.BoolVar(&o.DryRun, "dry-run", false, "show what would be done, and change nothing; programs are tried by entries that would stay; needs no privilege")
	f.BoolVar(&o.uninstall, "uninstall", false, "remove the entries of ARCH, or of all architectures, instead of adding them")
	f.BoolVar(&o.watch.on, "watch", false, "stay, and keep it so: heal what others undo, take up new emulators; SIGHUP reads --config again")
	f.BoolVar(&o.Reset, "reset", false, "first remove every qemu-* entry, whoever made it; there is no moment without one that works")
	f.BoolVar(&o.Force, "force", false, "register native architectures too, and in front of entries that others made")
	f.StringP("qemu-path", "Q", os.Getenv("QEMU_BIN_DIR"), "`directory` of the emulators (default: QEMU_BIN_DIR in the environment, else the embedded ones that --version lists, this command's directory and emulators/ARCH in it, /usr/bin, PATH)")
	f.StringArrayVar(&o.emulators, "emulator", nil, "run the programs of an architecture by this emulator, QEMU's or not (FEX, box64, Rosetta): `ARCH=FILE`; may be given for several")
	f.Var(choice[bool]{&o.json, []string{"table", "json"}, []bool{false, true}}, "output", "form of the report on standard output")
	f.BoolP("help", "h", false, "print this text")
	f.BoolVar(&o.version, "version", false, "print the version")

	f.VarP(orAuto(&o.Persistent), "persistent", "p", "have the kernel hold the emulator open (flag F, Linux 4.8), so that it works in every container and chroot; auto: if the kernel can")
	f.VarP(orAuto(&o.Credentials), "credential", "c", "take user and group of set-user-ID programs from the program, not from the emulator (flag C): sudo and ping work, and emulators run with root's rights; auto: as the entry has it that is there")
	f.VarP(orAuto(&o.PreserveArgv0), "preserve-argv0", "g", "pass argv[0] on as the caller gave it (flag P); auto: if kernel (5.12) and emulator (QEMU 6.0) can")
	f.VarP(choice[bool]{&o.IgnoreFamily, []string{yes, no}, []bool{true, false}}, "ignore-family", "i", "yes: only this command's own architecture is native, not i386 on amd64, nor 32-bit Arm on arm64")
	f.StringP("qemu-suffix", "F", "", "what follows the architecture in the `name` of an emulator's file (default: -static, else nothing)")
	f.BoolVar(&o.NoProbe, "no-probe", false, "do not run a program of each architecture afterwards; success then means only that the kernel accepted the entries")
	f.StringVarP(&o.systemd, "systemd", "s", "", "register nothing, but write files for systemd-binfmt: for the `architecture`, or for ALL")
	f.BoolVarP(&o.debian, "debian", "d", false, "register nothing, but write files for update-binfmts --import")
	f.StringVarP(&o.exportDir, "exportdir", "e", "", "`directory` for these files (default: "+systemdDir+" or "+debianDir+")")
	f.StringVar(&o.mount, "mount", binfmt.DefaultMount, "`directory` where binfmt_misc is, or will be, mounted")
	f.StringVar(&o.generate, "generate", "", "print completions of the command line for a shell, or the manual page: `bash|zsh|fish|man`")
	f.StringVar(&o.installRoot, "install-host", "", "put this command, emulators and a service (systemd, OpenRC) onto the host, whose root `directory` is given: it registers at each boot, and watches, with the flags of --watch that are given")
	f.StringVar(&o.uninstallRoot, "uninstall-host", "", "undo --install-host, on the host whose root `directory` is given")
	f.StringVar(&o.rootless, "rootless", "", "as an ordinary user: register in the user namespace of rootless containers, and keep it so; the `engine` is podman or docker; with --uninstall: undo that")
	for name, value := range map[string]string{"install-host": "/", "uninstall-host": "/", "rootless": anyEngine} {
		f.Lookup(name).NoOptDefVal = value
	}
	f.BoolVar(&o.facts, "facts", false, "print what is known of this machine, as JSON: for bug reports; needs no privilege")
	o.watch.add(f)
	return f
}

// parse reads the command line. It returns pflag.ErrHelp if that asks for help.
func parse(args []string) (*options, error) {
	var o options
	f := o.flags()
	if err := f.Parse(args); err != nil {
		return nil, habit(err, args)
	}
	if help, _ := f.GetBool("help"); help {
		return nil, pflag.ErrHelp
	}
	if err := cli.GivenEmpty(f, "qemu-path", "qemu-suffix", "mount"); err != nil {
		return nil, err
	}
	if f.Changed("qemu-suffix") {
		suffix, _ := f.GetString("qemu-suffix")
		if strings.ContainsRune(suffix, '/') {
			return nil, fmt.Errorf("--qemu-suffix %q: must not have a slash; --qemu-path names the directory", suffix)
		}
		o.Suffix = &suffix
	}
	var modes []string
	for _, mode := range []string{"status", "uninstall", "reset", "systemd", "debian", "facts", "watch", "install-host", "uninstall-host"} {
		if value := f.Lookup(mode).Value.String(); value != "" && value != "false" {
			modes = append(modes, "--"+mode)
		}
	}
	o.args = f.Args()
	if err := cmp.Or(o.check(modes, o.args), o.watch.check(o.installRoot != "" || o.rootless != "" && !o.uninstall), o.checkRootless(modes)); err != nil {
		return nil, err
	}
	emulators, _ := f.GetString("qemu-path")
	for _, dir := range []*string{&emulators, &o.exportDir, &o.mount} { // services have another directory
		var err error
		if *dir != "" {
			*dir, err = filepath.Abs(*dir)
		}
		if err != nil {
			return nil, err
		}
	}
	o.from(emulators)
	if o.mount == "" {
		return nil, errors.New("--mount: no directory given")
	}
	if o.systemd != "" && !strings.EqualFold(o.systemd, "all") {
		o.args = []string{o.systemd}
	}
	if err := o.nameEmulators(modes); err != nil {
		return nil, err
	}
	return &o, nil
}

// check returns an error if flags do not go together, or with the architectures that are
// named.
func (o *options) check(modes, archs []string) error {
	switch {
	case len(modes) > 1:
		return fmt.Errorf("%s cannot be used together", strings.Join(modes, " and "))
	case o.exportDir != "" && o.systemd == "" && !o.debian:
		return errors.New("--exportdir: no files are to be written without --systemd or --debian")
	case o.systemd != "" && len(archs) > 0:
		return fmt.Errorf("--systemd %s: more architectures are named: %s", o.systemd, strings.Join(archs, " "))
	case o.uninstallRoot != "" && !all(archs):
		return o.undoesAll("--uninstall-host", "--install-host", archs)
	case o.rootless != "" && o.uninstall && !all(archs):
		return o.undoesAll("--rootless --uninstall", "--rootless", archs)
	case o.NoProbe && o.installRoot != "", o.NoProbe && o.rootless != "" && !o.uninstall:
		flag, _ := o.staying()
		return fmt.Errorf("%s: keeps what was seen to run, and so cannot be used with --no-probe", flag)
	case o.watch.on && (o.DryRun || o.NoProbe):
		return errors.New("--watch: keeps what was seen to run, and so cannot be used with --dry-run or --no-probe")
	}
	return nil
}

// staying returns the flag that has something stay on a host, or be removed from it, and what its
// value names; none without one.
func (o *options) staying() (flag, what string) {
	switch {
	case o.installRoot != "":
		return "--install-host", "the host's root directory"
	case o.uninstallRoot != "":
		return "--uninstall-host", "the host's root directory"
	case o.rootless != "":
		return "--rootless", "the engine"
	}
	return "", ""
}

// meant adds to an error about unknown architectures that one of them is the value of such a flag,
// which is to be behind an equals sign, if it is like no name of one.
func (o *options) meant(err error) error {
	flag, what := o.staying()
	for _, err := range cli.Split(err) {
		unknown, ok := errors.AsType[*elfmagic.UnknownArchError](err)
		if ok && (strings.HasPrefix(unknown.Name, "/") || unknown.Name == docker || unknown.Name == podman || cli.IsFar(unknown.Name)) {
			return cli.WithHint(err, "%s=%s names %s", flag, unknown.Name, what)
		}
	}
	return err
}

// undoesAll returns an error for architectures with what undoes another flag.
func (o *options) undoesAll(undo, flag string, archs []string) error {
	if _, unknown := o.architectures(); unknown != nil {
		return o.meant(unknown)
	}
	err := fmt.Errorf("%s: undoes all of %s, and not %s alone", undo, flag, strings.Join(archs, " "))
	return cli.WithHint(err, "register %s ARCH… has it keep those that are named from then on", flag)
}

// nameEmulators reads the values of --emulator.
func (o *options) nameEmulators(modes []string) error {
	if len(o.emulators) == 0 {
		return nil
	}
	for _, mode := range []string{"--status", "--uninstall", "--install-host", "--uninstall-host"} {
		if slices.Contains(modes, mode) {
			err := fmt.Errorf("--emulator and %s cannot be used together", mode)
			if mode == "--install-host" {
				err = cli.WithHint(err, `the service reads it from its settings: "emulators" in --config's file`)
			}
			return err
		}
	}
	if o.rootless != "" {
		return errors.New("--emulator and --rootless cannot be used together")
	}
	named := make(map[string]string)
	for _, value := range o.emulators {
		name, path, ok := strings.Cut(value, "=")
		if !ok || name == "" || path == "" {
			return cli.WithHint(fmt.Errorf("--emulator %s: must be ARCH=FILE", value), "such as --emulator linux/amd64=/usr/bin/FEX")
		}
		file, err := fileNamed(path)
		if err != nil {
			return cli.WithHint(fmt.Errorf("--emulator %s: %w", value, err), "name a file, or a command in PATH")
		}
		named[name] = file
	}
	paths, err := emulatorPaths(named)
	if err != nil {
		return fmt.Errorf("--emulator: %w", err)
	}
	if len(paths) < len(o.emulators) {
		return cli.WithHint(fmt.Errorf("--emulator: an architecture is named twice: %s", strings.Join(o.emulators, " ")), "it has one entry; crossrun --emulator runs a program by another emulator")
	}
	if archs, _ := o.architectures(); len(archs) > 0 {
		for name := range paths {
			if !slices.ContainsFunc(archs, func(a *elfmagic.Arch) bool { return a.Name == name }) {
				return cli.WithHint(fmt.Errorf("--emulator %s=…: %s is not among the architectures that are named: %s", name, name, strings.Join(o.args, " ")), "name it, too, or none")
			}
		}
	}
	o.Emulators = paths
	return nil
}

// fileNamed returns the absolute path of a file, or of a command in PATH.
func fileNamed(name string) (string, error) {
	if strings.Contains(name, "/") {
		return filepath.Abs(name)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", errors.Unwrap(err)
	}
	return path, nil
}

// checkRootless says what is wrong with --rootless.
func (o *options) checkRootless(modes []string) error {
	switch {
	case o.rootless != "" && len(modes) > 0 && !o.uninstall:
		return fmt.Errorf("--rootless and %s cannot be used together", modes[0])
	case !slices.Contains([]string{"", anyEngine, podman, docker}, o.rootless):
		return fmt.Errorf("--rootless=%s: must be podman or docker", o.rootless)
	}
	return nil
}

// habits are what other tools' users type, and how it is said here.
var habits = [][2]string{
	{"status", "register --status"}, {"list", "register --status"}, {"ls", "register --status"}, {"--list", "register --status"},
	{"doctor", "register --status; crossrun --doctor says what runs without registering"}, {"check", "register --status"}, {"--check", "register --status"},
	{"run", "a registered program is run by its name; crossrun PROGRAM runs it without registering"}, {"exec", "crossrun PROGRAM"},
	{"help", "register --help"}, {"version", "register --version"}, {"-V", "register --version"},
	{"install", "register ARCH…"}, {"--install", "register ARCH…, or all without one; the command binfmt has --install"},
	{"add", "register ARCH…"}, {"enable", "register ARCH…"}, {"--enable", "register ARCH…"}, {"--import", "register ARCH…"},
	{"uninstall", "register --uninstall ARCH…"}, {"remove", "register --uninstall ARCH…"}, {"--remove", "register --uninstall ARCH…"},
	{"disable", "register --uninstall ARCH…"}, {"--disable", "register --uninstall ARCH…"}, {"--unregister", "register --uninstall ARCH…"},
	{"reset", "register --reset"}, {"--json", "--output json"}, {"--platform", "register linux/arm64"}, {"--platforms", "register linux/arm64,linux/s390x"},
	{"--arch", "register ARCH…"}, {"-v", "--status shows everything; --version prints the version"}, {"--verbose", "--status shows everything"},
	{"--interpreter", "--emulator ARCH=FILE"}, {"--path", "--qemu-path DIRECTORY"}, {"--suffix", "--qemu-suffix SUFFIX"}, {"--binfmt-dir", "--mount DIRECTORY"},
}

// habit adds to an error how what was meant is said here.
func habit(err error, args []string) error {
	for _, arg := range args {
		arg, _, _ = strings.Cut(arg, "=")
		if i := slices.IndexFunc(habits, func(h [2]string) bool { return h[0] == arg }); i >= 0 {
			return cli.WithHint(err, "%s", habits[i][1])
		}
	}
	return cli.NearFlag(err, new(options).flags())
}

// all reports whether all architectures are meant.
func all(args []string) bool { return len(args) == 0 || slices.Equal(args, []string{"all"}) }

// architectures returns the architectures that were named, once each, or none
// if all are meant, and an error for each name that is unknown.
func (o *options) architectures() ([]*elfmagic.Arch, error) {
	if all(o.args) {
		return nil, nil
	}
	var archs []*elfmagic.Arch
	var errs []error
	for name := range strings.SplitSeq(strings.Join(o.args, ","), ",") {
		arch, err := elfmagic.Lookup(name)
		if err != nil {
			errs = append(errs, habit(err, []string{name}))
		} else if !slices.Contains(archs, arch) {
			archs = append(archs, arch)
		}
	}
	return archs, errors.Join(errs...)
}

// from has emulators looked for in a directory, if one is given.
func (o *options) from(dir string) {
	if dir != "" {
		o.Dirs = []string{dir}
	}
}

func usage() string {
	common, others := cli.FlagUsages(new(options).flags(), "version")
	return `Usage: register [flags] [ARCH…]

Registers QEMU's user-mode emulators with the Linux kernel (binfmt_misc), so
that programs of other architectures run as if they were native. Then it runs
a program of each architecture, and succeeds only if all of them ran.

ARCH is any name of an architecture: arm64, aarch64, linux/arm/v7, ppc64el, …
Without one, every architecture is meant that this host does not run natively
and that a static emulator is found for.

Examples:
  register                        all architectures
  register arm64 s390x            these two
  register --status               what is there, and does it run?
  register --dry-run              what would be done?
  register --reset -p yes         as multiarch/qemu-user-static has it
  register --uninstall arm64      remove its entry
  register --qemu-path /opt/qemu  with the emulators in this directory
  register -p no                  emulators are in each container: no F flag
  register --emulator amd64=FEX   FEX for these programs, QEMU for all others
  register --watch                stay, and heal what others undo
  register --systemd ALL          files, so that systemd registers at boot

Flags that are used most:
` + common + `
Other flags:
` + others + `
Exit status: 0 if all that was asked for runs in the end, 1 if not (standard
error says what, and why), 2 if the command line is wrong. What is native, or is
run by an entry of somebody else's, is no failure.

Registering requires root, and where binfmt_misc is not mounted, CAP_SYS_ADMIN
to mount it. In a container:
  docker run --privileged …
or at least
  docker run --cap-add SYS_ADMIN --security-opt systempaths=unconfined
    --security-opt seccomp=unconfined --security-opt apparmor=unconfined …
and --pid=host if the host has not mounted it. If it has, no capability:
  docker run -v /proc/sys/fs/binfmt_misc:/mnt … --mount /mnt
For rootless containers: register --rootless, for all that the user starts.
Without any privilege, crossrun runs programs of other architectures.
`
}

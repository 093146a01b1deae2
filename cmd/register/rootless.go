package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

// Engines whose containers share a user namespace of one ordinary user's: entries in its
// instance serve all of them (since Linux 6.7).
const (
	anyEngine = "auto"
	podman    = "podman" // and Buildah
	docker    = "docker"
)

// rootlessUnit is the name of the user's unit.
const rootlessUnit = "register-rootless.service"

// What starts it: a login, and rootless Docker, which stops it, too.
const (
	wantedByAll    = "default.target"
	wantedByDocker = "docker.service"
)

// rootlesskitChild is the file, below XDG_RUNTIME_DIR, in which rootless Docker's
// rootlesskit writes the process that is in its namespaces.
const rootlesskitChild = "dockerd-rootless/child_pid"

// A rootless is what keeps emulators registered for one engine of one user.
type rootless struct {
	Engine  string
	Command []string // is executed in the foreground
	Unit    string   // text of a unit of systemd's user manager
	Wanted  []string // other units that start it
}

// planRootless returns what keeps emulators registered for an engine, by the register at
// the given path, with arguments.
func planRootless(engine, register string, args []string) rootless {
	watch := append([]string{register, "--watch", "--own-instance"}, args...)
	r := rootless{Engine: engine, Wanted: []string{wantedByAll}}
	after := ""
	switch engine {
	case docker:
		enter := `exec nsenter --user --preserve-credentials --mount --target "$(cat "$XDG_RUNTIME_DIR/` + rootlesskitChild + `")" "$@"`
		r.Command = append([]string{"/bin/sh", "-c", enter, "sh"}, watch...)
		after = "After=docker.service\nPartOf=docker.service\n"
		r.Wanted = append(r.Wanted, wantedByDocker)
	default:
		r.Command = append([]string{"podman", "unshare"}, watch...)
	}
	r.Unit = `[Unit]
Description=Emulators for programs of other architectures in rootless containers
Documentation=https://github.com/projectcalico/go-build
` + after + `
[Service]
Type=notify
NotifyAccess=all
ExecStart=` + unitCommand(r.Command) + `
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=1

[Install]
WantedBy=` + strings.Join(r.Wanted, " ") + `
`
	return r
}

// link is where systemd looks for a unit that another one wants.
func link(unit, wanted string) string {
	return filepath.Join(filepath.Dir(unit), wanted+".wants", rootlessUnit)
}

// write writes the unit, and enables it.
func (r *rootless) write(unit string) error {
	if err := os.MkdirAll(filepath.Dir(unit), 0o755); err != nil {
		return err
	}
	if err := file.ReplaceWith(unit, 0o644, []byte(r.Unit)); err != nil {
		return err
	}
	for _, wanted := range r.Wanted {
		link := link(unit, wanted)
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("../"+rootlessUnit, link); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// unitCommand quotes a command as systemd reads it (systemd.service(5), COMMAND LINES).
func unitCommand(words []string) string {
	var quoted []string
	for _, word := range words {
		word = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%", "$", "$$").Replace(word)
		quoted = append(quoted, `"`+word+`"`)
	}
	return strings.Join(quoted, " ")
}

// unitWords is unitCommand with quotes where they are required only.
func unitWords(words []string) string {
	words = slices.Clone(words)
	for i, word := range words {
		if bare := strings.ReplaceAll(word, "=", ""); cli.Quote(bare) != bare {
			words[i] = unitCommand(words[i : i+1])
		}
	}
	return strings.Join(words, " ")
}

// runRootless has emulators registered, and kept so, in the user namespace of a rootless
// engine: by the user's service manager, or else in the foreground. With --uninstall that is
// undone.
func (o *options) runRootless(ctx context.Context, t teller, stderr io.Writer) error {
	if os.Getuid() == 0 {
		return cli.WithHint(errors.New("--rootless: is for an ordinary user whose containers run without root"), "as root of the host: register; in a user namespace: register --watch --own-instance")
	}
	config, err := os.UserConfigDir()
	if err != nil {
		return err
	}
	unit := filepath.Join(config, "systemd", "user", rootlessUnit)
	if o.uninstall {
		return o.removeRootless(ctx, unit, t, stderr)
	}
	engine, err := o.rootlessEngine()
	if err != nil {
		return err
	}
	register, err := os.Executable()
	if err != nil {
		return err
	}
	plan := planRootless(engine, register, append(o.watch.passed, o.rootlessArguments()...))
	if o.DryRun {
		plan.show(unit, t)
		return nil
	}
	if !userManager() {
		cli.Warning(stderr, o.name, errors.New("there is no systemd of the user's that would start it again: it is kept in the foreground"))
		return foreground(ctx, plan.Command, t.stdout, stderr)
	}
	if err := plan.write(unit); err != nil {
		return err
	}
	t.file(fileChange{Path: unit, Action: hostInstall}, "installed "+unit)
	if err := userSystemctl(ctx, stderr, "daemon-reload"); err != nil {
		return err
	}
	if err := userSystemctl(ctx, stderr, "restart", rootlessUnit); err != nil {
		return err
	}
	t.note("programs of other architectures run in all containers of this user's " + engine + ", now and after each login; loginctl enable-linger has it so without one")
	return nil
}

// show tells what a run would do.
func (r *rootless) show(unit string, t teller) {
	if userManager() {
		t.file(fileChange{Path: unit, Action: hostInstall, Content: r.Unit}, "would write "+unit+":\n"+r.Unit)
		return
	}
	t.note("would keep it in the foreground, as there is no systemd of the user's: " + cli.QuoteAll(r.Command))
}

// foreground runs a command until ctx is done. Then all that it started is told: podman
// unshare does not pass signals on (seen with 4.3).
func foreground(ctx context.Context, command []string, stdout, stderr io.Writer) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	if err == nil || ctx.Err() != nil {
		return nil
	}
	return cli.WithHint(fmt.Errorf("%s: %w", cli.QuoteAll(command), err), "what it said is above")
}

// removeRootless undoes it.
func (o *options) removeRootless(ctx context.Context, unit string, t teller, stderr io.Writer) error {
	if _, err := os.Lstat(unit); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("nothing was installed: there is no %s", unit)
	}
	if o.DryRun {
		t.file(fileChange{Path: unit, Action: hostRemove}, "would remove "+unit)
		return nil
	}
	var errs []error
	if userManager() {
		errs = append(errs, userSystemctl(ctx, stderr, "stop", rootlessUnit))
	}
	for _, path := range []string{link(unit, wantedByAll), link(unit, wantedByDocker), unit} {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if userManager() {
		errs = append(errs, userSystemctl(ctx, stderr, "daemon-reload"))
	}
	t.file(fileChange{Path: unit, Action: hostRemove}, "removed "+unit)
	return errors.Join(errs...)
}

// rootlessEngine returns the engine that was named, or that is there.
func (o *options) rootlessEngine() (string, error) {
	_, noPodman := exec.LookPath(podman)
	_, noDocker := os.Stat(filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), rootlesskitChild))
	switch engine := o.rootless; {
	case engine == podman && noPodman == nil, engine == docker && noDocker == nil:
		return engine, nil
	case engine == docker:
		return "", cli.WithHint(fmt.Errorf("--rootless=docker: %w", noDocker), "rootless Docker is to be running: systemctl --user start docker")
	case engine == podman:
		return "", fmt.Errorf("--rootless=podman: %w", noPodman)
	case noDocker == nil && noPodman == nil:
		return "", errors.New("--rootless: both rootless Docker and Podman are there: --rootless=docker or --rootless=podman")
	case noDocker == nil:
		return docker, nil
	case noPodman == nil:
		return podman, nil
	}
	return "", cli.WithHint(errors.New("--rootless: neither Podman nor a rootless Docker that runs is there"), "it is run outside of containers, by the user who starts them")
}

// rootlessArguments are those of the service.
func (o *options) rootlessArguments() []string {
	args := o.serviceArguments()
	if o.Force {
		args = append([]string{"--force"}, args...)
	}
	if o.Suffix != nil {
		args = append([]string{"--qemu-suffix=" + *o.Suffix}, args...)
	}
	if len(o.Dirs) > 0 {
		args = append([]string{"--qemu-path=" + o.Dirs[0]}, args...)
	}
	return args
}

// userManager reports whether systemd manages the user's services (sd_booted(3) has the
// directory of the system's).
func userManager() bool {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	_, err := os.Stat(filepath.Join(cmp.Or(dir, "/none"), "systemd"))
	return err == nil
}

func userSystemctl(ctx context.Context, stderr io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, "systemctl", append([]string{"--user"}, args...)...)
	cmd.Stdout, cmd.Stderr = stderr, stderr
	if err := cmd.Run(); err != nil {
		return cli.WithHint(fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err), "journalctl --user --unit %s says why", rootlessUnit)
	}
	return nil
}

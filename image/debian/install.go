package debian

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/projectcalico/go-build/image/program"
	"github.com/projectcalico/go-build/image/progress"
	"github.com/projectcalico/go-build/internal/cli"
)

// Install installs packages that this machine's apt finds. It asks apt for newer
// lists only if the packages are not found in those that are there. Of what a
// package recommends nothing is installed.
func Install(ctx context.Context, say func(string, ...any), find func(context.Context, *Apt) ([]string, error)) error {
	port, err := installable(ctx)
	if err != nil {
		return err
	}
	apt := &Apt{arch: port}
	packages, err := find(ctx, apt)
	if err != nil {
		if _, err := program.Output(program.AsRoot(ctx, "apt-get", "update", "-qq")); err != nil {
			return err
		}
		if packages, err = find(ctx, apt); err != nil {
			return err
		}
	}
	return install(ctx, say, packages...)
}

// installable returns the port whose packages may be installed here.
func installable(ctx context.Context) (port string, err error) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return "", err
	}
	port, err = program.Output(program.Command(ctx, "dpkg", "--print-architecture"))
	if err != nil {
		return "", err
	}
	if _, err := exec.LookPath("sudo"); err != nil && os.Geteuid() != 0 {
		return "", fmt.Errorf("root is required to install packages: %w", err)
	}
	return strings.TrimSpace(port), nil
}

// install installs packages, by name, with a version, or from a file.
func install(ctx context.Context, say func(string, ...any), packages ...string) error {
	say("installing %s …", strings.Join(packages, " "))
	defer progress.Start(ctx, "installing packages").End()
	args := append([]string{"DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq",
		"-o", "DPkg::Lock::Timeout=300", // seconds: a new machine may be upgrading itself
		"--no-install-recommends"}, packages...)
	if _, err := program.Output(program.AsRoot(ctx, "env", args...)); err != nil {
		return cli.WithHint(err, "see what it said above; apt-get update may be needed")
	}
	return nil
}

// InstallEmulators installs the newest static emulators that Emulators finds, unless
// there are some in a directory. A package that registers entries of its own is only
// recommended, and so left out.
func InstallEmulators(ctx context.Context, dir string, say func(string, ...any)) error {
	// Since QEMU 10 their names have no suffix.
	for _, pattern := range []string{"qemu-*-static", "qemu-aarch64", "qemu-x86_64"} {
		names, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, name := range names {
			if info, err := os.Stat(name); err == nil && info.Mode()&0o111 != 0 {
				return nil
			}
		}
	}
	err := installEmulators(ctx, say)
	if err != nil && cli.Hint(err) == "" {
		err = cli.WithHint(err, "as root: apt-get install qemu-user-static; Fedora has qemu-user-static, Arch qemu-user-static, too")
	}
	if err != nil {
		return fmt.Errorf("there are no emulators in %s: %w", dir, err)
	}
	return nil
}

func installEmulators(ctx context.Context, say func(string, ...any)) error {
	port, err := installable(ctx)
	if err != nil {
		return err
	}
	deb, _, err := Emulators(ctx, port, "", say)
	if err != nil {
		return err
	}
	return install(ctx, say, deb)
}

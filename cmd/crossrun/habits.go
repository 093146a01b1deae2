package main

import (
	"strings"

	"github.com/projectcalico/go-build/internal/cli"
)

// saidHere returns how that is said here which other tools' users type first: a
// command of their tool, or a flag.
func saidHere(word string) string {
	switch word {
	case "doctor", "check", "info", "status", "list", "ls", "--status", "--list", "--check", "--info":
		return "crossrun --doctor"
	case "help":
		return "crossrun --help"
	case "version", "-V":
		return "crossrun --version"
	case "env", "--target", "--arch", "-a":
		return "which architecture a program is for is read from it: crossrun ./hello; to build for one: crossrun --env ARCH"
	case "run", "exec", "start", "shell":
		return "crossrun PROGRAM [ARG…]; in another system: crossrun --rootfs DIR COMMAND"
	case "install", "register", "--install", "--register", "--reset":
		return "as root: register ARCH…; crossrun registers nothing"
	case "on", "off":
		return "--cache-translations=" + word
	case showCache, clearCache:
		return "--cache=" + word
	case "-L":
		return "--sysroot DIRECTORY"
	case "-cpu":
		return "--cpu MODEL"
	case "-strace":
		return "--strace"
	case "-e", "--env-add":
		return "--setenv NAME=VALUE, with --rootfs"
	case "--root", "--chroot", "--image", "-r":
		return "--rootfs DIRECTORY, or an archive"
	case "--qemu", "--qemu-path", "-Q":
		return "--emulator FILE, or a name looked up in PATH; --emulator ARCH=FILE for all that it starts"
	case "--dry-run", "-n":
		return "--print"
	case "--json", "--output":
		return "what crossrun says is for people; register --status --output json is for programs"
	case "-t":
		return "--timeout 5m"
	case "-d", "--debug":
		return "-v says what is run and why, --strace shows system calls, -g PORT waits for a debugger"
	}
	return ""
}

// habit adds to an error of the command line how what was meant is said here.
func habit(err error, args []string) error {
	if cli.Hint(err) != "" {
		return err
	}
	for _, arg := range args {
		if arg == "--" || !strings.HasPrefix(arg, "-") {
			break // the program, or a flag's value: what follows need not be ours
		}
		arg, _, _ = strings.Cut(arg, "=")
		if said := saidHere(arg); said != "" && strings.Contains(err.Error(), "unknown") {
			return cli.WithHint(err, "%s", said)
		}
	}
	if err = cli.NearFlag(err, new(options).flags()); cli.Hint(err) != "" {
		return err
	}
	return cli.WithHint(err, "%s [flags] BINARY [ARG…]; %s --help says more", name, name)
}

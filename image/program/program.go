// Package program runs other programs.
package program

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/cli"
)

// Command is exec.CommandContext, but when it is interrupted, the program and what
// it started are told so, as a terminal tells them, and have time to clean up:
// mmdebstrap would leave mounts behind.
func Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGINT) }
	cmd.WaitDelay = time.Minute
	return cmd
}

// AsRoot is Command as root: through sudo, which passes signals on, unless this is
// root.
func AsRoot(ctx context.Context, name string, args ...string) *exec.Cmd {
	if os.Geteuid() == 0 {
		return Command(ctx, name, args...)
	}
	cmd := Command(ctx, "sudo", append([]string{name}, args...)...)
	cmd.SysProcAttr = nil // it may ask the terminal for a password
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGINT) }
	return cmd
}

// Output returns what a command prints. An error has the last lines of what it
// says of it: some, such as patch, say that on standard output.
func Output(cmd *exec.Cmd) (string, error) {
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		text := strings.TrimSpace(cli.Quoted(cmp.Or(said.String(), string(out))))
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, text)
	}
	return string(out), nil
}

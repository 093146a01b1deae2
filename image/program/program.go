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

	"github.com/projectcalico/go-build/internal/cli"
)

// Command is exec.CommandContext, but a program that is interrupted has time to end
// what it started, and to remove what it left half done.
func Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	return cmd
}

// AsRoot is Command as root: through sudo, unless this is root.
func AsRoot(ctx context.Context, name string, args ...string) *exec.Cmd {
	if os.Geteuid() != 0 {
		name, args = "sudo", append([]string{name}, args...)
	}
	return Command(ctx, name, args...)
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

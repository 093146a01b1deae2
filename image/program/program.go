// Package program runs other programs.
package program

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/image/progress"
	"github.com/projectcalico/go-build/internal/cli"
)

// Command is exec.CommandContext, but when it is interrupted, the program and what
// it started are told so, as a terminal tells them, and have time to clean up:
// mmdebstrap would leave mounts behind.
//
// Their process group is their own, so a terminal tells them nothing: if this program
// ends before they do, as a second signal has it, or SIGKILL, the kernel sends the program
// SIGTERM. It does so when the thread ends that started it, but threads of Go programs stay
// until the end, unless a goroutine that is locked to one ends.
func Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGTERM}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGINT) }
	cmd.WaitDelay = time.Minute
	return cmd
}

// AsRoot is Command as root: through sudo, which passes signals on, unless this is
// root. Sudo, which is set-user-ID, is not told of this program's end, but is in its process
// group.
func AsRoot(ctx context.Context, name string, args ...string) *exec.Cmd {
	if os.Geteuid() == 0 {
		return Command(ctx, name, args...)
	}
	cmd := Command(ctx, "sudo", append([]string{name}, args...)...)
	cmd.SysProcAttr = nil // it may ask the terminal for a password
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGINT) }
	return cmd
}

// Output returns what a command prints, and hands on each line of it at once. An
// error has what it says of it: some, such as patch, say that on standard output.
func Output(cmd *exec.Cmd, each ...func(line string)) (string, error) {
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	for _, f := range each {
		cmd.Stdout = io.MultiWriter(&out, progress.Lines(f))
	}
	if err := cmd.Run(); err != nil {
		return "", Failed(cmd, err, cmp.Or(said.String(), out.String()))
	}
	return out.String(), nil
}

// Failed returns an error with what a command said when it failed: the cause first,
// and few lines. If it said more, all of it is in a file that the error names.
func Failed(cmd *exec.Cmd, err error, said string) error {
	lines, all := excerpt(said)
	text := strings.TrimSpace(cli.Quoted(strings.Join(lines, "\n")))
	failed := fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, text)
	if all {
		return failed
	}
	log, logErr := os.CreateTemp("", "go-build-*.log")
	if logErr != nil {
		return failed
	}
	defer log.Close()
	if _, logErr = log.WriteString(said); logErr != nil {
		return failed
	}
	return fmt.Errorf("%w\n(all that it said: %s)", failed, log.Name())
}

// mostLines is how many lines an error shows.
const mostLines = 5

// causes are words of lines that say why something failed.
var causes = regexp.MustCompile(`(?i)\b(error|fatal|failed|cannot|can't|could not|couldn't|unable|no space|no such|not found|denied|refused|killed|unknown|invalid)\b|^E: `)

// excerpt returns the first line that says why, and the last lines, each once, and
// whether these are all.
func excerpt(said string) (lines []string, all bool) {
	cause := ""
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		if line == "" || slices.Contains(lines, line) {
			continue
		}
		if cause == "" && causes.MatchString(line) {
			cause = line
		}
		lines = append(lines, line)
	}
	if len(lines) <= mostLines {
		return lines, true
	}
	last := lines[len(lines)-mostLines:]
	if cause != "" && !slices.Contains(last, cause) {
		last = append([]string{cause}, last[1:]...)
	}
	return last, false
}

package crossrun

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// A terminal is a pseudo-terminal, with what was written to its screen.
type terminal struct {
	t      *testing.T
	master *os.File
	mu     sync.Mutex
	screen bytes.Buffer
	seen   int // up to where expect has looked
	shell  int // its process group
	done   atomic.Bool
	read   chan struct{} // closed when nobody reads any more
}

// interactive starts an interactive shell, with job control, in a terminal.
func interactive(t *testing.T) *terminal {
	t.Helper()
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("job control is a shell's: ", err)
	}
	term, _ := leading(t, shell, "--norc", "--noprofile", "--noediting", "-i")
	term.expect("$ ")
	return term
}

// leading starts a command in a terminal whose session it leads, as docker run -t and ssh -t do.
func leading(t *testing.T, words ...string) (*terminal, *exec.Cmd) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no pseudo-terminals: ", err)
	}
	t.Cleanup(func() { master.Close() })
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals: ", err)
	}
	defer slave.Close()
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.Env = append(os.Environ(), "PS1=$ ", "TERM=dumb", "HISTFILE=", "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, cmd.Start())
	term := &terminal{t: t, master: master, shell: cmd.Process.Pid, read: make(chan struct{})}
	go func() {
		defer close(term.read)
		buffer := make([]byte, 4096)
		for !term.done.Load() {
			const pause = 20 // milliseconds
			if n, err := unix.Poll([]unix.PollFd{{Fd: int32(master.Fd()), Events: unix.POLLIN}}, pause); n == 0 || err == unix.EINTR {
				continue
			}
			n, err := master.Read(buffer)
			term.mu.Lock()
			term.screen.Write(buffer[:n])
			term.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return term, cmd
}

// hangUp has the terminal be gone.
func (t *terminal) hangUp() {
	t.t.Helper()
	t.done.Store(true)
	<-t.read // who reads has it open
	require.NoError(t.t, t.master.Close())
}

func (t *terminal) send(keys string) {
	t.t.Helper()
	_, err := t.master.WriteString(keys)
	require.NoError(t.t, err)
}

// expect waits until a text comes after what was expected before.
func (t *terminal) expect(text string) {
	t.t.Helper()
	var rest string
	found := func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		rest = t.screen.String()[t.seen:]
		before, _, ok := strings.Cut(rest, text)
		if ok {
			t.seen += len(before) + len(text)
		}
		return ok
	}
	for deadline := time.Now().Add(time.Minute); !found(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			require.FailNow(t.t, "not seen on the terminal", "%q in %q", text, rest)
		}
	}
}

// handOver waits until the shell has given the terminal to another process
// group, whose the signals of the terminal are from then on.
func (t *terminal) handOver() {
	t.t.Helper()
	require.Eventually(t.t, func() bool {
		group, err := unix.IoctlGetInt(int(t.master.Fd()), unix.TIOCGPGRP)
		return err == nil && group != t.shell
	}, time.Minute, 5*time.Millisecond)
}

const (
	ctrlC = "\x03"
	ctrlZ = "\x1a"
)

// A foreign program in a terminal asks for a password, learns of the window's
// size, is stopped, goes on, and is interrupted, whichever way it is run.
func TestTerminals(t *testing.T) {
	fs := kerneltest.Instance(t)
	commands.Foreigners(t)
	for _, way := range []string{"natively", "--private", "--watched", "--handed-on", "--direct", "--kernel", "--rootfs"} {
		t.Run(way, func(t *testing.T) {
			goarch := "arm64"
			switch way {
			case "natively":
				goarch = runtime.GOARCH
			case "--handed-on":
				handsOn(t, goarch)
			}
			program := commands.GoProgram(t, "terminal", goarch)
			if way == "--kernel" {
				require.Zero(t, commands.Register(t, "--no-probe", "arm64").Status)
				defer func() { require.NoError(t, fs.Remove("qemu-aarch64")) }()
			}
			words := []string{commands.Command("crossrun").Path, way, program}
			switch way {
			case "natively":
				words = []string{program}
			case "--rootfs":
				words = append(words[:2], smallRoot(t, program), filepath.Base(program))
			}
			term := interactive(t)
			resize := func(columns, rows uint16) {
				require.NoError(t, unix.IoctlSetWinsize(int(term.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}))
			}
			resize(80, 24)
			term.send(strings.Join(words, " ") + "\n")
			term.expect("password: ")
			term.send("secret word\n")
			term.expect(goarch + " got 11 bytes, <nil>")
			term.expect("window 80 x 24")
			resize(100, 30)
			term.expect("window 100 x 30")

			term.send(ctrlZ)
			term.expect("Stopped")
			term.expect("$ ")
			term.send("echo the shell has the terminal\n")
			term.expect("\r\nthe shell has the terminal")
			term.send("jobs %1\n")
			term.expect("Stopped")
			term.send("fg\n")
			term.expect(filepath.Base(program)) // the shell repeats the command
			term.handOver()
			resize(90, 20)
			term.expect("window 90 x 20")
			term.send(ctrlC)
			term.expect("$ ")
			term.send("echo status=$?\n")
			term.expect("\r\nstatus=130")
			term.mu.Lock()
			defer term.mu.Unlock()
			assert.NotContains(t, term.screen.String(), "secret", "a password is not shown")
		})
	}
}

// A watched shell that has stopped itself has the terminal when it goes on, and ends as
// it likes.
func TestAWatchedShellIsSuspended(t *testing.T) {
	kerneltest.Instance(t)
	term := interactive(t)
	term.send(commands.Command("crossrun").Path + " --watched bash --norc --noprofile --noediting -i\n")
	term.send("echo in''ner\n")
	term.expect("inner\r\n")
	term.send("suspend -f\n")
	term.expect("Stopped")
	term.expect("$ ")
	term.send("echo out''er\n")
	term.expect("outer\r\n")
	term.send("fg\n")
	term.expect("crossrun")
	term.handOver()
	term.send("echo aga''in; exit 7\n")
	term.expect("again\r\n")
	term.expect("$ ")
	term.send("echo status=$?\n")
	term.expect("status=7\r\n")
}

// A command that leads a terminal's session, or whose starter does, has nobody who would
// continue it: the kernel does not stop it, whichever way it is run.
func TestWhoLeadsASessionIsNotStopped(t *testing.T) {
	kerneltest.Instance(t)
	for _, way := range []string{"natively", "--watched", "--private", "--rootfs=/"} {
		words := []string{commands.Command("crossrun").Path, way, "/bin/sh", "-c", "echo rea''dy; read line; echo got $line; exit 3"}
		if way == "natively" {
			words = words[2:]
		}
		for _, starter := range [][]string{nil, {"/bin/sh", "-c", `"$@"; exit $?`, "sh"}} {
			t.Run(way+" "+strings.Join(starter, " "), func(t *testing.T) {
				term, cmd := leading(t, append(slices.Clip(starter), words...)...)
				term.expect("ready\r\n")
				term.send(ctrlZ + "a line\n")
				term.expect("got a line\r\n")
				assert.Error(t, cmd.Wait())
				assert.Equal(t, 3, cmd.ProcessState.ExitCode())
			})
		}
	}
}

// When its terminal is gone the kernel tells the one who leads the session, and nobody else.
func TestAHangUpIsTheProgramsIfCrossrunLeadsTheSession(t *testing.T) {
	kerneltest.Instance(t)
	for _, way := range []string{"natively", "--watched", "--private", "--rootfs=/"} {
		t.Run(way, func(t *testing.T) {
			words := []string{commands.Command("crossrun").Path, way, "/bin/sh", "-c", "trap 'exit 3' HUP; echo rea''dy; while :; do sleep 0.01; done"}
			if way == "natively" {
				words = words[2:]
			}
			term, cmd := leading(t, words...)
			term.expect("ready\r\n")
			term.hangUp()
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			select {
			case <-ended:
				assert.Equal(t, 3, cmd.ProcessState.ExitCode())
			case <-time.After(time.Minute):
				assert.Fail(t, "it goes on without its terminal")
			}
		})
	}
}

// On a terminal there is colour, and tables fit; not where the user or the terminal does
// without, and not in files.
func TestATerminalHasColour(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	for environment, coloured := range map[string]bool{"TERM=xterm": true, "TERM=dumb": false, "TERM=xterm NO_COLOR=1": false} {
		for _, command := range []string{"crossrun --doctor", "register --dry-run arm64 s390x"} {
			term := interactive(t)
			require.NoError(t, unix.IoctlSetWinsize(int(term.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 60}))
			term.send("env " + environment + " " + filepath.Join(commands.Dir(), command) + "; echo ended=$?\r")
			term.expect("\nended=0")
			term.mu.Lock()
			said := term.screen.String()
			term.mu.Unlock()
			_, said, _ = strings.Cut(said, "\n") // what was typed is longer
			assert.Equal(t, coloured, strings.Contains(said, "\x1b[1m"), "%s %s", environment, said)
			if !coloured {
				for line := range strings.Lines(said) {
					assert.LessOrEqual(t, len(strings.TrimRight(line, "\r\n")), 60, "%s %q", command, line)
				}
			}
		}
	}
}

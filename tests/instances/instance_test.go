package instances

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/projectcalico/go-build/binfmt"
)

// An instance is a private one, and its watcher.
type instance struct {
	fs    binfmt.FS
	owner []string   // has a command run as who owns the namespaces
	held  []*os.File // user namespace, mount namespace, directory of the instance
	log   string     // file with the watcher's events
	cmd   *exec.Cmd
	args  []string // of the watcher

	mu    sync.Mutex // held while it is changed
	other string     // entry of another owner, that the last change left in front
	polls bool
}

// firstOwner is the first of the users who own instances, whom no account has.
const firstOwner = 300000

// newInstance starts a watcher in new namespaces that a user owns: the one who runs the tests,
// if that is not root.
func newInstance(command []string, dir string, number, owner int, args ...string) (*instance, error) {
	i := &instance{log: filepath.Join(dir, strconv.Itoa(number)+".json"), args: slices.Concat(command, []string{"--watch", "--own-instance", "--output", "json"}, args)}
	if os.Geteuid() == 0 {
		id := strconv.Itoa(firstOwner + owner)
		i.owner = []string{"setpriv", "--reuid", id, "--regid", id, "--clear-groups"}
	}
	cmd := i.byOwner(append([]string{"unshare", "--user", "--map-root-user", "--mount"}, i.args...)...)
	if err := i.start(cmd); err != nil {
		return nil, err
	}
	proc := fmt.Sprintf("/proc/%d/", cmd.Process.Pid)
	for _, name := range []string{"ns/user", "ns/mnt", "root" + binfmt.DefaultMount} {
		f, err := os.Open(proc + name)
		if err != nil {
			return nil, err
		}
		i.held = append(i.held, f)
	}
	i.fs = binfmt.New(fmt.Sprintf("/proc/self/fd/%d", i.held[2].Fd()))
	return i, nil
}

func (i *instance) byOwner(args ...string) *exec.Cmd {
	args = append(slices.Clone(i.owner), args...)
	return exec.Command(args[0], args[1:]...)
}

// inside is a command in the instance's namespaces.
func (i *instance) inside(args ...string) *exec.Cmd {
	cmd := i.byOwner(append([]string{"nsenter", "--user=/proc/self/fd/3", "--mount=/proc/self/fd/4", "--preserve-credentials"}, args...)...)
	cmd.ExtraFiles = i.held[:2]
	return cmd
}

// start starts a watcher, and waits until it has registered, or left that to others.
func (i *instance) start(cmd *exec.Cmd) error {
	log, err := os.OpenFile(i.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	before, err := os.ReadFile(i.log)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	i.cmd = cmd
	for began := time.Now(); time.Since(began) < patience; time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(i.log)
		if err != nil {
			return err
		}
		text = text[len(before):]
		if bytes.Contains(text, []byte(`"event":"registered"`)) || bytes.Contains(text, []byte(`"event":"yielded"`)) {
			return nil
		}
	}
	text, _ := os.ReadFile(i.log)
	return fmt.Errorf("a watcher does not begin: %s", text)
}

func (i *instance) pid() string { return strconv.Itoa(i.cmd.Process.Pid) }

// kill kills the watcher.
func (i *instance) kill() {
	_ = i.cmd.Process.Signal(syscall.SIGKILL)
	_ = i.cmd.Wait()
}

// again starts another watcher in the same namespaces.
func (i *instance) again() error { return i.start(i.inside(i.args...)) }

func (i *instance) close() {
	i.kill()
	for _, f := range i.held {
		f.Close()
	}
}

// An event is a line that a watcher wrote.
type event struct {
	Event, Cause, Error, Hint string
	Seconds                   float64
}

func (i *instance) events() (list []event, err error) {
	text, err := os.ReadFile(i.log)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		list = append(list, e)
	}
	return list, nil
}

// wrong says what is not as it should be, or nothing: by the entry that the kernel tries first, by
// entries that are left over, and by a program that runs there.
func (i *instance) wrong(emulator, others, program string) error {
	if err := i.cmd.Process.Signal(syscall.Signal(0)); err != nil {
		return fmt.Errorf("the watcher: %w", err)
	}
	entries, err := i.fs.List()
	if err != nil {
		return err
	}
	want := emulator
	if i.other != "" {
		want = others
	}
	for n, e := range binfmt.Catching(entries, arch.Heads()) {
		if n == 0 && e.Interpreter != want {
			return fmt.Errorf("%s is in front, not %s: %v", e.Interpreter, want, entries)
		}
	}
	for _, e := range entries {
		if e.Temporary() || e.Disabled && i.other == "" || e.Name != name && e.Name != i.other {
			return fmt.Errorf("%s is left: %v", e.Name, entries)
		}
	}
	r := i.inside(program)
	if out, err := r.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "hello from ") {
		return fmt.Errorf("a program: %w: %s; %v", err, out, entries)
	}
	return nil
}

// eventuallyRight waits until nothing is wrong.
func (i *instance) eventuallyRight(emulator, others, program string) error {
	var err error
	for began := time.Now(); time.Since(began) < patience; time.Sleep(100 * time.Millisecond) {
		if err = i.wrong(emulator, others, program); err == nil {
			return nil
		}
	}
	events, _ := i.events()
	return fmt.Errorf("%w; events: %+v", err, events[max(0, len(events)-20):])
}

// catches reports whether an entry is there for the programs.
func (i *instance) catches() bool {
	entries, err := i.fs.List()
	return err == nil && len(binfmt.Catching(entries, arch.Heads())) > 0
}

// healed waits until there is an entry for the programs, and returns how long that took.
func (i *instance) healed() time.Duration {
	began := time.Now()
	for !i.catches() && time.Since(began) < patience {
		time.Sleep(200 * time.Microsecond)
	}
	return time.Since(began)
}

// register registers another owner's entry.
func (i *instance) register(entry, interpreter string) error {
	return i.fs.Register(binfmt.Entry{Name: entry, Pattern: arch.Pattern(), Interpreter: interpreter, Flags: binfmt.FixBinary})
}

// write writes to a file that there is: who would make one is no user of the instance's.
func (i *instance) write(file, text string) error {
	f, err := os.OpenFile(filepath.Join(i.fs.Dir(), file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

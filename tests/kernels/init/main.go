// Init is the first and only process of the virtual machines in which register
// is tried on other kernels and hosts. It does what /plan.json says, prints
// what came of it on the console, and powers off.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/tests/kernels/plan"
)

func main() {
	defer func() {
		unix.Sync()
		_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
		select {} // a first process must not end
	}()
	if err := setUp(); err != nil {
		report(plan.Outcome{Step: "set up", Status: -1, Stderr: err.Error()})
		return
	}
	text, err := os.ReadFile("/plan.json")
	if err != nil {
		report(plan.Outcome{Step: "set up", Status: -1, Stderr: err.Error()})
		return
	}
	var steps []plan.Step
	if err := json.Unmarshal(text, &steps); err != nil {
		report(plan.Outcome{Step: "set up", Status: -1, Stderr: err.Error()})
		return
	}
	for _, step := range steps {
		report(do(step))
	}
	report(plan.Outcome{Step: plan.End, Stdout: release()})
}

func setUp() error {
	for _, m := range []struct{ kind, dir string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}} {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	// What the kernel has to say shall not be mixed with what is printed here.
	return os.WriteFile("/proc/sys/kernel/printk", []byte("1"), 0)
}

func release() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err.Error()
	}
	return string(name.Release[:bytes.IndexByte(name.Release[:], 0)])
}

// report prints an outcome as one line.
func report(o plan.Outcome) {
	line, err := json.Marshal(o)
	if err != nil {
		line = fmt.Appendf(nil, `{"step":%q,"status":-1}`, o.Step)
	}
	fmt.Printf("\n%s%s\n", plan.Marker, line)
}

func do(step plan.Step) plan.Outcome {
	o := plan.Outcome{Step: step.Name}
	var err error
	switch {
	case step.LoadModule != "":
		err = loadModule(step.LoadModule)
	case step.Entries:
		o.Stdout, err = entries()
	case step.Write != "":
		err = write(step.Path, step.Write)
	default:
		return run(step)
	}
	if err != nil {
		o.Status, o.Stderr = -1, err.Error()
	}
	return o
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), "", 0)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

func write(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}

// entries returns all entries as the kernel prints them.
func entries() (string, error) {
	const dir = "/proc/sys/fs/binfmt_misc"
	list, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, e := range list {
		if slices.Contains([]string{"register", "status"}, e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&all, "%s\n%s", e.Name(), text)
	}
	return all.String(), nil
}

func run(step plan.Step) plan.Outcome {
	o := plan.Outcome{Step: step.Name}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(step.Argv[0], step.Argv[1:]...)
	cmd.Env = []string{"PATH=/usr/bin"}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if step.Root != "" {
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: step.Root}
	}
	start := time.Now()
	err := cmd.Run()
	o.Seconds = time.Since(start).Seconds()
	o.Stdout, o.Stderr = stdout.String(), stderr.String()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		o.Status = exit.ExitCode()
	case err != nil:
		o.Status, o.Stderr = -1, err.Error()
	}
	return o
}

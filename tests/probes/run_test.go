package probes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/private"
)

// orderVariable has the order that the test binary is started a second time for,
// inside a private instance.
const orderVariable = "TEST_PROBES_ORDER"

// An order is what programs to run, of one target and under one emulator.
type order struct {
	Programs map[string]string // of each family, the file
	Work     string            // a directory that belongs to who runs them
	Patience time.Duration     // how many times as long they may take
	Env      []string          // more variables for them
}

// A result is how one probe ended.
type result struct {
	Status int    `json:"status"`
	Said   string `json:"said,omitempty"`
}

// How probes exit (testdata/probe.h), and what the runner adds.
const (
	passed      = 0
	failed      = 1
	unsupported = 77
	elsewhere   = 78
	endless     = -1
)

func (r result) String() string {
	switch {
	case r.Status == passed:
		return "passes"
	case r.Status == endless:
		return "did not end"
	case r.Status > 128:
		return fmt.Sprintf("died of %v: %s", syscall.Signal(r.Status-128), r.Said)
	case r.Said == "":
		return fmt.Sprintf("exit status %d", r.Status)
	}
	return r.Said
}

// results has each probe's, by family and name.
type results map[string]result

// of returns a probe's, which fails if it did not run.
func (r results) of(name string) result {
	if got, ran := r[name]; ran {
		return got
	}
	return result{failed, "its program does not list its probes"}
}

// nobody is the ordinary user that probes run as where root runs the tests.
const nobody = 65534

// atOnce is how many probes run side by side: most wait more than they work.
const atOnce = 4

// A probe takes much less than these; on a busy machine it may have the second.
var limits = []time.Duration{10 * time.Second, 40 * time.Second}

// runAll runs the programs in a private instance with the entries.
func runAll(ctx context.Context, o order, entries []binfmt.Entry) (results, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	cmd := private.Command(ctx, entries, "/proc/self/exe")
	cmd.Env = append(os.Environ(), orderVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var r results
	return r, json.Unmarshal(out, &r)
}

// obey is what the test binary does inside: it runs the probes and prints their
// results.
func obey(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	// Limits that the caller has are not what is probed.
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return err
	}
	// Nor are files that whoever runs the tests has left open.
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil { // 5.11
		return err
	}
	type job struct{ family, program, name string }
	var jobs []job
	for family, program := range o.Programs {
		out := o.execute(program, limits[1]*o.Patience)
		if out.Status != passed { // none of the family's passes then
			fmt.Fprintf(os.Stderr, "%s does not list its probes: %s\n", program, out)
			continue
		}
		for name := range strings.FieldsSeq(out.Said) {
			jobs = append(jobs, job{family, program, name})
		}
	}
	slices.SortFunc(jobs, func(a, b job) int { return strings.Compare(a.family+"/"+a.name, b.family+"/"+b.name) })
	all := make(results)
	var lock sync.Mutex
	var wait sync.WaitGroup
	if len(jobs) == 0 {
		return errors.New("no program lists its probes")
	}
	todo := make(chan job)
	for range atOnce {
		wait.Go(func() {
			for j := range todo {
				r := result{Status: endless}
				for _, limit := range limits {
					if r = o.execute(j.program, limit*o.Patience, j.name); r.Status != endless {
						break
					}
				}
				lock.Lock()
				all[j.family+"/"+j.name] = r
				lock.Unlock()
			}
		})
	}
	for _, j := range jobs {
		todo <- j
	}
	close(todo)
	wait.Wait()
	return json.NewEncoder(os.Stdout).Encode(all)
}

// execute runs a program in a new directory.
func (o order) execute(program string, limit time.Duration, args ...string) result {
	dir, err := os.MkdirTemp(o.Work, "probe-")
	if err != nil {
		return result{failed, err.Error()}
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "HOME=" + dir, "TMPDIR=" + dir, "PROBE=" + program}
	cmd.Env = append(cmd.Env, o.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		if err := os.Chown(dir, nobody, nobody); err != nil {
			return result{failed, err.Error()}
		}
	}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if cmd.Process != nil {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) // what it left behind
	}
	said := strings.TrimSpace(strings.ReplaceAll(out.String(), filepath.Clean(dir), "DIR"))
	if len(args) > 0 && len(said) > 300 {
		said = said[:300]
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return result{Status: endless, Said: said}
	case errors.As(err, &exit):
		status := exit.Sys().(syscall.WaitStatus)
		if status.Signaled() {
			return result{128 + int(status.Signal()), said}
		}
		return result{status.ExitStatus(), said}
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return result{failed, err.Error()}
	case len(args) > 0:
		return result{Status: passed}
	}
	return result{passed, said}
}

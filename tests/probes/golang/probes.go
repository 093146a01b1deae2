package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// itself is the path of this program.
var itself = os.Getenv("PROBE")

var probes = []probe{
	{"goroutines", goroutines},
	{"command_output", commandOutput},
	{"command_missing", commandMissing},
	{"store_load", storeLoad},
	{"directories", directories},
	{"timers", timers},
}

func init() {
	parts[":echo"] = func(args []string) int {
		fmt.Println(strings.Join(args, " "))
		return 0
	}
	parts[":wait"] = func([]string) int { select {} }
	parts[":exit"] = func([]string) int { return 3 }
}

func goroutines() error {
	var wait sync.WaitGroup
	var sum atomic.Int64
	for i := range 1000 {
		wait.Go(func() {
			runtime.Gosched()
			sum.Add(int64(i))
		})
	}
	wait.Wait()
	if sum.Load() != 499500 {
		return fmt.Errorf("the sum is %d", sum.Load())
	}
	return nil
}

func commandOutput() error {
	out, err := exec.Command(itself, ":echo", "a", "b c").Output()
	if err != nil || string(out) != "a b c\n" {
		return fmt.Errorf("%q, %v", out, err)
	}
	return nil
}

func commandMissing() error {
	if err := exec.Command("/nonexistent").Run(); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the error is %v", err)
	}
	return nil
}

// Each of two goroutines stores, then loads what the other stores.
func storeLoad() error {
	var x, y, rx, ry atomic.Int64
	for round := range 20000 {
		x.Store(0)
		y.Store(0)
		var wait sync.WaitGroup
		var gate atomic.Int32
		play := func(mine, other, result *atomic.Int64) {
			gate.Add(1)
			for gate.Load() < 2 {
				runtime.Gosched()
			}
			mine.Store(1)
			result.Store(other.Load())
		}
		wait.Go(func() { play(&x, &y, &rx) })
		wait.Go(func() { play(&y, &x, &ry) })
		wait.Wait()
		if rx.Load() == 0 && ry.Load() == 0 {
			return fmt.Errorf("neither saw the other's store in round %d", round)
		}
	}
	return nil
}

func directories() error {
	for i := range 300 {
		if err := os.WriteFile(fmt.Sprintf("f%03d", i), nil, 0o600); err != nil {
			return err
		}
	}
	n := 0
	err := filepath.WalkDir(".", func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil || n != 300 {
		return fmt.Errorf("%d files, %v", n, err)
	}
	return nil
}

func timers() error {
	start := time.Now()
	select {
	case <-time.After(50 * time.Millisecond):
	case <-time.After(time.Minute):
		return errors.New("a minute is over before 50 milliseconds")
	}
	if took := time.Since(start); took < 50*time.Millisecond {
		return fmt.Errorf("it took %v", took)
	}
	return nil
}

// Bench times register and crossrun beside the tools that people know, in one
// run and in turn, in a binfmt_misc of its own. It prints medians, and the ratio
// and the difference of runs that came right after one another, against the
// first: machines are noisy, and those are what can be compared.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
)

// inside is the environment variable that says that the instance is there.
const inside = "GO_BUILD_BENCH_INSIDE"

func main() {
	private.Main()
	bin := flag.String("bin", "bin", "`directory` of register and crossrun")
	dist := flag.String("dist", "dist", "`directory` of the single files")
	rounds := flag.Int("rounds", 40, "how `often` each command is run")
	flag.Parse()
	var err error
	if os.Getenv(inside) == "" {
		cmd := private.Command(context.Background(), nil, "/proc/self/exe", os.Args[1:]...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.Env = append(os.Environ(), inside+"=1")
		err = cmd.Run()
	} else {
		err = bench(*bin, *dist, *rounds)
	}
	if err != nil {
		cli.Error(os.Stderr, "bench", err)
		os.Exit(1)
	}
}

// A contestant is one way of doing what others of its group do, too.
type contestant struct {
	name  string
	argv  []string
	empty bool   // it starts with no entry registered
	stdin []byte // what it reads
	env   []string
	gone  string // what is removed before it starts

	before func() error // what is done before it starts
	own    bool         // it says by itself how long it took
}

func bench(bin, dist string, rounds int) error {
	work, err := os.MkdirTemp("", "go-build-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	register, err := filepath.Abs(filepath.Join(bin, "register"))
	if err != nil {
		return err
	}
	crossrun := filepath.Join(filepath.Dir(register), "crossrun")

	fmt.Println("registering every architecture, from an empty table, not run afterwards:")
	contestants := []contestant{
		{name: "register --no-probe", argv: []string{register, "--no-probe"}, empty: true},
		{name: "register --no-probe, nothing to do", argv: []string{register, "--no-probe"}},
	}
	contestants = append(contestants, installed(true, "/usr/lib/systemd/systemd-binfmt")...)
	contestants = append(contestants, installed(true, "update-binfmts", "--enable")...)
	contestants = append(contestants, installed(true, "qemu-binfmt-conf.sh", "--qemu-suffix", "-static", "--persistent", "yes")...)
	writer, err := writer(work, register)
	if err != nil {
		return err
	}
	empty, err := goProgram(work, "empty")
	if err != nil {
		return err
	}
	contestants = append(append(contestants, writer...), contestant{name: "a Go program that does nothing", argv: []string{empty}})
	if err := race(contestants, rounds); err != nil {
		return err
	}

	fmt.Println("\nregistering and running a program of every architecture:")
	if err := clear(); err != nil {
		return err
	}
	contestants = []contestant{
		{name: "register", argv: []string{register}, empty: true},
		{name: "register, nothing to do", argv: []string{register}},
		{name: "register --status", argv: []string{register, "--status"}},
	}
	if err := race(append(contestants, installed(false, "arch-test")...), rounds); err != nil {
		return err
	}

	fmt.Println("\nrunning one arm64 program, in each of the ways that there are:")
	if err := clear(); err != nil {
		return err
	}
	arm64, err := elfmagic.Lookup("arm64")
	if err != nil {
		return err
	}
	self, err := elfmagic.Lookup(runtime.GOARCH)
	if err != nil {
		return err
	}
	search := emulator.Search{Dirs: emulator.DefaultDirs(), Native: []*elfmagic.Arch{self}}
	qemu, err := search.Find(arm64)
	if err != nil {
		return err
	}
	hello, err := hello(work)
	if err != nil {
		return err
	}
	if out, err := exec.Command(register, "--no-probe", "arm64").CombinedOutput(); err != nil {
		return fmt.Errorf("register: %w: %s", err, out)
	}
	err = race([]contestant{
		{name: "crossrun --direct hello", argv: []string{crossrun, "--direct", hello}},
		{name: "crossrun --private hello", argv: []string{crossrun, "--private", hello}},
		{name: "crossrun --kernel hello", argv: []string{crossrun, "--kernel", hello}},
		{name: filepath.Base(qemu.Path) + " hello", argv: []string{qemu.Path, hello}},
		{name: "hello, registered", argv: []string{hello}},
	}, rounds)
	if err != nil {
		return err
	}
	if err := starting(crossrun, hello, work, rounds); err != nil {
		return err
	}
	if err := spawning(register, crossrun, work, rounds); err != nil {
		return err
	}
	return singleFiles(register, dist, hello, work, rounds)
}

// starting shows what crossrun itself takes: its emulator does nothing.
func starting(crossrun, hello, work string, rounds int) error {
	fmt.Println("\nwhat comes before an emulator, which does nothing here:")
	native, err := compile(work, "gcc")
	if err != nil || native == nil {
		return err
	}
	emulator := filepath.Join(work, "qemu-aarch64")
	if err := errors.Join(clear(), os.Rename(native[1], emulator)); err != nil {
		return err
	}
	executes, err := goProgram(work, "executes")
	if err != nil {
		return err
	}
	list := []contestant{
		{name: "a Go program that only executes", argv: []string{executes, emulator}},
		{name: "the emulator itself", argv: []string{emulator}},
	}
	for _, way := range []string{"--direct", "--handed-on", "--private", "--watched"} {
		list = append(list, contestant{name: "crossrun " + way, argv: []string{crossrun, way, hello}, env: []string{"CROSSRUN_EMULATOR_AARCH64=" + emulator}})
	}
	return race(list, rounds)
}

// goProgram builds one of testdata's programs as the commands are built.
func goProgram(work, name string) (string, error) {
	path := filepath.Join(work, name)
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./tests/bench/testdata/"+name)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
}

// singleFiles shows what it costs to embed emulators: bytes, and time. The plain
// commands have them on disk.
func singleFiles(register, dist, hello, work string, rounds int) error {
	fmt.Println("\nsingle files (make dist) beside plain commands:")
	single := func(name string) string { return filepath.Join(dist, name+"-linux-"+runtime.GOARCH) }
	if _, err := os.Stat(single("register")); err != nil {
		fmt.Printf("  (make dist has made none: %v)\n", err)
		return nil
	}
	crossrun := filepath.Join(filepath.Dir(register), "crossrun")
	for _, path := range []string{crossrun, single("crossrun"), register, single("register")} {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		fmt.Printf("%9.1f MB  %s\n", float64(info.Size())/1e6, path)
	}
	cache := filepath.Join(work, "cache")
	kept, off := []string{"CROSSRUN_CACHE=" + cache}, []string{"CROSSRUN_CACHE=off"}
	for _, way := range []string{"--direct", "--private"} {
		argv := []string{single("crossrun"), way, hello}
		if err := clear(); err != nil {
			return err
		}
		err := race([]contestant{
			{name: "crossrun " + way + " hello", argv: []string{crossrun, way, hello}},
			{name: "single file, for the first time", argv: argv, env: kept, gone: cache},
			{name: "single file, afterwards", argv: argv, env: kept},
			{name: "single file, nowhere to keep anything", argv: argv, env: off},
		}, rounds)
		if err != nil {
			return err
		}
	}
	return race([]contestant{
		{name: "register", argv: []string{register}, empty: true},
		{name: "single file", argv: []string{single("register")}, empty: true},
		{name: "single file, nothing to do", argv: []string{single("register")}},
	}, rounds)
}

// installed returns the contestant if its command is there.
func installed(empty bool, argv ...string) []contestant {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + filepath.Base(argv[0]))
	}
	name := filepath.Base(argv[0])
	if err != nil {
		fmt.Printf("  (%s is not installed)\n", name)
		return nil
	}
	for _, arg := range argv[1:] {
		name += " " + arg
	}
	return []contestant{{name: name, argv: append([]string{path}, argv[1:]...), empty: empty}}
}

// writer returns the least that any tool can do: a C program that writes the
// lines which register would write.
func writer(work, register string) ([]contestant, error) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		fmt.Println("  (gcc is not installed: no program that only writes)")
		return nil, nil
	}
	program := filepath.Join(work, "write")
	if out, err := exec.Command(gcc, "-O2", "-static", "-o", program, "tests/bench/testdata/write.c").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	if out, err := exec.Command(register, "--no-probe").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("register: %w: %s", err, out)
	}
	entries, err := binfmt.New("").List()
	if err != nil {
		return nil, err
	}
	var lines bytes.Buffer
	for _, e := range entries {
		line, err := e.MarshalText()
		if err != nil {
			return nil, err
		}
		lines.Write(append(line, '\n'))
	}
	return []contestant{{name: "a C program that only writes", argv: []string{program}, empty: true, stdin: lines.Bytes()}}, nil
}

// hello builds a program that has little to do: in C if there is a cross
// compiler, so that starting is most of it, else in Go.
func hello(work string) (string, error) {
	path := filepath.Join(work, "hello")
	cmd := exec.Command("aarch64-linux-gnu-gcc", "-O2", "-static", "-o", path, "tests/testdata/hello.c", "-lm")
	if errors.Is(cmd.Err, exec.ErrNotFound) {
		cmd = exec.Command("go", "build", "-o", path, "./tests/testdata/hello")
		cmd.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
}

// clear removes all entries.
func clear() error {
	fs := binfmt.New("")
	entries, err := fs.List()
	for _, e := range entries {
		err = errors.Join(err, fs.Remove(e.Name))
	}
	return err
}

// race runs the contestants in turn, and prints how long they took.
func race(contestants []contestant, rounds int) error {
	took, cpu, faults := make([][]time.Duration, len(contestants)), make([][]time.Duration, len(contestants)), make([][]int, len(contestants))
	for round := range rounds + 2 {
		for i, c := range contestants {
			if c.empty {
				if err := clear(); err != nil {
					return err
				}
			}
			if c.gone != "" {
				if err := os.RemoveAll(c.gone); err != nil {
					return err
				}
			}
			if c.before != nil {
				if err := c.before(); err != nil {
					return err
				}
			}
			duration, used, err := c.run()
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if round >= 2 { // the first ones warm the caches
				took[i] = append(took[i], duration)
				cpu[i] = append(cpu[i], used.UserTime()+used.SystemTime())
				faults[i] = append(faults[i], int(used.SysUsage().(*syscall.Rusage).Minflt))
			}
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "median\tfastest\tratio\tdifference\tCPU\tpage faults\t \t")
	for i, c := range contestants {
		var ratios []float64
		var differences []time.Duration
		for round := range took[i] {
			ratios = append(ratios, float64(took[i][round])/float64(took[0][round]))
			differences = append(differences, took[i][round]-took[0][round])
		}
		fmt.Fprintf(w, "%.2f ms\t%.2f ms\t%.2f\t%+.2f ms\t%.2f ms\t%d\t  %s\n", milliseconds(median(took[i])), milliseconds(slices.Min(took[i])),
			median(ratios), milliseconds(median(differences)), milliseconds(median(cpu[i])), median(faults[i]), c.name)
	}
	return w.Flush()
}

// run runs it once. What it used is that of all its processes which it waited for.
func (c *contestant) run() (time.Duration, *os.ProcessState, error) {
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Stdin = bytes.NewReader(c.stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stderr = &stderr
	if c.own {
		cmd.Stdout = &stdout
	}
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, nil, fmt.Errorf("%w: %s", err, stderr.Bytes())
	}
	took := time.Since(start)
	if c.own {
		var err error
		if took, err = itsOwn(stdout.String()); err != nil {
			return 0, nil, err
		}
	}
	return took, cmd.ProcessState, nil
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

func median[T int | float64 | time.Duration](list []T) T {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

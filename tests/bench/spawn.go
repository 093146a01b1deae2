package main

import (
	"fmt"

	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// spawning shows what it costs a program to start others, in the ways that there are:
// each contestant times itself, so that its own start does not count.
func spawning(register, crossrun, work string, rounds int) error {
	fmt.Println("\nfork, exec and wait of a program that does nothing, by a native one:")
	native, err := compile(work, "gcc")
	if err != nil {
		return err
	}
	foreign, err := compile(work, "aarch64-linux-gnu-gcc")
	if err != nil || native == nil || foreign == nil {
		return err
	}
	// As many as take about as long, so that the first few, for which a supervisor's
	// memory is not there yet, count no more than elsewhere.
	const ofNative, ofForeign = "500", "50"
	registered := func() error {
		if err := clear(); err != nil {
			return err
		}
		if out, err := exec.Command(register, "--no-probe", "arm64").CombinedOutput(); err != nil {
			return fmt.Errorf("register: %w: %s", err, out)
		}
		return nil
	}
	// contestants of one group: the first without crossrun, then its ways, as far as
	// they are available.
	group := func(before func() error, ways []string, argv ...string) error {
		list := []contestant{{name: "as it is", argv: argv, before: before, own: true}}
		for _, way := range ways {
			c := contestant{name: "crossrun " + way, argv: append([]string{crossrun, way}, argv...), before: clear, own: true}
			if err := clear(); err != nil {
				return err
			}
			if out, err := exec.Command(c.argv[0], c.argv[1:]...).CombinedOutput(); err != nil {
				fmt.Printf("  (%s: %v: %s)\n", c.name, err, strings.TrimSpace(string(out)))
				continue
			}
			list = append(list, c)
		}
		return race(list, rounds)
	}
	if err := group(clear, []string{"--watched", "--private"}, native[0], ofNative, native[1]); err != nil {
		return err
	}
	fmt.Println("\nthe same of an arm64 program, which the first runs by an entry in the kernel:")
	if err := group(registered, []string{"--watched", "--private"}, native[0], ofForeign, foreign[1]); err != nil {
		return err
	}
	fmt.Println("\nthe same by an arm64 program:")
	if err := group(registered, []string{"--handed-on", "--watched", "--private"}, foreign[0], ofForeign, foreign[1]); err != nil {
		return err
	}
	fmt.Println("\n100000 system calls of a native program:")
	return group(clear, []string{"--watched"}, native[0], "100000")
}

// compile returns the program that starts others, and the one that does nothing.
func compile(work, compiler string) ([]string, error) {
	var programs []string
	for _, name := range []string{"spawn", "nothing"} {
		path := filepath.Join(work, name+"-"+compiler)
		if _, err := exec.LookPath(compiler); err != nil {
			fmt.Printf("  (%v: nothing to start)\n", err)
			return nil, nil
		}
		if out, err := exec.Command(compiler, "-O2", "-static", "-o", path, "tests/bench/testdata/"+name+".c").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
		programs = append(programs, path)
	}
	return programs, nil
}

// itsOwn is the time that a contestant says it took.
func itsOwn(stdout string) (time.Duration, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(stdout), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w on standard output of a program that times itself", err)
	}
	return time.Duration(n), nil
}

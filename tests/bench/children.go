package main

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/emulator"
)

// started is how many others a program starts: the start of itself hardly counts.
const started = "20"

// children times what an arm64 program starts: by the entries of a private instance,
// and handed on by an emulator of ours.
func children(crossrun, work string, search *emulator.Search, rounds int) error {
	fmt.Printf("\nan arm64 program that starts %s others, one after the other:\n", started)
	arm64, err := elfmagic.Lookup("arm64")
	if err != nil {
		return err
	}
	if qemu, err := search.Find(arm64); err != nil || !qemu.HandsOn() {
		fmt.Println("  (the emulator of arm64 is not one of ours: make emulators)")
		return err
	}
	if err := clear(); err != nil {
		return err
	}
	starter, err := static(work, "aarch64-linux-gnu", "tests/bench/testdata/children.c")
	if errors.Is(err, exec.ErrNotFound) {
		fmt.Printf("  (%v)\n", err)
		return nil
	}
	for _, triplet := range []string{"aarch64-linux-gnu", "s390x-linux-gnu", ""} {
		child := "/bin/true"
		if err == nil && triplet != "" {
			child, err = static(work, triplet, "tests/testdata/hello.c")
		}
		if err != nil {
			return err
		}
		var contestants []contestant
		for _, way := range []string{"--private", "--handed-on"} {
			contestants = append(contestants, contestant{name: way + " " + filepath.Base(child), argv: []string{crossrun, way, starter, started, child}})
		}
		if err := race(contestants, rounds); err != nil {
			return err
		}
	}
	return nil
}

// static builds a C program with one of Debian's compilers.
func static(work, triplet, source string) (string, error) {
	path := filepath.Join(work, triplet+"-"+filepath.Base(source))
	out, err := exec.Command(triplet+"-gcc", "-O2", "-static", "-o", path, source, "-lm").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
}

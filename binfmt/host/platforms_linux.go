package host

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// inOrder are the platforms that BuildKit asks for, in its order; that of this
// program comes first.
var inOrder = []string{"amd64", "arm64", "riscv64", "ppc64", "ppc64le", "s390x", "386", "mips64le", "mips64", "loong64", "arm"}

// Platforms returns the platforms of which a program was run just now, as OCI
// writes them, in BuildKit's order: linux/amd64, linux/amd64/v2, linux/arm64, …
// Of variants it lists those that the CPU, or the emulator, has.
func Platforms(ctx context.Context) ([]string, error) {
	others := slices.DeleteFunc(slices.Clone(inOrder), func(name string) bool { return name == runtime.GOARCH })
	order := append([]string{runtime.GOARCH}, others...)
	lists := make([][]string, len(order))
	errs := make([]error, len(order))
	var wait sync.WaitGroup
	for i, name := range order {
		wait.Go(func() { lists[i], errs[i] = platformsOf(ctx, name) })
	}
	wait.Wait()
	return slices.Concat(lists...), errors.Join(append(errs, ctx.Err())...) // interrupted, they seem not to run
}

// platformsOf returns the platforms of one architecture whose programs run: it
// itself and its variants. The variant of every arm program is one of v5 to v7.
func platformsOf(ctx context.Context, goarch string) ([]string, error) {
	arch, err := elfmagic.Lookup(goarch)
	if err != nil {
		return nil, err
	}
	var unknown error // by which nothing is known of a program
	runs := func(program []byte, err error) bool {
		if err == nil {
			err = tinyelf.Run(ctx, program, nil)
		}
		if tinyelf.NotStarted(err) {
			unknown = err
		}
		return err == nil
	}
	if !runs(tinyelf.Program(arch)) {
		return nil, unknown
	}
	platform := "linux/" + goarch
	var list []string
	variants := tinyelf.Variants(arch)
	if goarch == "arm" {
		slices.Reverse(variants) // the best comes first there
	} else {
		list = append(list, platform)
	}
	for _, v := range variants {
		if runs(tinyelf.VariantProgram(arch, v)) {
			list = append(list, platform+"/"+v)
		}
	}
	return list, unknown
}

package qemu

import (
	"slices"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
)

// Targets returns the architectures of the given names, all if there are none,
// sorted and once each.
func Targets(names []string) ([]*elfmagic.Arch, error) {
	if len(names) == 0 {
		return elfmagic.Archs(), nil
	}
	var archs []*elfmagic.Arch
	for _, name := range names {
		arch, err := elfmagic.Lookup(name)
		if err != nil {
			return nil, err
		}
		archs = append(archs, arch)
	}
	slices.SortFunc(archs, func(a, b *elfmagic.Arch) int { return strings.Compare(a.Name, b.Name) })
	return slices.Compact(archs), nil
}

func names(archs []*elfmagic.Arch) []string {
	var list []string
	for _, a := range archs {
		list = append(list, a.Name)
	}
	return list
}

// fileName is the name of a target's emulator.
func fileName(target string) string { return "qemu-" + target + "-static" }

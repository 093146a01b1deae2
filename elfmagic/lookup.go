package elfmagic

import (
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/platforms"
)

// An UnknownArchError says that no architecture has the name that was asked
// for, and which known name is nearest to it.
type UnknownArchError struct {
	Name    string
	Nearest string // empty where nothing is near
}

func (e *UnknownArchError) Error() string {
	return fmt.Sprintf("unknown architecture %q", e.Name)
}

// Hint says what the caller may have meant.
func (e *UnknownArchError) Hint() string {
	if e.Nearest != "" {
		return fmt.Sprintf("did you mean %s?", e.Nearest)
	}
	return "known are QEMU's, Go's and Debian's names (aarch64, arm64, ppc64el), triplets, and platforms such as linux/arm64"
}

// Lookup finds an architecture by any name that is in use for it: QEMU's
// (aarch64), Go's (arm64), Debian's (armhf), what uname -m prints (armv7l), a
// GNU triplet (arm-linux-gnueabihf), an emulator's or entry's name
// (qemu-arm, qemu-arm-static), or an OCI platform with or without a variant
// (linux/arm/v7, arm/v7). Case does not matter. The error is an
// *UnknownArchError.
func Lookup(name string) (*Arch, error) {
	key := strings.ToLower(strings.TrimSpace(name))
	if a := names[key]; a != nil {
		return a, nil
	}
	if emulator, ok := strings.CutPrefix(key, "qemu-"); ok {
		if a := byName[strings.TrimSuffix(emulator, "-static")]; a != nil {
			return a, nil
		}
	}
	if a := byPlatform(key); a != nil {
		return a, nil
	}
	return nil, &UnknownArchError{Name: name, Nearest: nearest(key)}
}

// byPlatform finds the architecture of an OCI platform, whose operating system
// may be left out if a variant is there.
func byPlatform(key string) *Arch {
	first, _, ok := strings.Cut(key, "/")
	if !ok {
		return nil
	}
	if names[first] != nil {
		key = "linux/" + key
	}
	p, err := platforms.Parse(key)
	if err != nil || p.OS != "linux" {
		return nil
	}
	// The variant is looked at as it was written: of armhf/amd64 and i386/amd64
	// Parse makes arm/v7 and 386.
	if parts := strings.Split(key, "/"); len(parts) == 3 && !isVariant(parts[2]) {
		return nil
	}
	return names[p.Architecture]
}

// isVariant reports whether a platform's third component can be a variant: a
// letter and a number (v7, power9, rva22u64) or a digit (arm/7). Anything else
// is a slip that must not pass for the first half of it: arm64/amd64, arm/linux,
// arm/64.
func isVariant(s string) bool {
	const digits = "0123456789"
	if names[s] != nil || !strings.ContainsAny(s, digits) {
		return false
	}
	return len(s) == 1 || !strings.ContainsAny(s[:1], digits)
}

// names has every name of every architecture; byName only QEMU's.
var names, byName = index()

func index() (all, own map[string]*Arch) {
	all, own = make(map[string]*Arch), make(map[string]*Arch)
	for _, a := range rows {
		own[a.Name] = a
		for _, name := range a.Names() {
			all[name] = a
		}
	}
	return all, own
}

// Names returns every name by which Lookup finds the architecture, its own
// first; platforms and the qemu- names come on top of them.
func (a *Arch) Names() []string {
	list := []string{a.Name}
	add := func(names ...string) {
		for _, name := range names {
			if name != "" && !slices.Contains(list, name) {
				list = append(list, name)
			}
		}
	}
	add(a.GOARCH)
	for _, port := range a.Debian {
		add(port.Name, port.Triplet)
	}
	add(a.Uname...)
	add(a.Aliases...)
	return list
}

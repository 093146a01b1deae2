package emulator

import (
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/product"
)

// IsQEMU reports whether the emulator takes QEMU's flags: it says so, or is called so.
func (e *Emulator) IsQEMU() bool {
	return e.Product == "" && (e.Version != "" || e.Embedded != nil || strings.HasPrefix(filepath.Base(e.Path), "qemu-"))
}

// productOf is product.Of, with one system call for what is no link.
func productOf(path string) string {
	var st unix.Stat_t
	if unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return product.Called(filepath.Base(path))
	}
	return product.Of(path)
}

// number returns the first version in what box64 ("Box64 arm64 v0.4.3 nogit with Dynarec
// built on …") or FEX ("FEX-2506") prints, or an empty string. It does without regexp, whose
// tables each start would pay for.
func number(text string) string {
	for word := range strings.FieldsSeq(text) {
		rest, found := strings.CutPrefix(word, "v")
		if !found {
			_, rest, found = strings.Cut(word, "FEX-")
		}
		number := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789."))]
		if number = strings.Trim(number, "."); found && number != "" {
			return number
		}
	}
	return ""
}

// askProduct runs an emulator that is none of QEMU's with --version, and returns its
// name with what it says.
func (e *Emulator) askProduct() string {
	return strings.TrimSpace(e.Product + " " + number(e.ask((*exec.Cmd).CombinedOutput)))
}

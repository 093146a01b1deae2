package emulator

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// IsQEMU reports whether the emulator takes QEMU's flags: it says so, or is called so.
func (e *Emulator) IsQEMU() bool {
	return e.Product == "" && (e.Version != "" || e.Embedded != nil || strings.HasPrefix(filepath.Base(e.Path), "qemu-"))
}

// numberedLine has a version as box64 ("Box64 arm64 v0.4.3 nogit with Dynarec built on …") and
// FEX ("FEX-2506") print it.
var numberedLine = regexp.MustCompile(`(?:\bv|FEX-)(\d+(?:\.\d+)*)`)

// askProduct runs an emulator that is none of QEMU's with --version, and returns its
// name with what it says.
func (e *Emulator) askProduct() string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, e.Path, "--version").CombinedOutput()
	if found := numberedLine.FindSubmatch(out); err == nil && found != nil {
		return e.Product + " " + string(found[1])
	}
	return e.Product
}

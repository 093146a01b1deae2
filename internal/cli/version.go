package cli

import (
	"runtime/debug"
	"strings"
)

// linked is set by the Makefile from git describe.
var linked string

// Version returns the version: what the Makefile linked in, else what the go
// command recorded (a module version after go install …@version).
func Version() string {
	if linked != "" {
		return linked
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "devel-" + s.Value[:min(12, len(s.Value))]
		}
	}
	return strings.Trim(info.Main.Version, "()")
}

package main

import (
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
)

// insideBuildKit is what BuildKit calls an emulator in the containers of RUN steps,
// where nothing else of the host's is (solver/llbsolver/ops/exec_binfmt.go, since
// v0.8). It has it from PATH, under the name buildkit-qemu-ARCH. The container's
// command follows, as the image has it: a name to be looked up in PATH, most often.
const insideBuildKit = "/dev/.buildkit_qemu_emulator"

// runAs runs the command under the name that it was called by, args[0].
func runAs(args []string, stdout, stderr io.Writer) int {
	arch, err := emulatorName(args[0])
	switch {
	case err != nil:
		return exitStatus(fmt.Errorf("called as %s: %w", filepath.Base(args[0]), err), stderr)
	case arch != nil:
		return runAsQEMU(args, arch, stdout, stderr)
	}
	return run(arguments(args), stdout, stderr)
}

// arguments returns what follows the command's name. Under the names that the go
// command (go_linux_arm64_exec, for one) and BuildKit look for, all of it is the
// program's.
func arguments(args []string) []string {
	hook, _ := path.Match("go_linux_*_exec", filepath.Base(args[0]))
	if hook || calledByBuildKit(args[0]) {
		return append([]string{"--"}, args[1:]...)
	}
	return args[1:]
}

func calledByBuildKit(name string) bool {
	return name == insideBuildKit || strings.HasPrefix(filepath.Base(name), "buildkit-qemu-")
}

// inBuild reports whether this is a container of BuildKit's, by whatever name the
// command is executed there: what is written comes to be in the image.
func inBuild() bool {
	self, _ := os.Executable()
	return self == insideBuildKit || os.Args[0] == insideBuildKit
}

// emulatorName returns the architecture whose emulator of QEMU's the command was
// called as: qemu-s390x, qemu-aarch64-static. It is an error if there is none of
// that name, and nil if the name is another.
func emulatorName(name string) (*elfmagic.Arch, error) {
	of, isQEMU := strings.CutPrefix(filepath.Base(name), "qemu-")
	if !isQEMU {
		return nil, nil
	}
	return elfmagic.Lookup(strings.TrimSuffix(of, "-static"))
}

package binfmt

import (
	"errors"
	"fmt"
)

// A KernelVersion is a release of Linux, such as 6.18.
type KernelVersion struct {
	Major, Minor int
}

// ParseKernelVersion reads a release as uname -r prints it: 6.1.0-44-amd64.
func ParseKernelVersion(release string) (KernelVersion, error) {
	var v KernelVersion
	if n, _ := fmt.Sscanf(release, "%d.%d", &v.Major, &v.Minor); n != 2 || v.Major < 0 || v.Minor < 0 {
		return KernelVersion{}, fmt.Errorf("kernel release %q does not begin with two numbers", release)
	}
	return v, nil
}

// AtLeast reports whether this version is that one or newer.
func (v KernelVersion) AtLeast(w KernelVersion) bool {
	return v.Major > w.Major || v.Major == w.Major && v.Minor >= w.Minor
}

// String returns the version as people write it: 6.18.
func (v KernelVersion) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// A Feature is something that kernels have since some version.
type Feature struct {
	Name   string
	Since  KernelVersion
	Commit string // of Linux, which brought it
}

// Features of the kernel that matter to binfmt_misc's users.
var (
	FeatureFixBinary = Feature{"flag F", KernelVersion{4, 8}, "948b701a607f"}
	// FeatureArgv0Flag: the kernel tells the interpreter (AT_FLAGS) that P is
	// set, without which the interpreter cannot know that argv[0] is there.
	FeatureArgv0Flag = Feature{"P told to the interpreter", KernelVersion{5, 12}, "2347961b11d4"}
	FeatureWindow256 = Feature{"patterns in the first 256 bytes", KernelVersion{5, 1}, "6eb3c3d0a52d"}
	FeatureLine1920  = Feature{"registrations of more than 255 bytes", KernelVersion{3, 19}, "bbaecc088247"}
	FeatureInstances = Feature{"an instance for each user namespace", KernelVersion{6, 7}, "21ca59b365c0"}
)

// Supported returns an *UnsupportedError if kernels of the given version do not
// have the feature. Distributions do bring some to older kernels.
func (f Feature) Supported(kernel KernelVersion) error {
	if kernel.AtLeast(f.Since) {
		return nil
	}
	return &UnsupportedError{Feature: f, Kernel: kernel}
}

// An UnsupportedError says that the running kernel is too old for something.
type UnsupportedError struct {
	Feature Feature
	Kernel  KernelVersion
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("Linux %s does not have %s: it came with %s", e.Kernel, e.Feature.Name, e.Feature.Since)
}

// Is reports whether target is errors.ErrUnsupported.
func (e *UnsupportedError) Is(target error) bool { return target == errors.ErrUnsupported }

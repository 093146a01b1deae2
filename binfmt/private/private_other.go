//go:build !linux

package private

import (
	"context"
	"syscall"
)

var unsupported = failed(OpNamespace, "", syscall.ENOSYS)

// Main does nothing: there are no instances but on Linux.
func Main() {}

// Check returns an error that is errors.ErrUnsupported.
func Check() error { return unsupported }

// NewInstance returns an error that is errors.ErrUnsupported.
func NewInstance(context.Context, InstanceOptions) (*Instance, error) { return nil, unsupported }

// Close does nothing.
func (*Instance) Close() {}

// Exec returns an error that is errors.ErrUnsupported.
func (*Instance) Exec(_, _ string, _, _ []string) error { return unsupported }

// Start returns an error that is errors.ErrUnsupported.
func (*Cmd) Start() error { return unsupported }

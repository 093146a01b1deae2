//go:build !linux

package private

import (
	"context"
	"syscall"
)

// There are no instances but on Linux: what would make or use one returns this,
// which is errors.ErrUnsupported.
var unsupported = failed(OpNamespace, "", syscall.ENOSYS)

type rootInstance struct{}

func Main()                                                           {}
func Check() error                                                    { return unsupported }
func NewInstance(context.Context, InstanceOptions) (*Instance, error) { return nil, unsupported }
func (*Instance) Close()                                              {}
func (*Instance) Users() (string, error)                              { return "", nil }
func (*Instance) Exec(_, _ string, _, _ []string) error               { return unsupported }
func (*Cmd) Start() error                                             { return unsupported }

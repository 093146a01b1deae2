package main

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/internal/cli"
)

func TestErrorsOfPrivateInstancesHaveHints(t *testing.T) {
	for _, test := range []struct {
		err  private.Error
		hint string
	}{
		{private.Error{Op: private.OpNamespace, Errno: syscall.ENOSPC}, "user.max_user_namespaces"},
		{private.Error{Op: private.OpNamespace, Errno: syscall.EPERM}, "kernel.unprivileged_userns_clone"},
		{private.Error{Op: private.OpNamespace, Errno: syscall.EACCES}, "kernel.apparmor_restrict_unprivileged_userns"},
		{private.Error{Op: private.OpNamespace, Errno: syscall.EINVAL}, "CONFIG_USER_NS"},
		{private.Error{Op: private.OpEnter, Errno: syscall.EPERM}, "setns(2) is denied"},
		{private.Error{Op: private.OpMount, Errno: syscall.EPERM}, "mounts in user namespaces"},
		{private.Error{Op: private.OpMount, Errno: syscall.EPERM, Feature: &binfmt.FeatureInstances}, ""},
		{private.Error{Op: private.OpRegister, Errno: syscall.ENOENT}, "noexec"},
		{private.Error{Op: private.OpRoot, Name: "/etc", Errno: syscall.ENOTDIR}, "a whole system"},
		{private.Error{Op: private.OpRoot, Name: "/srv", Errno: syscall.EPERM}, "parts of /proc are covered"},
		{private.Error{Op: private.OpSetUp, Text: "x"}, ""},
		{private.Error{Op: private.OpSetUp, Text: "open /dev/null", Errno: syscall.ENOENT}, "/dev/null"},
	} {
		err := explained(fmt.Errorf("wrapped: %w", &test.err))
		assert.ErrorIs(t, err, &test.err)
		assert.Contains(t, cli.Hint(err), test.hint, test.err.Error())
		assert.Equal(t, test.hint == "", cli.Hint(err) == "", test.err.Error())
	}
	other := errors.New("another")
	assert.Equal(t, other, explained(other))
	assert.Nil(t, explained(nil))
}

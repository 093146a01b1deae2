package main

import (
	"context"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type key struct{}

// A context made of it before is done, too.
func TestSignalsAreTakenOnceSomethingWaitsForThem(t *testing.T) {
	s := untilSignalled(context.WithValue(t.Context(), key{}, "value"))
	require.NoError(t, s.Err())
	require.Equal(t, "value", s.Value(key{}))

	done := s.Done()
	child, cancel := context.WithCancelCause(s)
	defer cancel(nil)
	require.NoError(t, s.Err())
	require.NoError(t, syscall.Kill(syscall.Getpid(), syscall.SIGTERM))
	<-done
	<-child.Done()
	assert.ErrorIs(t, s.Err(), context.Canceled)
	assert.ErrorIs(t, child.Err(), context.Canceled)
	assert.Equal(t, "value", s.Value(key{}))
	assert.ErrorContains(t, context.Cause(s), "terminated", "it says by which signal")
}

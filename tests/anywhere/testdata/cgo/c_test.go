package cgo

import (
	"runtime"
	"testing"
)

func TestC(t *testing.T) {
	if got := square(7); got != 49 {
		t.Errorf("7² = %d", got)
	}
	t.Log("running on", runtime.GOARCH)
}

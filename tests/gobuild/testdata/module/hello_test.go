package main

import (
	"os"
	"runtime"
	"testing"
)

func TestArchitecture(t *testing.T) {
	if want := os.Getenv("WANT"); runtime.GOARCH != want {
		t.Errorf("it is %s, not %s", runtime.GOARCH, want)
	}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/file", []byte("content"), 0o600); err != nil {
		t.Error(err)
	}
}

package work

import (
	"os"
	"runtime"
	"testing"
)

// The program is for the architecture that the environment names, and runs.
func TestThisIsTheArchitecture(t *testing.T) {
	if want := os.Getenv("GOARCH"); want == "" || runtime.GOARCH != want {
		t.Errorf("this is %s, and GOARCH is %q", runtime.GOARCH, want)
	}
}

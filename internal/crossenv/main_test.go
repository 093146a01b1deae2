package crossenv

import (
	"errors"
	"os"
	"testing"

	"github.com/projectcalico/go-build/tests/kerneltest"
)

func TestMain(m *testing.M) {
	status := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(status)
}

var lookup = kerneltest.Lookup

// everything is a PATH that has whatever is looked for, nothing one that has
// none of it.
func everything(name string) (string, error) { return "/usr/bin/" + name, nil }
func nothing(name string) (string, error)    { return "", errors.New("not found") }

// only is a PATH that has some programs.
func only(names ...string) func(string) (string, error) {
	return func(name string) (string, error) {
		for _, n := range names {
			if n == name {
				return everything(name)
			}
		}
		return nothing(name)
	}
}

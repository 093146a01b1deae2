// Package instances tests many watchers side by side: each keeps an instance of its own, in user
// and mount namespaces of its own, as a pod of a node would.
package instances

import (
	"os"
	"testing"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// In an instance of the tests' own, its owner would own all those below it, and what the
// kernel gives one user would be all that they have.
func TestMain(m *testing.M) {
	kerneltest.Outside()
	os.Exit(commands.Main(m))
}

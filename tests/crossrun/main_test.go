package crossrun

import (
	"os"
	"testing"

	"github.com/projectcalico/go-build/tests/commands"
)

func TestMain(m *testing.M) { os.Exit(commands.Main(m)) }

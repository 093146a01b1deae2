package keep

import (
	"os"
	"testing"

	"github.com/projectcalico/go-build/tests/kerneltest"
)

func TestMain(m *testing.M) { os.Exit(kerneltest.Main(m)) }

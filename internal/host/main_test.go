package host_test

import (
	"os"
	"testing"

	"github.com/projectcalico/go-build/internal/kerneltest"
)

func TestMain(m *testing.M) { os.Exit(kerneltest.Main(m)) }

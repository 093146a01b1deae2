package host_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/elfmagic"
)

// What runs here, and why the rest does not.
func ExampleCheck() {
	instance := binfmt.New(binfmt.DefaultMount)
	for _, arch := range elfmagic.Archs() {
		err := host.Check(context.Background(), instance, arch)
		var because *host.Error
		switch {
		case err == nil:
			fmt.Println(arch.Platform(), "runs")
		case errors.As(err, &because):
			fmt.Println(arch.Platform(), "does not run:", because.Cause, because.Entry)
		default:
			fmt.Println(arch.Platform(), "is not known to run:", err)
		}
	}
}

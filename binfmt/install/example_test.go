package install_test

import (
	"fmt"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/install"
	"github.com/projectcalico/go-build/elfmagic"
)

// What would be done on another machine can be computed anywhere, of facts that
// Gather read there or, as here, that are made up.
func ExampleDecide() {
	arm64, _ := elfmagic.Lookup("arm64")
	old := binfmt.Entry{Name: "qemu-aarch64", Pattern: arm64.Pattern(), Interpreter: "/opt/qemu-aarch64", Flags: binfmt.FixBinary}
	facts := &install.Facts{
		Native: []string{"x86_64", "i386"},
		Emulators: map[string]*install.Emulator{
			"aarch64": {Path: "/usr/bin/qemu-aarch64", Host: "x86_64"},
			"i386":    {Path: "/usr/bin/qemu-i386", Host: "x86_64"},
			"s390x":   {Path: "/usr/bin/qemu-s390x", Host: "x86_64"},
		},
		Mounted:   true,
		Entries:   install.Entries{old},
		FixBinary: true,
	}
	decisions, err := install.Decide(facts, install.Request{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, d := range decisions {
		fmt.Printf("%s %s: %s\n", d.Action, d.Arch.Platform(), d.Reason)
	}
	// Output:
	// replace linux/arm64: interpreter /usr/bin/qemu-aarch64 instead of /opt/qemu-aarch64
	// add linux/s390x: not registered
}

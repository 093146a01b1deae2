package private_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/elfmagic"
)

// A program whose main calls private.Main first runs files that its own entry is
// for, and where it may not, the interpreter itself.
func ExampleCommand() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("hello, world\n"), 0o755); err != nil {
		log.Fatal(err)
	}

	entry := binfmt.Entry{
		Name:        "greetings",
		Pattern:     elfmagic.Pattern{Magic: []byte("hello, ")},
		Interpreter: "/bin/cat",
		Flags:       binfmt.FixBinary,
	}
	ctx := context.Background()
	out, err := private.Command(ctx, []binfmt.Entry{entry}, file).Output()
	if errors.Is(err, errors.ErrUnsupported) {
		out, err = exec.CommandContext(ctx, entry.Interpreter, file).Output()
	}
	fmt.Printf("%s%v\n", out, err)
	// Output:
	// hello, world
	// <nil>
}

// Exec takes the process's place, so this is compiled and not run: nobody would
// be left to compare what it prints.
func ExampleInstance_Exec() {
	private.Main()
	riscv64, _ := elfmagic.Lookup("riscv64")
	i, err := private.NewInstance(context.Background(), private.InstanceOptions{
		Entries: func() ([]binfmt.Entry, error) {
			return []binfmt.Entry{{
				Name:        "qemu-riscv64",
				Pattern:     riscv64.Pattern(),
				Interpreter: "/usr/bin/qemu-riscv64-static",
				Flags:       binfmt.FixBinary,
			}}, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer i.Close()
	log.Print(i.Exec("example", "/bin/sh", []string{"sh", "-c", "./hello-riscv64"}, os.Environ()))
}

// Version prints what the versions file says, and the names that are made from
// it, for Makefiles and workflows.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/projectcalico/go-build/image"
	"github.com/projectcalico/go-build/internal/cli"
)

const usage = `usage: version [-file FILE] COMMAND

  tag [ARCH]      the image's tag for an architecture (default: this machine's)
  latest [ARCH]   the tag of its newest image
  manifest        the tag for all architectures
  branch-name     the branch on which images of these versions are built
  architectures   what there are images for
  get NAME        a version: go, llvm, kubernetes, or of a tool
`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("version", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() { fmt.Fprint(stderr, usage) }
	file := f.String("file", image.File, "")
	if err := f.Parse(args); err != nil {
		return 2
	}
	versions, err := image.Load(*file)
	if err != nil {
		cli.Error(stderr, "version", err)
		return 1
	}
	text, err := answer(versions, f.Args())
	if err != nil {
		cli.Error(stderr, "version", err)
		return 2
	}
	fmt.Fprintln(stdout, text)
	return 0
}

// answer returns what a command prints.
func answer(v *image.Versions, args []string) (string, error) {
	bad := func(format string, args ...any) (string, error) {
		return "", cli.WithHint(fmt.Errorf(format, args...), "version -help lists what there is")
	}
	if len(args) == 0 {
		return bad("no command")
	}
	command, args := args[0], args[1:]
	most, least := 0, 0
	switch command {
	case "tag", "latest":
		most = 1
	case "get":
		most, least = 1, 1
	}
	if len(args) > most {
		return bad("%s: %q is too much", command, args[most])
	}
	if len(args) < least {
		return bad("%s: a name is missing", command)
	}
	switch command {
	case "tag", "latest":
		name := runtime.GOARCH
		if len(args) > 0 {
			name = args[0]
		}
		arch, err := image.Architecture(name)
		if err != nil {
			return "", err
		}
		if command == "latest" {
			return image.Latest(arch), nil
		}
		return v.Tag(arch), nil
	case "manifest":
		return v.String(), nil
	case "branch-name":
		return v.Branch(), nil
	case "architectures":
		text := ""
		for _, arch := range image.Architectures() {
			text += " " + arch.GOARCH
		}
		return text[1:], nil
	case "get":
		return v.Get(args[0])
	}
	return bad("no command %q", command)
}

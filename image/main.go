// Image builds what is shipped: emulators, the commands with them inside, and
// images.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/image/progress"
	"github.com/projectcalico/go-build/internal/cli"
)

// Exit statuses.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2 // the arguments are wrong; nothing was done
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	out := &cli.Output{Writer: stdout}
	return out.Status(do(ctx, args, out, stderr), exitFailure, stderr, "image")
}

func do(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, overview())
		return exitUsage
	}
	if slices.Contains([]string{"--help", "-h", "help"}, args[0]) {
		fmt.Fprint(stdout, overview())
		return exitOK
	}
	i := slices.IndexFunc(commands, func(c command) bool { return c.name == args[0] })
	if i < 0 {
		cli.Error(stderr, "image", cli.WithHint(fmt.Errorf("unknown subcommand %q", args[0]), "%s", guess(args[0])))
		return exitUsage
	}
	s := &commands[i]
	c := &call{FlagSet: pflag.NewFlagSet("image "+s.name, pflag.ContinueOnError), stdout: stdout, stderr: stderr}
	c.SetOutput(io.Discard)
	defer c.end()
	c.display = progress.New(stderr, c.Name())
	ctx = progress.With(ctx, c.display)
	s.define(c)
	err := wrong(c.Parse(args[1:]))
	if errors.Is(err, pflag.ErrHelp) {
		fmt.Fprint(stdout, s.usage(c))
		return exitOK
	}
	if err == nil && s.args == "" && c.NArg() > 0 {
		err = wrong(fmt.Errorf("unexpected argument %q", c.Arg(0)))
	}
	for _, step := range c.steps {
		if err == nil {
			err = step(ctx)
		}
	}
	if err == nil {
		return exitOK
	}
	status := exitFailure
	if _, ok := errors.AsType[*usageError](err); ok {
		status = exitUsage
		if cli.Hint(err) == "" {
			err = cli.WithHint(err, "go run ./%s --help lists what there is", c.Name())
		}
	} else if ctx.Err() != nil {
		err = cli.WithHint(fmt.Errorf("interrupted: %w", context.Cause(ctx)), "what was built is kept: run it again")
	}
	cli.Error(stderr, c.Name(), err)
	return status
}

// A usageError is one of arguments that are wrong.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func wrong(err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err}
}

func overview() string {
	var text strings.Builder
	text.WriteString("Usage: go run ./image SUBCOMMAND [FLAG…] [ARGUMENT…]\n\nBuilds what is shipped, in the root of the repository.\n\n")
	for _, c := range commands {
		fmt.Fprintf(&text, "  %-18s%s\n", c.name, c.brief)
	}
	text.WriteString("\ngo run ./image SUBCOMMAND --help lists its flags. The exit status is 1 if something\nfailed, and 2 if the arguments are wrong. make help lists what is usually done.\n")
	return text.String()
}

func (s *command) usage(c *call) string {
	text := strings.TrimSpace("Usage: go run ./image "+s.name+" [FLAG…] "+s.args) + "\n\n" + strings.ToUpper(s.brief[:1]) + s.brief[1:] + ".\n"
	if s.more != "" {
		text += "\n" + s.more + "\n"
	}
	return text + "\n" + c.FlagUsagesWrapped(80)
}

// guess says which subcommand may be meant: one that begins with the word, or is
// like it.
func guess(word string) string {
	var names []string
	for _, c := range commands {
		names = append(names, c.name)
	}
	begins := func(name string) bool { return strings.HasPrefix(name, word) }
	if i := slices.IndexFunc(names, begins); i >= 0 {
		return "did you mean " + names[i] + "?"
	}
	if near := cli.Nearest(word, names); near != "" {
		return "did you mean " + near + "?"
	}
	return "go run ./image --help lists them"
}

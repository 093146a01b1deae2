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

	"github.com/projectcalico/go-build/internal/cli"
)

// Exit statuses.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2 // the arguments are wrong; nothing was done
)

const program = "image"

// A command is a subcommand.
type command struct {
	name  string
	args  string // after the flags, as its usage has them; empty: none
	brief string // what it does, in a line
	more  string // what else there is to say

	// define adds its flags, and returns what it does with them.
	define func(f *flags) action
}

// An action is what a subcommand does. What is wrong with its arguments it finds
// before it changes anything.
type action func(ctx context.Context, c *call) error

// A call is one of a subcommand.
type call struct {
	name           string
	args           []string // after the flags
	stdout, stderr io.Writer
}

// say tells what is done, a line each.
func (c *call) say(format string, args ...any) {
	fmt.Fprintf(c.stderr, c.name+": "+format+"\n", args...)
}

// print prints results, a line each.
func (c *call) print(lines ...string) {
	for _, line := range lines {
		fmt.Fprintln(c.stdout, line)
	}
}

// commands are in the order in which one would use them.
var commands = []command{
	debianEmulators, emulators, register, singleFiles, registerImages,
	baseImage, parts, build, push, manifest, versionNames, pin,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
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
		err := fmt.Errorf("unknown subcommand %q", args[0])
		if like := nearest(args[0]); like != "" {
			err = cli.WithHint(err, "did you mean %s?", like)
		} else {
			err = cli.WithHint(err, "go run ./image --help lists them")
		}
		cli.Error(stderr, program, err)
		return exitUsage
	}
	return commands[i].run(ctx, args[1:], stdout, stderr)
}

func (s *command) run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := &call{name: program + " " + s.name, stdout: stdout, stderr: stderr}
	f := &flags{FlagSet: pflag.NewFlagSet(c.name, pflag.ContinueOnError)}
	f.SetOutput(io.Discard)
	do := s.define(f)
	err := f.Parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		fmt.Fprint(stdout, s.usage(f))
		return exitOK
	}
	c.args = f.Args()
	if err == nil && s.args == "" && len(c.args) > 0 {
		err = fmt.Errorf("unexpected argument %q", c.args[0])
	}
	if err == nil && f.check != nil {
		err = f.check()
	}
	if err != nil {
		err = wrong(err)
	} else {
		err = do(ctx, c)
	}
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		if cli.Hint(err) == "" {
			err = cli.WithHint(err, "go run ./%s --help lists what there is", c.name)
		}
		cli.Error(stderr, c.name, err)
		return exitUsage
	case ctx.Err() != nil:
		err = cli.WithHint(fmt.Errorf("interrupted: %w", context.Cause(ctx)), "what was built is kept: run it again")
	}
	cli.Error(stderr, c.name, err)
	return exitFailure
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

func (s *command) usage(f *flags) string {
	text := strings.TrimSpace("Usage: go run ./image "+s.name+" [FLAG…] "+s.args) + "\n\n" + strings.ToUpper(s.brief[:1]) + s.brief[1:] + ".\n"
	if s.more != "" {
		text += "\n" + s.more + "\n"
	}
	return text + "\n" + f.FlagUsagesWrapped(80)
}

// nearest returns the subcommand whose name is most like a word, if one is.
func nearest(word string) string {
	best, least := "", 1+len(word)/3
	for _, c := range commands {
		if d := distance(word, c.name); d <= least {
			best, least = c.name, d-1
		}
	}
	return best
}

// distance is how many letters must be changed, added or left out to get from one
// word to another.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := left
			if a[i] != b[j] {
				change++
			}
			left = row[j+1]
			row[j+1] = min(change, row[j]+1, left+1)
		}
	}
	return row[len(b)]
}

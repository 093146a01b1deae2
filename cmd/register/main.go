// Register puts an emulator behind every architecture that this host does not
// run natively: it writes entries to the kernel's binfmt_misc, runs a program
// of each architecture through them, and says what it saw.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/install"
	"github.com/projectcalico/go-build/binfmt/keep"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/heap"
)

// Exit statuses.
const (
	exitOK      = 0 // all that was asked for was done, and seen to work
	exitFailure = 1 // something was not, and stderr says what
	exitUsage   = 2 // the arguments are wrong; nothing was done
)

const name = "register"

func main() {
	ctx := untilSignalled(context.Background())
	name, run := name, run
	if filepath.Base(os.Args[0]) == binfmtName {
		emulator.Option = binfmtPath
		name, run = binfmtName, runBinfmt
	}
	stdout := &cli.Output{Writer: os.Stdout}
	os.Exit(stdout.Status(run(ctx, os.Args[1:], stdout, os.Stderr), exitFailure, os.Stderr, name))
}

// A signals context is done when SIGINT or SIGTERM comes: programs that are tried
// are ended then, and new entries taken back. Until Done is called these signals
// end the program at once, even in a system call that hangs, and --no-probe, which
// tries nothing, does not start the two threads that it takes to wait for them.
// What the next run finds then it finishes.
type signals struct {
	context.Context
	take func()
}

func untilSignalled(parent context.Context) *signals {
	ctx, cancel := context.WithCancelCause(parent)
	return &signals{ctx, sync.OnceFunc(func() {
		came, _ := signal.NotifyContext(ctx, os.Interrupt, unix.SIGTERM) // for good
		context.AfterFunc(came, func() { cancel(context.Cause(came)) })
	})}
}

// Done implements context.Context.
func (s *signals) Done() <-chan struct{} {
	s.take()
	return s.Context.Done()
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		fmt.Fprint(stdout, usage())
		return exitOK
	}
	if err != nil {
		if cli.Hint(err) == "" {
			err = cli.WithHint(err, "%s --help lists what there is", name)
		}
		cli.Error(stderr, name, err)
		return exitUsage
	}
	if opts.version {
		fmt.Fprintf(stdout, "%s %s %s %s/%s\n", name, cli.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		fmt.Fprint(stdout, emulator.Known())
		return exitOK
	}
	if opts.generate != "" {
		text, err := page().GeneratedFor(opts.generate)
		if err != nil {
			cli.Error(stderr, name, err)
			return exitUsage
		}
		fmt.Fprint(stdout, text)
		return exitOK
	}
	opts.Archs, err = opts.architectures()
	if flag, _ := opts.staying(); err != nil && flag != "" { // it stays as it is meant, or not at all
		opts.Archs, err = nil, opts.meant(err)
	}
	var rep *report
	status := exitUsage
	if err == nil || len(opts.Archs) > 0 {
		status = exitFailure
		var doErr error
		rep, doErr = opts.do(ctx, stdout, stderr)
		err = errors.Join(err, doErr)
	}
	switch {
	case rep != nil || err == nil || !opts.json:
	case opts.watch.on: // programs get a line in any case
		opts.log(slog.New(slog.NewJSONHandler(stdout, nil)), keep.Event{Kind: keep.Failed, Err: err})
	default: // or a document
		rep = &report{Mount: opts.mount}
	}
	if rep != nil {
		rep.finish(err)
		out := bufio.NewWriter(stdout)
		if writeErr := errors.Join(rep.write(out, opts.json, cli.ScreenOf(stdout)), out.Flush()); writeErr != nil {
			err = errors.Join(err, fmt.Errorf("cannot write the report: %w", writeErr))
		}
		err = errors.Join(err, rep.failures())
	}
	if err != nil {
		cli.Error(stderr, name, opts.explain(err))
		return status
	}
	return exitOK
}

// do does what the options ask for. Without a report nothing was changed.
func (o *options) do(ctx context.Context, stdout, stderr io.Writer) (*report, error) {
	fs := binfmt.New(o.mount)
	warn := func(err error) { cli.Warning(stderr, o.name, o.explain(err)) }
	var facts *install.Facts
	var outcomes []install.Outcome
	var err error
	switch {
	case o.watch.on:
		return nil, o.runWatch(ctx, stdout, stderr)
	case o.rootless != "":
		return o.tellFiles(stdout, func(t teller) error { return o.runRootless(ctx, t, stderr) })
	case o.installRoot != "":
		return o.tellFiles(stdout, func(t teller) error { return o.installHost(ctx, t, stderr) })
	case o.uninstallRoot != "":
		return o.tellFiles(stdout, o.uninstallHost)
	case o.systemd != "" || o.debian:
		return o.tellFiles(stdout, func(t teller) error { return o.export(ctx, t) })
	case o.facts:
		return nil, o.printFacts(ctx, fs, stdout)
	case o.status:
		facts, outcomes, err = install.Status(ctx, fs, o.Request, o.json)
	case o.uninstall:
		facts, outcomes, err = install.Uninstall(ctx, fs, o.Request, warn)
		if kept := o.kept(fs, removedFor(outcomes)); kept != nil {
			cli.Warning(stderr, o.name, kept)
		}
	default:
		heap.Ask(768 << 10) // what it takes for all architectures
		facts, outcomes, err = install.Install(ctx, fs, o.Request, warn)
	}
	if outcomes == nil {
		return nil, err
	}
	if !facts.Mounted && (o.status || o.uninstall || o.DryRun) {
		cli.Warning(stderr, o.name, notSeen(fs, facts))
	}
	return reportOutcomes(facts, outcomes, o), err
}

// removedFor returns the architectures whose entries are removed.
func removedFor(outcomes []install.Outcome) (archs []*elfmagic.Arch) {
	for _, out := range outcomes {
		if out.Arch != nil && out.Action == binfmt.Remove {
			archs = append(archs, out.Arch)
		}
	}
	return archs
}

// kept says which of the architectures somebody keeps, so that their entries come back; nil if
// nobody keeps any.
func (o *options) kept(fs binfmt.FS, removed []*elfmagic.Arch) error {
	if len(removed) == 0 {
		return nil
	}
	claimed, _ := keep.Claimed(fs) // who cannot ask has removed nothing
	var names []string
	for _, arch := range removed {
		if slices.Contains(claimed, arch) {
			names = append(names, arch.Platform())
		}
	}
	if len(names) == 0 {
		return nil
	}
	return cli.WithHint(fmt.Errorf("%s: a register --watch keeps it so, and registers it again", strings.Join(names, ", ")),
		"end that first: systemctl stop register-watch, or delete its DaemonSet; fuser -v %s names the process", cli.Quote(o.mount+"/register"))
}

// notSeen says why entries cannot be seen.
func notSeen(fs binfmt.FS, f *install.Facts) error {
	err := fmt.Errorf("binfmt_misc is not mounted on %s", f.Mount)
	if state, _ := fs.State(); state == binfmt.Autofs {
		err = fmt.Errorf("%w: nobody has had the autofs there do it", err)
	}
	if f.Surroundings.InitialUser {
		return err
	}
	return fmt.Errorf("%w, and not mounted to look at it: in a user namespace that would hide the entries that there are", err)
}

// printFacts prints what decisions would be made of.
func (o *options) printFacts(ctx context.Context, fs binfmt.FS, stdout io.Writer) error {
	facts, err := install.Gather(ctx, fs, o.Request)
	if err != nil {
		return err
	}
	return printJSON(stdout, facts)
}

// printJSON prints a document for programs that people can read, too.
func printJSON(w io.Writer, document any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(document)
}

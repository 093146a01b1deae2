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
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/install"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/carry"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
)

// Exit statuses.
const (
	exitOK      = 0 // all that was asked for was done, and seen to work
	exitFailure = 1 // something was not, and stderr says what
	exitUsage   = 2 // the arguments are wrong; nothing was done
)

const name = "register"

func main() {
	ctx := &signals{Context: context.Background()}
	if filepath.Base(os.Args[0]) == binfmtName {
		emulator.Option = directoryOption(false)
		os.Exit(runBinfmt(ctx, os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// A signals context is done when SIGINT or SIGTERM comes: programs that are tried
// are ended then, and new entries taken back. Until Done is called these signals
// end the program at once, even in a system call that hangs, and --no-probe, which
// tries nothing, does not start the two threads that it takes to wait for them.
// What the next run finds then it finishes.
type signals struct {
	context.Context
	once  sync.Once
	taken atomic.Pointer[context.Context]
}

// Done implements context.Context.
func (s *signals) Done() <-chan struct{} {
	s.once.Do(func() {
		ctx, _ := signal.NotifyContext(s.Context, os.Interrupt, unix.SIGTERM) // for good
		s.taken.Store(&ctx)
	})
	return (*s.taken.Load()).Done()
}

// Err implements context.Context.
func (s *signals) Err() error {
	if ctx := s.taken.Load(); ctx != nil {
		return (*ctx).Err()
	}
	return nil
}

// Value implements context.Context.
func (s *signals) Value(key any) any {
	if ctx := s.taken.Load(); ctx != nil {
		return (*ctx).Value(key)
	}
	return s.Context.Value(key)
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
		fmt.Fprint(stdout, carry.Embedded().Summary())
		return exitOK
	}
	archs, err := opts.architectures()
	var rep *report
	usage := err != nil && len(archs) == 0
	if !usage {
		var doErr error
		rep, doErr = opts.do(ctx, name, archs, stdout, stderr)
		err = errors.Join(err, doErr)
	}
	if rep == nil && err != nil && opts.output.value == "json" {
		rep = &report{Mount: opts.mount} // programs get a document in any case
	}
	if rep != nil {
		rep.finish(err)
		out := bufio.NewWriter(stdout)
		if writeErr := errors.Join(rep.write(out, opts.output), out.Flush()); writeErr != nil {
			err = errors.Join(err, fmt.Errorf("cannot write the report: %w", writeErr))
		}
		err = errors.Join(err, rep.failures())
	}
	if usage {
		cli.Error(stderr, name, err)
		return exitUsage
	}
	if err != nil {
		cli.Error(stderr, name, explain(err, name, opts.mount))
		return exitFailure
	}
	return exitOK
}

// do does what the options ask for. Without a report nothing was changed.
func (o *options) do(ctx context.Context, name string, archs []*elfmagic.Arch, stdout, stderr io.Writer) (*report, error) {
	fs := binfmt.New(o.mount)
	r := o.request(archs)
	var facts *install.Facts
	var outcomes []install.Outcome
	var err error
	switch {
	case o.systemd != "" || o.debian:
		return nil, o.export(ctx, archs, stdout)
	case o.facts:
		return nil, o.printFacts(ctx, fs, r, stdout)
	case o.status:
		facts, err = install.Status(ctx, fs, r, o.output.value == "json")
	case o.uninstall:
		facts, outcomes, err = install.Uninstall(ctx, fs, r)
	default:
		facts, outcomes, err = install.Install(ctx, fs, r, func(err error) { cli.Warning(stderr, name, explain(err, name, o.mount)) })
	}
	if facts != nil && !facts.Mounted && (o.status || o.uninstall || o.dryRun) {
		cli.Warning(stderr, name, notSeen(fs, facts))
	}
	switch {
	case facts == nil || outcomes == nil && !o.status && !o.uninstall:
		return nil, err
	case o.status:
		return reportStatus(facts, o, r), err
	}
	return reportOutcomes(facts, outcomes, o), err
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
func (o *options) printFacts(ctx context.Context, fs binfmt.FS, r install.Request, stdout io.Writer) error {
	facts, err := install.Gather(ctx, fs, r)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(stdout)
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return errors.Join(enc.Encode(facts), out.Flush())
}

package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/dirhash"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/program"
	"github.com/projectcalico/go-build/image/progress"
	"github.com/projectcalico/go-build/internal/cli"
)

// trainingDir has the sources of our guests, and their inputs.
const trainingDir = "image/qemu/training"

// guestTimeout bounds one guest. The longest needs some seconds.
const guestTimeout = 3 * time.Minute

// training is what a trainer's profile is made of.
type training struct {
	profile string   // file
	roots   []string // of Debian's guests
}

// prepareGuests makes the guests of all trainers that are needed. A plain build has
// none.
func (b *Builder) prepareGuests(ctx context.Context) error {
	if b.Plain {
		return nil
	}
	libs, err := b.libraries(ctx, b.native)
	if err != nil {
		return err
	}
	version, err := b.command(ctx, b.Root, "go", "env", "GOVERSION")
	if err != nil {
		return cli.WithHint(err, "Go is required")
	}
	files, err := dirhash.HashDir(filepath.Join(b.Root, trainingDir), "", dirhash.Hash1)
	if err != nil {
		return err
	}
	in := inputs{guestsRecipe, "go " + strings.TrimSpace(version), files}
	b.work = b.path("guests", in.key())
	if err := whole(b.work, b.writeWork); err != nil {
		return err
	}
	for _, t := range trainers(b.Targets) {
		in := append(b.inputs(instrumented, b.native, libs), in...)
		if b.trained[t], err = b.prepareTrainer(ctx, t, in); err != nil {
			return err
		}
	}
	return nil
}

// writeWork writes what guests read.
func (b *Builder) writeWork(dir string) error {
	return errors.Join(
		os.CopyFS(dir, os.DirFS(filepath.Join(b.Root, trainingDir))),
		os.WriteFile(filepath.Join(dir, "text"), []byte(textInput()), 0o644),
		os.WriteFile(filepath.Join(dir, "work.i"), []byte(cInput()), 0o644))
}

// prepareTrainer makes the guests of one trainer.
func (b *Builder) prepareTrainer(ctx context.Context, name string, in inputs) (t training, err error) {
	arch, err := elfmagic.Lookup(name)
	if err != nil {
		return t, err
	}
	if err := b.buildGuests(ctx, arch.GOARCH); err != nil {
		return t, err
	}
	for _, p := range ports {
		if p.target != name {
			continue
		}
		var root tree
		for _, suite := range p.suites { // until one has them
			if root, err = b.tree(ctx, portSpec(p.name, suite)); err == nil {
				break
			}
		}
		if ctx.Err() != nil {
			return t, ctx.Err()
		}
		if err != nil {
			b.Say("%s is trained without programs of Debian's %s: %s", name, p.name, debian.Reason(err))
			continue
		}
		in.files(p.name, root.Files)
		t.roots = append(t.roots, root.dir)
	}
	t.profile = b.path("profiles", name+"-"+in.key()+".profdata")
	return t, nil
}

// buildGuests has Go build its guests for an architecture, unless they are there.
func (b *Builder) buildGuests(ctx context.Context, goarch string) error {
	return whole(filepath.Join(b.work, goarch), func(dir string) error {
		cmd := program.Command(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", dir, "./"+trainingDir+"/...")
		cmd.Dir = b.Root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+goarch, "GOARM=", "GOFLAGS=")
		if _, err := program.Output(cmd); err != nil {
			return fmt.Errorf("guest for %s: %w", goarch, err)
		}
		return nil
	})
}

// profile is the file of the trainers' profile, and those that it is merged from. A
// plain build, which has no trainers, has none.
func (b *Builder) profile(trainers []string) (merged string, parts []string) {
	for _, t := range trainers {
		parts = append(parts, b.trained[t].profile)
	}
	if len(parts) == 0 {
		return "", nil
	}
	return b.path("profiles", "merged-"+inputs(parts).key()+".profdata"), parts
}

// train makes the profiles of the groups, as far as they are missing.
func (b *Builder) train(ctx context.Context, groups []group) error {
	var missing []string
	for _, g := range groups {
		for _, t := range g.trainers {
			if !exists(b.trained[t].profile) {
				missing = append(missing, t)
			}
		}
	}
	slices.Sort(missing)
	if err := b.trainAll(ctx, slices.Compact(missing)); err != nil {
		return err
	}
	for _, g := range groups {
		merged, parts := b.profile(g.trainers)
		if merged == "" || exists(merged) {
			continue
		}
		if err := b.merge(ctx, merged, parts); err != nil {
			return err
		}
	}
	return nil
}

// trainAll has an instrumented emulator of each target run its guests.
func (b *Builder) trainAll(ctx context.Context, targets []string) error {
	if len(targets) == 0 {
		return nil
	}
	if err := os.MkdirAll(b.path("profiles"), 0o755); err != nil {
		return err
	}
	s, err := b.setup(ctx, instrumented, b.native, targets)
	if err != nil {
		return err
	}
	dir, err := b.build(ctx, s)
	if err != nil {
		return err
	}
	for i, t := range targets {
		if err := b.trainOne(ctx, t, filepath.Join(dir, "qemu-"+t), fmt.Sprintf("%d of %d", i+1, len(targets))); err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
	}
	if !b.Keep {
		os.RemoveAll(dir)
	}
	return nil
}

func (b *Builder) merge(ctx context.Context, to string, from []string) error {
	args := append([]string{"merge", "--output=" + to + ".new"}, from...)
	if _, err := b.command(ctx, b.cache, b.compiler.tool("llvm-profdata"), args...); err != nil {
		return err
	}
	return os.Rename(to+".new", to)
}

// trainOne has an instrumented emulator run its guests.
func (b *Builder) trainOne(ctx context.Context, target, emulator, which string) error {
	arch, err := elfmagic.Lookup(target)
	if err != nil {
		return err
	}
	dir := b.path("training", target)
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	guests := goGuests(filepath.Join(b.work, arch.GOARCH))
	for _, root := range b.trained[target].roots {
		guests = append(guests, portGuests(root, b.work, dir)...)
	}
	task := progress.Start(ctx, "training %s (%s)", target, which)
	defer task.End()
	start, ran := time.Now(), 0
	for i, g := range guests {
		task.At(fmt.Sprintf("guest %d of %d, %s", i+1, len(guests), g.name))
		for range g.times {
			err := runGuest(ctx, emulator, dir, g)
			if ctx.Err() != nil {
				return err
			}
			if err != nil {
				b.Say("%s: guest %s failed: %v", target, g.name, err)
				break
			}
			ran++
		}
	}
	if ran == 0 {
		return cli.WithHint(errors.New("no guest runs in the instrumented emulator"), "see what they say above; %s has their inputs", b.work)
	}
	raw, err := filepath.Glob(filepath.Join(dir, "*.profraw"))
	if err != nil {
		return err
	}
	if len(raw) == 0 {
		return cli.WithHint(errors.New("the instrumented emulator wrote no profile"), "a patch has it write one when the guest exits: %s/00-profile.patch", patchesDir)
	}
	b.Say("trained %s (%s): %s, %s", target, which, count(ran, "guest", "guests"), time.Since(start).Round(time.Second/10))
	return errors.Join(b.merge(ctx, b.trained[target].profile, raw), os.RemoveAll(dir))
}

func runGuest(ctx context.Context, emulator, dir string, g guest) error {
	ctx, cancel := context.WithTimeout(ctx, guestTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, emulator, g.args...)
	cmd.Dir = dir
	// %m has processes of one emulator add up to one file, children included.
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin", "LLVM_PROFILE_FILE=" + filepath.Join(dir, "%m.profraw")}
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return program.Failed(cmd, err, string(out))
	}
	return nil
}

package qemu

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/program"
	"github.com/projectcalico/go-build/image/progress"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

// trainingDir has the sources of our guests, and their inputs.
const trainingDir = "image/qemu/training"

// guestTimeout bounds one guest. The longest needs some seconds.
const guestTimeout = 3 * time.Minute

// workInputs are the files that guests read, and that Go builds.
func (b *Builder) workInputs(ctx context.Context) (in inputs, files map[string][]byte, err error) {
	files = map[string][]byte{"text": []byte(textInput()), "work.i": []byte(cInput())}
	for _, name := range []string{"loop.sh", "work.py", "work.pl", "hello/main.go", "work/main.go"} {
		if files[name], err = os.ReadFile(filepath.Join(b.Root, trainingDir, name)); err != nil {
			return nil, nil, err
		}
	}
	version, err := b.command(ctx, b.Root, "go", "env", "GOVERSION")
	if err != nil {
		return nil, nil, cli.WithHint(err, "Go is required")
	}
	in.add(guestsRecipe)
	in.add("go %s", strings.TrimSpace(version))
	for _, name := range slices.Sorted(maps.Keys(files)) {
		in.add("%s %s", name, digest(files[name]))
	}
	return in, files, nil
}

// prepareGuests makes the guests of all trainers that are needed.
func (b *Builder) prepareGuests(ctx context.Context) error {
	common, files, err := b.workInputs(ctx)
	if err != nil {
		return err
	}
	b.work = b.path("guests", common.key())
	if err := os.MkdirAll(b.work, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"text", "work.i", "loop.sh", "work.py", "work.pl"} {
		if err := file.ReplaceWith(filepath.Join(b.work, name), 0o644, files[name]); err != nil {
			return err
		}
	}
	b.guests = make(map[string]inputs)
	b.roots = make(map[string][]string)
	for _, t := range trainers(b.Targets) {
		arch, err := elfmagic.Lookup(t)
		if err != nil {
			return err
		}
		if err := b.buildGuests(ctx, arch.GOARCH); err != nil {
			return err
		}
		in := slices.Clone(common)
		for _, p := range ports {
			if p.target != t {
				continue
			}
			root, err := b.portTree(ctx, p)
			if err != nil {
				if ctx.Err() != nil {
					return err
				}
				b.Say("%s is trained without programs of Debian's %s: %s", t, p.name, reason(err))
				continue
			}
			in.files(p.name, root.Files)
			b.roots[t] = append(b.roots[t], root.dir)
		}
		b.guests[t] = in
	}
	return nil
}

// portTree makes the tree of a port's guests, of the first suite that has them.
func (b *Builder) portTree(ctx context.Context, p port) (t tree, err error) {
	for _, suite := range p.suites {
		if t, err = b.tree(ctx, portSpec(p.name, suite)); err == nil || ctx.Err() != nil {
			return t, err
		}
	}
	return t, err
}

// buildGuests has Go build its guests for an architecture, unless they are there.
func (b *Builder) buildGuests(ctx context.Context, goarch string) error {
	for _, name := range []string{"hello", "work"} {
		file := filepath.Join(b.work, name+"."+goarch)
		if _, err := os.Stat(file); err == nil {
			continue
		}
		cmd := program.Command(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", file, "./"+filepath.Join(trainingDir, name))
		cmd.Dir = b.Root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+goarch, "GOARM=", "GOFLAGS=")
		if _, err := program.Output(cmd); err != nil {
			return fmt.Errorf("guest for %s: %w", goarch, err)
		}
	}
	return nil
}

// profileFile is where the profile of one trainer's guests is kept.
func (b *Builder) profileFile(trainer string, profiles map[string]inputs) string {
	return b.path("profiles", trainer+"-"+profiles[trainer].key()+".profdata")
}

// train makes the profiles of all trainers of the groups that are missing: an
// instrumented emulator of each runs its guests.
func (b *Builder) train(ctx context.Context, groups []group, profiles map[string]inputs) error {
	var missing []string
	for _, g := range groups {
		for _, t := range g.trainers {
			if _, err := os.Stat(b.profileFile(t, profiles)); err != nil {
				missing = append(missing, t)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	missing = slices.Compact(missing)
	if err := os.MkdirAll(b.path("profiles"), 0o755); err != nil {
		return err
	}
	s, err := b.setup(ctx, instrumented, b.native, missing)
	if err != nil {
		return err
	}
	dir, err := b.build(ctx, s)
	if err != nil {
		return err
	}
	for i, t := range missing {
		if err := b.trainOne(ctx, t, filepath.Join(dir, "qemu-"+t), b.profileFile(t, profiles), fmt.Sprintf("%d of %d", i+1, len(missing))); err != nil {
			return err
		}
	}
	if !b.Keep {
		os.RemoveAll(dir)
	}
	return nil
}

// mergedInputs are what the profile of several trainers is made of.
func mergedInputs(trainers []string, profiles map[string]inputs) inputs {
	var in inputs
	for _, t := range trainers {
		in.add("%s %s", t, profiles[t].key())
	}
	return in
}

// profile returns the file of the trainers' profile, or nothing if there are no
// trainers.
func (b *Builder) profile(ctx context.Context, trainers []string, profiles map[string]inputs) (string, error) {
	if len(trainers) == 0 {
		return "", nil
	}
	if len(trainers) == 1 {
		return b.profileFile(trainers[0], profiles), nil
	}
	var parts []string
	for _, t := range trainers {
		parts = append(parts, b.profileFile(t, profiles))
	}
	merged := b.path("profiles", "merged-"+mergedInputs(trainers, profiles).key()+".profdata")
	if _, err := os.Stat(merged); err == nil {
		return merged, nil
	}
	return merged, b.merge(ctx, merged, parts)
}

func (b *Builder) merge(ctx context.Context, to string, from []string) error {
	args := append([]string{"merge", "--output=" + to + ".new"}, from...)
	if _, err := b.command(ctx, b.cache, b.compiler.tool("llvm-profdata"), args...); err != nil {
		return err
	}
	return os.Rename(to+".new", to)
}

// trainOne has an instrumented emulator run a trainer's guests.
func (b *Builder) trainOne(ctx context.Context, target, emulator, profile, which string) error {
	arch, err := elfmagic.Lookup(target)
	if err != nil {
		return err
	}
	dir := b.path("training", target)
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	guests := goGuests(b.work, arch.GOARCH)
	for _, root := range b.roots[target] {
		guests = append(guests, portGuests(root, b.work, dir, firstMatch)...)
	}
	task := progress.Start(ctx, "training %s (%s)", target, which)
	defer task.End()
	start, ran := time.Now(), 0
	for i, g := range guests {
		task.At(fmt.Sprintf("guest %d of %d, %s", i+1, len(guests), g.name))
		for range g.times {
			if err := b.runGuest(ctx, emulator, dir, g); err != nil {
				if ctx.Err() != nil {
					return err
				}
				b.Say("%s: guest %s failed: %v", target, g.name, err)
				break
			}
			ran++
		}
	}
	if ran == 0 {
		return cli.WithHint(fmt.Errorf("%s: no guest runs in the instrumented emulator", target), "see what they say above; %s has their inputs", b.work)
	}
	raw, err := filepath.Glob(filepath.Join(dir, "*.profraw"))
	if err != nil {
		return err
	}
	if len(raw) == 0 {
		return cli.WithHint(fmt.Errorf("%s: the instrumented emulator wrote no profile", target), "a patch has it write one when the guest exits: image/qemu/patches/00-profile.patch")
	}
	b.Say("trained %s (%s): %s, %s", target, which, count(ran, "guest", "guests"), time.Since(start).Round(time.Second/10))
	return errors.Join(b.merge(ctx, profile, raw), os.RemoveAll(dir))
}

func (b *Builder) runGuest(ctx context.Context, emulator, dir string, g guest) error {
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

func firstMatch(pattern string) string {
	matches, err := filepath.Glob(pattern)
	if err != nil || len(matches) == 0 {
		return ""
	}
	return matches[0]
}

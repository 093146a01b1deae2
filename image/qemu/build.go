package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/program"
	"github.com/projectcalico/go-build/image/progress"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// setup returns what configure is told, with the directories of this machine.
func (b *Builder) setup(ctx context.Context, m mode, host *elfmagic.Arch, targets []string) (setup, error) {
	sysroot, err := b.libraries(ctx, host)
	if err != nil {
		return setup{}, err
	}
	meson, err := b.tree(ctx, mesonSpec(b.native))
	if err != nil {
		return setup{}, fmt.Errorf("meson: %w", err)
	}
	return setup{
		mode: m, compiler: b.compiler, host: host, targets: targets, pkgversion: pkgVersion(b.source, b.patches),
		sysroot: sysroot.dir, meson: filepath.Join(meson.dir, "usr/lib/python3/dist-packages"),
	}, nil
}

// build configures and builds the targets, in a directory of its own that it
// returns, unless it could not be configured. One that was interrupted is gone
// on with. If some targets fail, the others are built all the same.
func (b *Builder) build(ctx context.Context, s setup) (string, error) {
	dir, err := b.configure(ctx, s)
	if err != nil {
		return dir, err
	}
	b.Say("compiling %s, %s …", count(len(s.targets), "target", "targets"), s.mode)
	start, linked := time.Now(), 0
	task := progress.Start(ctx, "compiling, %s", s.mode)
	defer task.End()
	step := func(line string) {
		if at, ok := stepOf(line); ok {
			task.At(at)
		}
		if _, target, ok := strings.Cut(line, "] Linking target qemu-"); ok {
			linked++
			b.Say("linked %s (%d of %d), %s", target, linked, len(s.targets), time.Since(start).Round(time.Second))
		}
	}
	ninja := []string{"-k", "0"}
	for _, t := range s.targets {
		ninja = append(ninja, "qemu-"+t)
	}
	return dir, b.logged(ctx, s, dir, "ninja.log", step, "ninja", ninja...)
}

// stepOf returns how far ninja is: "[12/3456] Compiling C object x.o" is 12 of 3456.
func stepOf(line string) (string, bool) {
	text, _, ok := strings.Cut(strings.TrimPrefix(line, "["), "] ")
	step, all, slash := strings.Cut(text, "/")
	return step + " of " + all + " steps", ok && slash && strings.HasPrefix(line, "[")
}

// configure configures the targets, unless that is done, in a directory that it
// returns.
func (b *Builder) configure(ctx context.Context, s setup) (string, error) {
	args := s.arguments()
	in := append(inputs{b.sourceDir()}, args...)
	dir := b.path("build", fmt.Sprintf("%s-%s-%s", s.host.GOARCH, s.mode, in.key()))
	configured := filepath.Join(dir, "configured")
	if exists(configured) {
		return dir, nil
	}
	b.Say("configuring %s for %s, %s …", count(len(s.targets), "target", "targets"), s.host.Platform(), s.mode)
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return "", err
	}
	defer progress.Start(ctx, "configuring").End()
	// Relative: what it builds has this name in it, which the recipe shortens.
	command := filepath.Join("../../src", filepath.Base(b.sourceDir()), "configure")
	if err := b.logged(ctx, s, dir, "configure.log", nil, command, args...); err != nil {
		return "", err
	}
	return dir, os.WriteFile(configured, nil, 0o644)
}

// logged runs a command in a build's environment, with what it says in a file.
func (b *Builder) logged(ctx context.Context, s setup, dir, name string, line func(string), command string, args ...string) error {
	path := filepath.Join(dir, name)
	log, err := os.Create(path)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := program.Command(ctx, command, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), s.environment()...)
	w := io.Writer(log)
	if line != nil {
		w = io.MultiWriter(log, progress.Lines(line))
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		said, _ := os.ReadFile(path)
		return cli.WithHint(fmt.Errorf("%s: %w%s", filepath.Base(command), err, cli.Quoted(failed(string(said)))), "all that it said is in %s", path)
	}
	return nil
}

// failed returns what ninja said of the first thing that failed, or all.
func failed(said string) string {
	i := strings.Index(said, "\nFAILED: ")
	if i < 0 {
		return said
	}
	said = said[i+1:]
	if end := strings.Index(said, "\n["); end >= 0 {
		said = said[:end]
	}
	var short []string
	for line := range strings.Lines(said) {
		if len(line) < 400 { // not the compiler's command
			short = append(short, line)
		}
	}
	return strings.Join(short, "")
}

// optimise builds a group's targets, proves each, and keeps it.
func (b *Builder) optimise(ctx context.Context, g group) error {
	s, err := b.setup(ctx, b.mode(), b.Host, names(g.targets))
	if err != nil {
		return err
	}
	if s.mode == optimised {
		s.profile, _ = b.profile(g.trainers)
		s.cache = b.path("thinlto")
		if err := os.MkdirAll(s.cache, 0o755); err != nil {
			return err
		}
	}
	dir, failures := b.build(ctx, s)
	if ctx.Err() != nil || dir == "" {
		return failures
	}
	for _, t := range g.targets {
		file := filepath.Join(dir, "qemu-"+t.Name)
		if !exists(file) {
			failures = errors.Join(failures, fmt.Errorf("%s was not built", t))
		} else if err := b.finish(ctx, t, file, b.finished(g, t)); err != nil {
			failures = errors.Join(failures, fmt.Errorf("%s: %w", t, err))
		}
	}
	if failures == nil && !b.Keep {
		os.RemoveAll(dir)
	}
	return failures
}

// finish strips an emulator, sees that it works, and keeps it in a file.
func (b *Builder) finish(ctx context.Context, target *elfmagic.Arch, file, finished string) error {
	stripped := finished + ".new"
	if err := os.MkdirAll(filepath.Dir(finished), 0o755); err != nil {
		return err
	}
	if _, err := b.command(ctx, b.cache, b.compiler.tool("llvm-strip"), "-o", stripped, file); err != nil {
		return err
	}
	if err := b.prove(ctx, target, stripped); err != nil {
		return err
	}
	return os.Rename(stripped, finished)
}

// prove sees that an emulator is static, says what it is made of, and runs a
// program of its target.
func (b *Builder) prove(ctx context.Context, target *elfmagic.Arch, file string) error {
	e, err := emulator.Open(target, file)
	if err != nil {
		return err
	}
	if !e.Static() {
		return emulator.ErrDynamic
	}
	if want := b.version(); e.Version != want {
		return fmt.Errorf("its version is %q, not %q", e.Version, want)
	}
	command := []string{file}
	if b.Host != b.native {
		search := emulator.Search{Dirs: emulator.DefaultDirs(), Native: []*elfmagic.Arch{b.native}}
		host, err := search.Locate(b.Host)
		if err != nil {
			b.Say("%s was not tried: %v", target, err)
			return nil
		}
		command = []string{host.Path, file}
	}
	tiny, err := tinyelf.Program(target)
	if err != nil {
		return err
	}
	path := filepath.Join(filepath.Dir(file), "probe")
	if err := os.WriteFile(path, tiny, 0o755); err != nil {
		return err
	}
	defer os.Remove(path)
	ctx, cancel := context.WithTimeout(ctx, tinyelf.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], append(command[1:], path)...)
	cmd.Env = []string{}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() == tinyelf.ExitCode {
		return nil
	}
	return fmt.Errorf("a program of %s does not run in it: %w", target, program.Failed(cmd, err, string(out)))
}

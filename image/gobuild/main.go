// Gobuild builds the go-build image for an architecture: its parts, then, with
// Docker, the image of them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/projectcalico/go-build/image"
	"github.com/projectcalico/go-build/internal/artifacts"
	"github.com/projectcalico/go-build/internal/docker"
	"github.com/projectcalico/go-build/internal/message"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("gobuild", flag.ContinueOnError)
	f.SetOutput(stderr)
	arch := f.String("arch", runtime.GOARCH, "`architecture` of the image")
	base := f.String("base", "debian:stable-slim", "`image` that it is made from")
	repository := f.String("repository", "calico", "`prefix` of the image's name: a registry, an organization")
	if err := f.Parse(args); err != nil {
		return 2
	}
	if err := build(ctx, *arch, *base, *repository, stdout, stderr); err != nil {
		message.Error(stderr, "gobuild", err)
		return 1
	}
	return 0
}

func build(ctx context.Context, archName, base, repository string, stdout, stderr io.Writer) error {
	versions, err := image.Load(image.File)
	if err != nil {
		return err
	}
	arch, err := image.Architecture(archName)
	if err != nil {
		return err
	}
	dir := filepath.Join("dist", "image", arch.GOARCH)
	parts := artifacts.Builder{Root: ".", File: image.File, Versions: versions, Arch: arch, Dir: dir, Progress: stderr}
	if err := parts.Build(ctx); err != nil {
		return err
	}

	// Only what the image has goes to the daemon: links, so that nothing is copied.
	where := filepath.Join(dir, "context")
	if err := errors.Join(os.RemoveAll(where), os.MkdirAll(where, 0o755)); err != nil {
		return err
	}
	for _, part := range artifacts.Parts() {
		if err := os.Link(filepath.Join(dir, part+".tar"), filepath.Join(where, part+".tar")); err != nil {
			return err
		}
	}
	for _, file := range []string{image.File, "image/entrypoint", "image/install-packages", "image/gobuild/check-versions"} {
		if err := os.Link(file, filepath.Join(where, filepath.Base(file))); err != nil {
			return err
		}
	}
	git := func(args ...string) string {
		out, _ := exec.CommandContext(ctx, "git", args...).Output()
		return strings.TrimSpace(string(out))
	}
	created := time.Unix(0, 0)
	var seconds int64
	if _, err := fmt.Sscan(git("log", "-1", "--format=%ct"), &seconds); err == nil {
		created = time.Unix(seconds, 0)
	}
	llvm, err := versions.Get("llvm")
	if err != nil {
		return err
	}
	tag := repository + "/go-build:" + versions.Tag(arch)
	fmt.Fprintf(stderr, "gobuild: building %s …\n", tag)
	err = docker.Build{
		Tag: tag, Platform: arch.Platform(), File: "image/gobuild/Dockerfile", Context: where, Progress: stderr,
		Args: []string{
			"BASE_IMAGE=" + base, "GO_VERSION=" + versions.Go, "LLVM_VERSION=" + llvm, "KUBERNETES_VERSION=" + versions.Kubernetes,
			"VERSION=" + versions.Tag(arch), "REVISION=" + git("rev-parse", "HEAD"), "CREATED=" + created.UTC().Format(time.RFC3339),
		},
	}.Run(ctx)
	if err != nil {
		return err
	}
	latest := repository + "/go-build:" + image.Latest(arch)
	if out, err := exec.CommandContext(ctx, "docker", "tag", tag, latest).CombinedOutput(); err != nil {
		return fmt.Errorf("docker tag: %w: %s", err, out)
	}
	fmt.Fprintf(stdout, "%s\n%s\n", tag, latest)
	return nil
}

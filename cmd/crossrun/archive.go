package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/rootarchive"
)

// unpackRoot unpacks the archive that --rootfs names, if it names no directory, unless that
// has been done before: then the directory is a template, which no run changes.
func (o *options) unpackRoot(stderr io.Writer) error {
	if o.rootfs == "" || !rootarchive.Is(o.rootfs) {
		if o.platform != "" {
			return cli.WithHint(errors.New("--platform is for an image that --rootfs names"), "leave it out: a directory has one system")
		}
		return existingDirectory("--rootfs", o.rootfs)
	}
	cache, err := rootarchive.UserCache()
	if err != nil {
		return err
	}
	dir, use, err := rootarchive.Directory(context.Background(), cache, o.rootfs, o.platform, func() {
		sayf(stderr, "%s: another process unpacks it: waiting", o.rootfs)
	})
	if err != nil {
		return fmt.Errorf("--rootfs: %w", err)
	}
	if o.verbose {
		sayf(stderr, "%s: unpacked in %s", o.rootfs, dir)
	}
	o.archive, o.rootfs, o.held = o.rootfs, dir, use
	return nil
}

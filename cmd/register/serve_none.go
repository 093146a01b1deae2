//go:build !watch

package main

import (
	"errors"

	"github.com/projectcalico/go-build/binfmt/keep"
	"github.com/projectcalico/go-build/internal/cli"
)

// serve returns an error: what --listen requires is linked with the tag watch only
// (docs/decisions/15-watch.md).
func serve(address string, _ func() *keep.Report, _ func(error)) (monitor, error) {
	return nil, canServe(address)
}

// canServe says why not.
func canServe(string) error {
	return cli.WithHint(errors.New("--listen: this register was built without a server"), "the images to register from, such as calico/binfmt, have one that was, at /usr/bin/register; or build it: go build -tags watch ./cmd/register")
}

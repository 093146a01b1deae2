package main

import (
	"context"

	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/versions"
)

var pin = command{
	name:  "pin",
	brief: "write image/kubernetes/go.mod for the versions file",
	define: func(f *flags) action {
		file := f.file()
		return func(ctx context.Context, c *call) error {
			v, err := versions.Load(*file)
			if err != nil {
				return err
			}
			b := artifacts.Builder{Root: ".", Versions: v, Say: c.say}
			return b.Pin(ctx)
		}
	},
}

package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/crossenv"
	"github.com/projectcalico/go-build/internal/embedded"
)

// changed returns an environment with changes: NAME=VALUE sets a variable, NAME alone
// removes it.
func changed(env, changes []string) []string {
	for _, change := range changes {
		key, _, set := strings.Cut(change, "=")
		env = slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, key+"=") })
		if set {
			env = append(env, change)
		}
	}
	return env
}

// forBuilds makes the links by which the go command finds this one, and prints
// what a shell evaluates to build for an architecture and test with this command,
// as far as the options ask for it. It writes the files that the shell's variables name.
func forBuilds(o *options, stdout io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if o.link != "" {
		kinds, err := crossenv.ParseKinds(cmp.Or(o.names, string(crossenv.ForGo)))
		if err != nil {
			return err
		}
		names, err := crossenv.Link(o.link, self, embedded.Emulators(), kinds...)
		for _, name := range names {
			fmt.Fprintln(stdout, filepath.Join(o.link, name))
		}
		if err != nil || o.env == "" {
			return err
		}
	}
	arch, err := elfmagic.Lookup(o.env)
	if err != nil {
		return err
	}
	to := crossenv.Options{Name: o.env, Runner: self}
	if to.Sysroot, err = namedSysroot(o.sysroot, arch); err == nil && to.Sysroot != "" {
		to.Sysroot, err = filepath.Abs(to.Sysroot)
	}
	if err != nil {
		return err
	}
	shell, err := crossenv.Prepare(arch, to)
	fmt.Fprint(stdout, shell)
	return err
}

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/binfmt/keep"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

// watchOptions are what --watch has besides the flags of all.
type watchOptions struct {
	on       bool
	config   string // file
	listen   string
	features string // file

	ownInstance bool
	flags       *pflag.FlagSet

	passed []string // of a service that watches: the flags that only --watch has
}

// watchSettings are what the file that --config names may set. Of what a flag or
// a variable of the environment sets too, that is taken.
type watchSettings struct {
	Architectures   []string          `json:"architectures"`   // ARCH…
	Emulators       map[string]string `json:"emulators"`       // paths, by any names of architectures
	QEMUPath        string            `json:"qemuPath"`        // --qemu-path
	Yield           []string          `json:"yield"`           // --yield
	CheckEvery      string            `json:"checkEvery"`      // --check-every
	UninstallOnExit *bool             `json:"uninstallOnExit"` // --uninstall-on-exit
	Listen          string            `json:"listen"`          // --listen
	FeaturesFile    string            `json:"featuresFile"`    // --features-file
}

// watchOnly are the flags that only --watch has, and their variables.
var watchOnly = map[string]string{
	"config": "REGISTER_CONFIG", "listen": "REGISTER_LISTEN", "yield": "REGISTER_YIELD", "check-every": "REGISTER_CHECK_EVERY",
	"uninstall-on-exit": "REGISTER_UNINSTALL_ON_EXIT", "features-file": "REGISTER_FEATURES_FILE",
}

// architecturesVariable names architectures where the command line does not.
const architecturesVariable = "REGISTER_ARCHITECTURES"

// defaultCheck is the time between runs of a program of each architecture.
const defaultCheck = 5 * time.Minute

func (w *watchOptions) add(f *pflag.FlagSet) {
	w.flags = f
	f.StringVar(&w.config, "config", "", "with --watch: `file` with settings, in JSON (docs/nodes.md)")
	f.StringVar(&w.listen, "listen", "", "with --watch: `address` for /healthz, /readyz and /metrics; a port alone is on the loopback interface, *:PORT on all (default: none)")
	f.BoolVar(&w.ownInstance, "own-instance", false, "with --watch: where this container's user namespace has no binfmt_misc, mount one of its own, for as long as it watches")
	f.StringSlice("yield", []string{"*"}, "with --watch: whose newer entries are left in place, by `patterns` for their names or interpreters")
	f.Duration("check-every", defaultCheck, "with --watch: time between runs of a program of each architecture")
	f.Bool("uninstall-on-exit", false, "with --watch: remove its entries in the end, unless another --watch has come for them")
	f.StringVar(&w.features, "features-file", "", "with --watch: `file` for node-feature-discovery's local source, with a label for each platform that runs")
}

// check reads the environment, and says what is wrong with the flags, which may be for a
// service that watches.
func (w *watchOptions) check(service bool) error {
	if w.ownInstance && !w.on {
		return errors.New("--own-instance: is for --watch only")
	}
	for _, name := range slices.Sorted(maps.Keys(watchOnly)) {
		flag, value := w.flags.Lookup(name), os.Getenv(watchOnly[name])
		switch {
		case !w.on && !service && flag.Changed:
			return fmt.Errorf("--%s: is for --watch only", name)
		case !w.on && flag.Changed:
			if err := w.pass(flag); err != nil {
				return err
			}
		case w.on && !flag.Changed && value != "":
			if err := w.flags.Set(name, value); err != nil {
				return fmt.Errorf("%s=%s: %w", watchOnly[name], value, err)
			}
		}
	}
	if !w.on {
		*w = watchOptions{passed: w.passed}
	}
	return nil
}

// pass notes a flag for a service that watches, which has another directory, on another host
// maybe: what is wrong with its value, that would say to nobody.
func (w *watchOptions) pass(flag *pflag.Flag) error {
	value := flag.Value.String()
	if list, ok := flag.Value.(pflag.SliceValue); ok {
		value = strings.Join(list.GetSlice(), ",")
	}
	var err error
	switch flag.Name {
	case "config", "features-file":
		if !filepath.IsAbs(value) {
			err = fmt.Errorf("--%s %s: is not an absolute path", flag.Name, value)
		}
	case "listen":
		err = canServe(value)
	case "yield":
		err = checkYield(strings.Split(value, ","))
	case "check-every":
		every, _ := w.flags.GetDuration(flag.Name)
		err = checkEvery(every)
	}
	w.passed = append(w.passed, "--"+flag.Name+"="+value)
	return err
}

func checkYield(patterns []string) error {
	for _, pattern := range patterns {
		if _, err := filepath.Match(pattern, ""); err != nil { // it would match nobody
			return fmt.Errorf("--yield %s: %w", pattern, err)
		}
	}
	return nil
}

func checkEvery(every time.Duration) error {
	if every < time.Second {
		return fmt.Errorf("--check-every %v: is less than a second", every)
	}
	return nil
}

// load reads the file, and returns what is to be kept.
func (o *options) load() (keep.Settings, error) {
	w := &o.watch
	var set watchSettings
	if w.config != "" {
		text, err := os.ReadFile(w.config)
		if err == nil {
			set, err = parseSettings(text)
		}
		if err != nil {
			return keep.Settings{}, fmt.Errorf("--config %s: %w", w.config, err)
		}
	}
	s, err := o.merge(set)
	if err != nil && w.config != "" {
		err = fmt.Errorf("--config %s: %w", w.config, err)
	}
	return s, err
}

// parseSettings reads a file of settings. A name that is unknown is an error.
func parseSettings(text []byte) (set watchSettings, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&set); err != nil {
		return set, err
	}
	if _, err := d.Token(); err != io.EOF {
		return set, errors.New("there is more after the settings")
	}
	return set, nil
}

// merge adds what the file says to what the command line and the environment do.
func (o *options) merge(set watchSettings) (s keep.Settings, err error) {
	f := o.watch.flags
	s.Request = o.Request
	s.Request.OwnInstance = o.watch.ownInstance
	if args := cmp.Or(os.Getenv(architecturesVariable), strings.Join(set.Architectures, ",")); len(o.args) == 0 && args != "" {
		named := options{args: strings.FieldsFunc(args, func(c rune) bool { return c == ' ' || c == ',' })}
		if s.Request.Archs, err = named.architectures(); err != nil {
			return s, err
		}
	}
	if s.Request.Emulators, err = emulatorPaths(set.Emulators); err != nil {
		return s, fmt.Errorf("emulators: %w", err)
	}
	if len(o.Emulators) > 0 {
		if s.Request.Emulators == nil {
			s.Request.Emulators = make(map[string]string)
		}
		maps.Copy(s.Request.Emulators, o.Emulators)
	}
	if set.QEMUPath != "" && len(s.Request.Dirs) == 0 {
		if !filepath.IsAbs(set.QEMUPath) {
			return s, fmt.Errorf("qemuPath %q is not an absolute path", set.QEMUPath)
		}
		s.Request.Dirs = []string{set.QEMUPath}
	}
	// Of the flags, those that were given, or else what the file has.
	given := f.Changed
	if s.Yield, _ = f.GetStringSlice("yield"); !given("yield") && len(set.Yield) > 0 {
		s.Yield = set.Yield
	}
	if err := checkYield(s.Yield); err != nil {
		return s, err
	}
	if s.Check, _ = f.GetDuration("check-every"); !given("check-every") && set.CheckEvery != "" {
		if s.Check, err = time.ParseDuration(set.CheckEvery); err != nil {
			return s, fmt.Errorf("checkEvery: %w", err)
		}
	}
	if err := checkEvery(s.Check); err != nil {
		return s, err
	}
	if s.Withdraw, _ = f.GetBool("uninstall-on-exit"); !given("uninstall-on-exit") && set.UninstallOnExit != nil {
		s.Withdraw = *set.UninstallOnExit
	}
	if !given("listen") {
		o.watch.listen = set.Listen
	}
	if !given("features-file") {
		o.watch.features = set.FeaturesFile
	}
	return s, nil
}

// emulatorPaths returns the paths of emulators by QEMU's names of architectures.
func emulatorPaths(named map[string]string) (map[string]string, error) {
	if len(named) == 0 {
		return nil, nil
	}
	paths := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(named)) {
		arch, err := elfmagic.Lookup(name)
		if err != nil {
			return nil, err
		}
		path := named[name]
		if !filepath.IsAbs(path) {
			return nil, fmt.Errorf("%s: %q is not an absolute path", name, path)
		}
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		paths[arch.Name] = path
	}
	return paths, nil
}

// A monitor sees what a keeper does.
type monitor interface {
	Event(keep.Event)
	Close()
}

// runWatch registers, and keeps it so until ctx is done.
func (o *options) runWatch(ctx context.Context, stdout, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	if o.json {
		log = slog.New(slog.NewJSONHandler(stdout, nil))
	}
	if _, err := o.load(); err != nil { // which says where to listen
		return err
	}
	// Names that are unknown are an error at the end, which may be far.
	_, unknown := o.architectures()
	for _, err := range cli.Split(unknown) {
		o.log(log, keep.Event{Kind: keep.Failed, Err: err})
	}
	saveMemory()
	var watching monitor
	var k *keep.Keeper
	tell := func(e keep.Event) {
		o.log(log, e)
		if watching != nil {
			watching.Event(e)
		}
		if e.Kind == keep.Tried {
			o.tried(log, k.Report())
		}
	}
	k = keep.New(binfmt.New(o.mount), o.load, tell)
	if o.watch.listen != "" {
		server, err := serve(o.watch.listen, k.Report, func(err error) { log.Error("failed", "error", err.Error()) })
		if err != nil {
			return err
		}
		defer server.Close()
		watching = server
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, unix.SIGHUP)
	defer signal.Stop(hangups)
	reload := make(chan struct{})
	go func() {
		for range hangups {
			reload <- struct{}{}
		}
	}()
	defer tellSystemd("STOPPING=1")
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx, reload) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(ending):
		return fmt.Errorf("ended while it looked at %s: the file system there does not answer", o.mount)
	}
}

// ending is how long a watch that is to end may take: a file system that does not answer, such
// as an autofs whose daemon hangs, must not keep it.
const ending = 5 * time.Second

// tried tells others what ran.
func (o *options) tried(log *slog.Logger, r *keep.Report) {
	status := "all architectures run"
	if why := r.Ready(); len(why) > 0 {
		status = strings.Join(why, "; ")
	}
	tellSystemd("READY=1\nSTATUS=" + strings.ReplaceAll(status, "\n", " "))
	if path := o.watch.features; path != "" {
		text := features(r, time.Now())
		if err := file.ReplaceWith(path, 0o644, []byte(text)); err != nil {
			log.Error("failed", "error", err.Error(), "hint", "--features-file: node-feature-discovery reads /etc/kubernetes/node-feature-discovery/features.d")
		}
	}
}

// features returns what node-feature-discovery's local source reads: a label for
// each platform whose programs run. They expire if nobody writes them again.
func features(r *keep.Report, now time.Time) string {
	var text strings.Builder
	expiry := now.Add(2*r.Settings.Check + time.Minute).UTC()
	fmt.Fprintf(&text, "# +expiry-time=%s\n", expiry.Format(time.RFC3339))
	for _, s := range r.Archs {
		label := strings.ReplaceAll(s.Arch.Platform(), "/", "-")
		switch {
		case s.Native:
			fmt.Fprintf(&text, "%s=native\n", label)
		case s.Runs:
			fmt.Fprintf(&text, "%s=emulated\n", label)
		}
	}
	return text.String()
}

// tellSystemd says to the service manager how far the service is (sd_notify(3)), if
// one wants to know.
func tellSystemd(state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	_ = unix.Sendto(fd, []byte(state), unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: name})
}

// log writes an event: a line of text, or of JSON.
func (o *options) log(log *slog.Logger, e keep.Event) {
	level := slog.LevelInfo
	switch e.Kind {
	case keep.Tried:
		level = slog.LevelDebug
	case keep.Failed:
		level = slog.LevelError
	case keep.Yielded, keep.Delayed, keep.Warned, keep.Blocked:
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{slog.String("event", string(e.Kind))}
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	if e.Arch != nil {
		add("architecture", e.Arch.Platform())
	}
	add("entry", e.Entry)
	add("cause", string(e.Cause))
	add("interpreter", e.Other)
	if e.Took > 0 {
		attrs = append(attrs, slog.Float64("seconds", e.Took.Seconds()))
	}
	if e.Err != nil {
		err := o.hintedEvent(e)
		add("error", err.Error())
		add("hint", cli.Hint(err))
	}
	log.LogAttrs(context.Background(), level, said[e.Kind], attrs...)
}

// hintedEvent returns an event's error with what to do about it.
func (o *options) hintedEvent(e keep.Event) error {
	if e.Arch != nil {
		return o.worded(e.Err)
	}
	surroundings, _ := host.LookAround("/proc")
	return o.hinted(e.Err, surroundings)
}

// said are events in words.
var said = map[keep.Kind]string{
	keep.Registered: "registered, and a program ran",
	keep.Healed:     "somebody undid it: registered again",
	keep.Upgraded:   "replaced, without a gap, by another emulator",
	keep.Yielded:    "another owner's entry is tried first: left in place",
	keep.Retaken:    "registered in front of another owner's entry",
	keep.Delayed:    "undone too often: it waits",
	keep.Failed:     "failed",
	keep.Warned:     "warning",
	keep.Tried:      "a program of each architecture was tried",
	keep.Blocked:    "somebody disabled all of binfmt_misc: it waits",
	keep.Unblocked:  "binfmt_misc is enabled again",
	keep.Withdrawn:  "removed its entry",
	keep.HandedOver: "left its entry to another --watch",
}

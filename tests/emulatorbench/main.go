// Emulatorbench times emulators against one another: stock ones, and those to
// be judged, which run the same programs of other architectures in turn, in one
// run. What counts are the ratios of runs that came right after one another:
// machines are noisy. It first sees that all emulators make the same of a
// program.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/workdir"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/tests/guests"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type options struct {
	emulators, stock, targets, guests string
	limit                             time.Duration
	cpu, starts                       bool
	json, markdown                    string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	f := flag.NewFlagSet("emulatorbench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.emulators, "emulators", "", "emulators to judge: `name=directory,...` of qemu-TARGET-static or qemu-TARGET, or name=file for one target")
	f.StringVar(&o.stock, "stock", "", "stock emulators, likewise (default: those in /usr/bin, and Debian's of trixie and sid, which are fetched)")
	f.StringVar(&o.targets, "targets", "aarch64", "`architectures` of the guests, with commas")
	f.StringVar(&o.guests, "guests", "", "only these `guests`, with commas")
	f.DurationVar(&o.limit, "time", 5*time.Second, "how `long` each emulator runs each guest, about")
	f.BoolVar(&o.cpu, "cpu", false, "compare processor time instead of the time that passed: less disturbed by other work on the machine")
	f.BoolVar(&o.starts, "starts", false, "time emulators to judge that keep translations with a cache of them, too: empty (first start), and with what the program executes (second start)")
	f.StringVar(&o.json, "json", "", "write the results to a `file`, too, for tests/emulatorbench/plot")
	f.StringVar(&o.markdown, "markdown", "", "write the table into a `file`, between its marks")
	if err := f.Parse(args); err != nil {
		return 2
	}
	if err := bench(ctx, o, stdout, stderr); err != nil {
		cli.Error(stderr, "emulatorbench", err)
		return 1
	}
	return 0
}

func bench(ctx context.Context, o options, stdout, stderr io.Writer) error {
	cache, err := workdir.Cache()
	if err != nil {
		return err
	}
	stock, err := parseSets(o.stock)
	if err != nil {
		return err
	}
	if len(stock) == 0 {
		if stock, err = guests.StockEmulators(ctx, filepath.Join(cache, "stock")); err != nil {
			return err
		}
	}
	judged, err := parseSets(o.emulators)
	if err != nil {
		return err
	}
	result := Result{Machine: machine(), Measure: "wall"}
	if o.cpu {
		result.Measure = "cpu"
	}
	for name := range strings.SplitSeq(o.targets, ",") {
		arch, err := elfmagic.Lookup(name)
		if err != nil {
			return err
		}
		contestants, err := contestants(ctx, arch, stock, judged, o)
		if err != nil {
			return err
		}
		made, missing, err := guests.Make(ctx, arch, filepath.Join(cache, "guests"))
		if err != nil {
			return err
		}
		for _, m := range missing {
			fmt.Fprintf(stderr, "emulatorbench: %s: no %s: %v\n", arch, m.Name, m.Err)
		}
		target := Target{Name: arch.Name, Emulators: contestants}
		for _, g := range made {
			if o.guests != "" && !slices.Contains(strings.Split(o.guests, ","), g.Name) {
				continue
			}
			fmt.Fprintf(stderr, "emulatorbench: %s: %s …\n", arch, g.Name)
			row, err := race(ctx, g, contestants, o)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", arch, g.Name, err)
			}
			target.Rows = append(target.Rows, row)
		}
		result.Targets = append(result.Targets, target)
	}
	result.write(stdout)
	if o.json != "" {
		text, err := json.MarshalIndent(result, "", "\t")
		if err != nil {
			return err
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(o.json), 0o755), os.WriteFile(o.json, append(text, '\n'), 0o644)); err != nil {
			return err
		}
	}
	if o.markdown != "" {
		return insert(o.markdown, result.markdown())
	}
	return nil
}

func parseSets(text string) ([]guests.Set, error) {
	var sets []guests.Set
	for _, item := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		name, dir, ok := strings.Cut(item, "=")
		if !ok || name == "" || dir == "" {
			return nil, cli.WithHint(fmt.Errorf("%q is no name=directory", item), "-emulators ours=bin/emulators/%s", runtime.GOARCH)
		}
		sets = append(sets, guests.Set{Name: name, Path: dir})
	}
	return sets, nil
}

// contestants are those of the sets that have an emulator for the architecture.
func contestants(ctx context.Context, arch *elfmagic.Arch, stock, judged []guests.Set, o options) ([]Emulator, error) {
	var list []Emulator
	for i, set := range slices.Concat(stock, judged) {
		found, err := set.Find(arch)
		if err != nil {
			if i >= len(stock) {
				return nil, err
			}
			continue
		}
		info, err := os.Stat(found.Path)
		if err != nil {
			return nil, err
		}
		e := Emulator{Name: set.Name, Stock: i < len(stock), Version: found.Version, MB: float64(info.Size()) / 1e6, path: found.Path}
		list = append(list, e)
		if o.starts && !e.Stock && keepsTranslations(ctx, e.path) {
			for _, start := range []string{firstStart, secondStart} {
				e.Name, e.Start = set.Name+", "+start, start
				list = append(list, e)
			}
		}
	}
	if len(list) == 0 {
		return nil, cli.WithHint(fmt.Errorf("no emulator for %s", arch), "name directories of them: -stock, -emulators")
	}
	return list, nil
}

// keepsTranslations says whether an emulator knows of a cache of them.
func keepsTranslations(ctx context.Context, emulator string) bool {
	help, _ := exec.CommandContext(ctx, emulator, "-help").Output() // its exit status is 1
	return bytes.Contains(help, []byte(translations))
}

// machine says what the times were measured on.
func machine() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return fmt.Sprintf("%s, %d processors", strings.TrimSpace(value), runtime.NumCPU())
		}
	}
	return fmt.Sprintf("%s, %d processors", runtime.GOARCH, runtime.NumCPU())
}

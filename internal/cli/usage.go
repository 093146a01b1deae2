package cli

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spf13/pflag"
)

// columns is how wide help is.
const columns = 80

// FlagUsages returns what there is to say of flags: of those up to the one that is
// named last, which most people need, and of the others.
func FlagUsages(flags *pflag.FlagSet, last string) (common, others string) {
	most, rest := pflag.NewFlagSet("", 0), pflag.NewFlagSet("", 0)
	most.SortFlags, rest.SortFlags = false, false
	into := most
	flags.VisitAll(func(f *pflag.Flag) {
		shown := *f
		shown.Value, shown.NoOptDefVal = value{f.Value, ""}, "" // --flag, not --flag[=true|false]
		if word, text := pflag.UnquoteUsage(f); mayHaveValue(f) {
			shown.Name += "[=" + word + "]"
			shown.Value, shown.Usage = value{f.Value, "bool"}, text // of which pflag shows no value
		}
		if f.DefValue == "[]" || f.DefValue == "0s" {
			shown.DefValue = "" // nothing, which is not said
		}
		into.AddFlag(&shown)
		if f.Name == last {
			into = rest
		}
	})
	return most.FlagUsagesWrapped(columns), rest.FlagUsagesWrapped(columns)
}

// mayHaveValue reports whether a flag has a value, or none: behind an equals sign.
func mayHaveValue(f *pflag.Flag) bool { return !takesValue(f) && f.Value.Type() != "bool" }

// A value is one that says nothing of itself but its type, or another, and what it is.
type value struct {
	pflag.Value
	as string
}

func (v value) Type() string { return cmp.Or(v.as, v.Value.Type()) }

// GivenEmpty returns an error if one of the flags was given an empty value, as a variable of a
// shell that is not set has it: what is named so is not what is meant without the flag.
func GivenEmpty(flags *pflag.FlagSet, but ...string) (err error) {
	flags.Visit(func(f *pflag.Flag) {
		// A list of one that is empty is written so, too.
		empty := f.Value.Type() == "string" && f.Value.String() == "" || f.Value.Type() == "stringArray" && f.Value.String() == "[]"
		if err == nil && empty && !slices.Contains(but, f.Name) {
			err = WithHint(fmt.Errorf("--%s: its value is empty", f.Name), "leave it out, or give it a value: is a variable not set?")
		}
	})
	return err
}

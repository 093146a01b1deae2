package cli

import "github.com/spf13/pflag"

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
		shown.Value, shown.NoOptDefVal = value{f.Value}, "" // --flag, not --flag[=true|false]
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

// A value is one that says nothing of itself but its type and what it is.
type value struct{ pflag.Value }

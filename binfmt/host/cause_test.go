package host

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
)

func TestCauses(t *testing.T) {
	entry := &binfmt.Entry{Name: "e", Interpreter: "/i"}
	disabled := &binfmt.Entry{Name: "e", Interpreter: "/i", Disabled: true}
	mounted := view{mounted: true, enabled: true}
	with := func(e *binfmt.Entry, problem error) view {
		return view{mounted: true, enabled: true, entry: e, path: "/i", problem: problem}
	}
	for name, test := range map[string]struct {
		view view
		err  error
		want Cause
	}{
		"nothing is mounted":                            {view{}, syscall.ENOEXEC, Unseen},
		"nothing is mounted, an interpreter is missing": {view{}, syscall.ENOENT, Unseen},
		"nothing is mounted, execution is denied":       {view{}, syscall.EACCES, Unknown},
		"no entry":                           {mounted, syscall.ENOEXEC, NoEntry},
		"no entry, and all are disabled":     {view{mounted: true}, syscall.ENOEXEC, NoEntry},
		"a disabled entry":                   {with(disabled, nil), syscall.ENOEXEC, Disabled},
		"all are disabled":                   {view{mounted: true, entry: entry}, syscall.ENOEXEC, AllDisabled},
		"all are disabled, and this one":     {view{mounted: true, entry: disabled}, syscall.ENOEXEC, AllDisabled},
		"no interpreter":                     {with(entry, syscall.ENOENT), syscall.ENOENT, NoInterpreter},
		"an interpreter that is held":        {with(entry, nil), syscall.ENOENT, NoInterpreter},
		"an interpreter for another host":    {with(entry, syscall.ENOEXEC), syscall.ENOEXEC, BadInterpreter},
		"an interpreter of the wrong mode":   {with(entry, syscall.EACCES), syscall.EACCES, BadInterpreter},
		"a denial that is not its mode":      {with(entry, nil), syscall.EACCES, Unknown},
		"an interpreter that is out of view": {with(entry, syscall.ENOENT), syscall.ENOEXEC, Unknown},
		"a loop":                             {with(entry, nil), syscall.ELOOP, Loop},
		"an entry that is not used":          {with(entry, nil), syscall.ENOEXEC, OtherInstance},
		"an entry that is not seen":          {mounted, syscall.ENOENT, OtherInstance},
		"a loop that is not seen":            {with(disabled, nil), syscall.ELOOP, OtherInstance},
		"no memory":                          {with(entry, nil), syscall.ENOMEM, Unknown},
	} {
		for _, err := range []error{test.err, fmt.Errorf("wrapped: %w", test.err)} {
			assert.Equal(t, test.want, test.view.cause(err), name)
		}
	}
}

func TestErrorsNameWhatTheyAreAbout(t *testing.T) {
	arch, err := elfmagic.Lookup("arm64")
	require.NoError(t, err)
	for _, test := range []struct {
		err  Error
		want string
	}{
		{Error{Cause: NoEntry}, "aarch64 programs do not run: no entry is for them: no luck"},
		{Error{Cause: Disabled, Entry: "e"}, "aarch64 programs do not run: e: the entry is disabled: no luck"},
		{Error{Cause: BadInterpreter, Entry: "e", Path: "/i"}, "aarch64 programs do not run: e: /i: the entry's interpreter cannot be executed: no luck"},
	} {
		test.err.Arch, test.err.Err = arch, errors.New("no luck")
		assert.EqualError(t, &test.err, test.want)
		assert.ErrorIs(t, &test.err, test.err.Err)
	}
}

func TestOtherSystemsAreUnsupported(t *testing.T) {
	if runtime.GOOS == "linux" {
		t.Skip("this is Linux")
	}
	_, err := Native(context.Background())
	assert.ErrorIs(t, err, errors.ErrUnsupported)
	_, err = Platforms(context.Background())
	assert.ErrorIs(t, err, errors.ErrUnsupported)
	assert.ErrorIs(t, Check(context.Background(), binfmt.New(""), elfmagic.Archs()[0]), errors.ErrUnsupported)
	_, err = binfmt.New("").List()
	assert.ErrorIs(t, err, errors.ErrUnsupported)
}

package cli_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/internal/cli"
)

func TestErrorsOfTheKernelHaveHints(t *testing.T) {
	entry := &binfmt.Entry{Name: "n", Extension: "x", Interpreter: "/i"}
	unknown, err := binfmt.ParseFlags("FZ")
	require.NoError(t, err)
	refused := &binfmt.Entry{Name: "n", Extension: "x", Interpreter: "/i", Flags: unknown}
	for name, test := range map[string]struct {
		err  *binfmt.Error
		hint string // a part; none if empty
	}{
		"not mounted":      {&binfmt.Error{Op: "list", Path: "/m", Err: binfmt.ErrNotMounted}, "mount -t binfmt_misc binfmt_misc /m"},
		"read-only":        {&binfmt.Error{Op: "register", Path: "/m/register", Err: syscall.EROFS}, "docker run --privileged, or"},
		"no module":        {&binfmt.Error{Op: "mount", Path: "/m", Err: syscall.ENODEV}, "modprobe binfmt_misc"},
		"not empty":        {&binfmt.Error{Op: "mount", Path: "/m", Err: syscall.ENOTEMPTY}, "would be hidden"},
		"no own directory": {&binfmt.Error{Op: "mount", Path: binfmt.DefaultMount, Err: syscall.ENOENT}, "modprobe binfmt_misc"},
		"nor of another":   {&binfmt.Error{Op: "mount", Path: "/host" + binfmt.DefaultMount, Err: syscall.ENOENT}, "modprobe binfmt_misc"},
		"no directory":     {&binfmt.Error{Op: "mount", Path: "/m m", Err: syscall.ENOENT}, "mkdir -p '/m m'"},
		"not a directory":  {&binfmt.Error{Op: "mount", Path: "/etc/passwd", Err: syscall.ENOTDIR}, binfmt.DefaultMount},
		"mount denied":     {&binfmt.Error{Op: "mount", Path: "/m", Err: syscall.EPERM}, "CAP_SYS_ADMIN: root of the host has it"},
		"denied":           {&binfmt.Error{Op: "remove", Name: "n", Path: "/m/n", Err: &os.PathError{Op: "open", Path: "/m/n", Err: syscall.EACCES}}, "CAP_SYS_ADMIN over the user namespace"},
		"register denied":  {&binfmt.Error{Op: "register", Entry: entry, Err: syscall.EACCES}, "CAP_SYS_ADMIN over the user namespace"},
		"interpreter's":    {&binfmt.Error{Op: "register", Entry: entry, Written: true, Err: syscall.EACCES}, "the interpreter /i cannot be executed"},
		"interpreter gone": {&binfmt.Error{Op: "register", Entry: entry, Err: syscall.ENOENT}, "and /i is not there"},
		"there already":    {&binfmt.Error{Op: "register", Entry: entry, Err: syscall.EEXIST}, "remove it first"},
		"unknown flag":     {&binfmt.Error{Op: "register", Entry: refused, Err: syscall.EINVAL}, " may not know the flags Z"},
		"refused":          {&binfmt.Error{Op: "register", Entry: entry, Err: syscall.EINVAL}, ""},
		"anything else":    {&binfmt.Error{Op: "remove", Name: "n", Err: syscall.ENOENT}, ""},
	} {
		if test.hint == "" {
			assert.Empty(t, cli.Hint(test.err), name)
		}
		assert.Contains(t, cli.Hint(test.err), test.hint, name)
	}
}

// What was joined to an error without a hint is asked too.
func TestAnErrorWithoutAHintDoesNotHideAnothers(t *testing.T) {
	gone := &binfmt.Error{Op: "remove", Name: "n", Err: syscall.ENOENT}
	err := errors.Join(gone, &binfmt.Error{Op: "list", Path: "/m", Err: binfmt.ErrNotMounted})
	assert.True(t, strings.HasPrefix(cli.Hint(err), "mount -t"), cli.Hint(err))
}

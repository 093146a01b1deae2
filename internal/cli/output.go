package cli

import (
	"fmt"
	"io"
)

// An Output is a command's standard output. It remembers that something could not be written,
// which whoever writes need not look at: a full disk behind ">" is no success.
type Output struct {
	io.Writer
	err error
}

// Write implements io.Writer.
func (o *Output) Write(b []byte) (int, error) {
	n, err := o.Writer.Write(b)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// Status returns the command's exit status: failure, after an error was printed, if it
// would be 0 and something was not written.
func (o *Output) Status(status, failure int, stderr io.Writer, name string) int {
	if status != 0 || o.err == nil {
		return status
	}
	Error(stderr, name, fmt.Errorf("cannot write to standard output: %w", o.err))
	return failure
}

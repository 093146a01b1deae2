package main

import (
	"bytes"
	"testing"

	"github.com/projectcalico/go-build/tests/commands"
)

func TestTheManualPageAndCompletions(t *testing.T) {
	commands.CheckPage(t, page(), exitFailed, func(args ...string) commands.Result {
		var stdout, stderr bytes.Buffer
		status := run(args, &stdout, &stderr)
		return commands.Result{Stdout: stdout.String(), Stderr: stderr.String(), Status: status}
	})
}

//go:build embedded

package embedded

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/projectcalico/go-build/internal/embedded/codec"
)

// archive is put beside this file by the go command's -overlay: image/singlefiles
// makes it. It is bytes, and not a string, so that nothing is copied.
//
//go:embed emulators
var archive []byte

// Emulators returns the archive that is in this command, or nil. It was seen to
// be one when it was made: if it is none now, the command is of no use.
var Emulators = sync.OnceValue(func() *Archive {
	a, err := Open(archive, codec.Decode)
	if err != nil {
		name := filepath.Base(os.Args[0])
		fmt.Fprintf(os.Stderr, "%s: error: this command is damaged: the emulators in it: %v\n%s: hint: copy or download it again\n", name, err, name)
		os.Exit(125)
	}
	return a
})

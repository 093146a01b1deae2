//go:build embedded

package embedded

import (
	_ "embed"
	"sync"

	"github.com/projectcalico/go-build/internal/embedded/codec"
)

// archive is put beside this file by the go command's -overlay: image/singlefiles
// makes it. It is bytes, and not a string, so that nothing is copied.
//
//go:embed emulators
var archive []byte

// Emulators returns the archive that is in this command, or nil. It was seen to
// be one when it was made.
var Emulators = sync.OnceValue(func() *Archive {
	a, err := Open(archive, codec.Decode)
	if err != nil {
		panic("embedded emulators: " + err.Error())
	}
	return a
})

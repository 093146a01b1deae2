//go:build carry

package carry

import (
	_ "embed"
	"sync"

	"github.com/projectcalico/go-build/internal/carry/codec"
)

// archive is put beside this file by the go command's -overlay: image/singlefiles
// makes it. It is bytes, and not a string, so that nothing is copied.
//
//go:embed emulators
var archive []byte

// Embedded returns the archive that this command carries, or nil. It was seen to
// be one when it was made.
var Embedded = sync.OnceValue(func() *Archive {
	a, err := Open(archive, codec.Decode)
	if err != nil {
		panic("carried emulators: " + err.Error())
	}
	return a
})

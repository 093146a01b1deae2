package kerneltest

import (
	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/internal/file"
)

// device returns which file system is mounted there; 0 if that cannot be found out.
func device(fs binfmt.FS) uint64 { return file.Device(fs.Dir()) }

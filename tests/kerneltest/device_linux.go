package kerneltest

import (
	"syscall"

	"github.com/projectcalico/go-build/binfmt"
)

// device returns which file system is mounted there; 0 if that cannot be found out.
func device(fs binfmt.FS) uint64 {
	var st syscall.Stat_t
	if err := syscall.Stat(fs.Dir(), &st); err != nil {
		return 0
	}
	return uint64(st.Dev) // 32 bits wide on some architectures
}

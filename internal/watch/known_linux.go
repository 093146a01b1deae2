package watch

import (
	"sync"

	"golang.org/x/sys/unix"
)

// known are files of which the supervisor knows that the kernel is to execute, or to
// refuse, them. A file that was changed is another one.
type known struct {
	sync.Mutex
	files [1024]identity
}

type identity struct {
	major, minor, mode uint32
	inode, size        uint64
	modified, changed  unix.StatxTimestamp
}

const identityMask = unix.STATX_TYPE | unix.STATX_MODE | unix.STATX_INO | unix.STATX_SIZE | unix.STATX_MTIME | unix.STATX_CTIME

func identify(st *unix.Statx_t) identity {
	return identity{st.Dev_major, st.Dev_minor, uint32(st.Mode), st.Ino, st.Size, st.Mtime, st.Ctime}
}

func (k *known) place(i *identity) *identity {
	return &k.files[(i.inode^i.inode>>10^uint64(i.minor))%uint64(len(k.files))]
}

func (k *known) has(i identity) bool {
	k.Lock()
	defer k.Unlock()
	return *k.place(&i) == i
}

// settled is how old a file's last change must be, in seconds: clocks of file systems
// are coarse, and a file may be changed twice within a tick.
const settled = 2

func (k *known) add(i identity) {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &now) != nil || int64(now.Sec)-i.changed.Sec < settled {
		return
	}
	k.Lock()
	defer k.Unlock()
	*k.place(&i) = i
}

package emulator

import "syscall"

type unixStat = syscall.Stat_t

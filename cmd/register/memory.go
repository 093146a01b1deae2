package main

import "runtime/debug"

// saveMemory has a process that stays use little memory between the few moments in which
// it does something: emulators are compared a chunk at a time, so that there is not much
// to be collected.
func saveMemory() {
	debug.SetGCPercent(25)
	debug.SetMemoryLimit(12 << 20)
}

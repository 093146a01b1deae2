// Package keep keeps emulators registered: what [install.Install] has registered and
// proved is watched, and healed when somebody undoes it.
//
// A [Keeper] is woken by inotify, which sees what is changed in an instance of
// binfmt_misc through any mount of it (seen on Linux 6.18), and whatever happens to
// the files of emulators. What it does then is decided by a pure function, [Judge]:
//
//	nobody's entry runs the programs   registered again, at once under a temporary
//	                                   name, and under its own when all is quiet
//	another owner's entry is newer     left in place, and reported
//	an emulator's file is another      replaced without a gap
//
// Entries are another owner's unless this keeper registered them, or found them as
// it wanted them when it began. So two keepers of the same architectures do not
// fight: the one that registered last has them, and the other one waits.
package keep

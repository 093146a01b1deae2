// Package elfmagic knows what an ELF file is for: which architecture its
// header names, and which magic and mask make the Linux kernel's binfmt_misc
// pick out that architecture's programs.
//
// The package makes no system calls and holds no state. Its table has one row
// for each architecture whose Linux programs QEMU can run; everything else is
// derived from it.
//
//	arch, err := elfmagic.Lookup("linux/arm64")   // or aarch64, arm64, …
//	pattern := arch.Pattern()                     // what binfmt_misc is told
//	header, err := elfmagic.Identify(file)        // what a program is for
package elfmagic

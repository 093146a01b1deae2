// Package binfmt speaks to the Linux kernel's binfmt_misc, the file system in
// which interpreters are registered for files that the kernel cannot execute
// itself.
//
// An [Entry] is a plain value: it is written as the kernel reads it, parsed as
// the kernel prints it, and compared. [Plan] says which steps lead from the
// entries that are there to those that are wanted, without doing any. An [FS]
// is a mounted instance of the file system; it does them, in an order that
// leaves no moment in which a program that could be executed cannot.
//
// Nothing in this package writes to the file system's "status", which would
// take every owner's entries away.
//
// Kernel documentation: Documentation/admin-guide/binfmt-misc.rst; source:
// fs/binfmt_misc.c.
package binfmt

// Package hosts tests register on hosts as others leave them: Debian's and other
// distributions' systems, container engines' virtual machines, and what peers of
// register have registered.
//
// Each file in testdata is a host: lines of binfmt.d in the order in which they
// are registered there, below comments with
//
//	# title
//	# architecture: of the host, as Go names it
//	# source: package or public file, with its version or date; one or more
//	# note: what one must know; none or more
//	# others: entries of somebody else's for other files than programs of an
//	  architecture; every command leaves them
//	# others-machine: entries of somebody else's for programs of an architecture;
//	  the pattern * of binfmt --uninstall means them, nothing else does
//	# disabled: entries that are disabled afterwards
//
// Names of entries, patterns, flags and the order are those of the host. Its
// files are stood in for: each interpreter is a link of the same path below a
// directory of the test's. It leads to this machine's emulator if the entry is
// for an architecture, so that programs run, and else to a program that does
// nothing. The emulators that register finds are those of that directory's
// /usr/bin: this machine's, for a fixed set of architectures, so that what is
// counted does not depend on what else is installed.
//
// Hosts of another architecture are not registered: their entry for amd64 would
// capture the programs of this test. What register decides is computed from their
// entries. Only the removals by names are done, on an instance in which all
// entries are disabled before the first is made.
//
// The outcomes are the tables in docs/hosts.md, which this test writes:
// go test ./tests/hosts -update.
package hosts

// Package anywhere runs trees of foreign programs in each way of crossrun's, on
// hosts of several kinds: as an ordinary user without user namespaces, in Docker's
// default profile, on older kernels in virtual machines. It writes the tables in
// docs/anywhere.md: make test-anywhere.
//
// What is run is in testdata/checks: a shell script each, which finds in the
// environment
//
//	W         the directory with all that it needs, at the same path on each host
//	CROSSRUN  crossrun with the flag of a way, as a command to put in front
//	NATIVE    the host's GOARCH
//
// and a directory of its own as its working directory, and TMPDIR. Its exit status is
// 0 if what it saw is right, 77 if it does not apply on the host; its last line says
// why not.
package anywhere

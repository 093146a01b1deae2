// Package install puts emulators behind architectures, in four steps:
//
//	Gather  reads [Facts]: the kernel, what it runs natively, entries, emulators
//	Decide  computes a [Decision] for each architecture from facts and a [Request]
//	Apply   registers, runs a program of each architecture, and keeps what ran
//	        or undoes it; it is the only step that changes anything
//	        and returns an [Outcome] for each decision
//
// Facts, requests, decisions and outcomes are plain values. Facts are read from
// and written to JSON, so that a bug report can hold them; Decide depends on
// nothing else. [Install] does all steps, with binfmt_misc mounted and locked.
package install

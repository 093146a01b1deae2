// Package artifacts builds what images are made of: for an architecture, one
// archive of a root file system for each part of the image. Everything that Go
// builds is cross-compiled, static, and the same bytes wherever it is built from
// the same inputs. What a part was made of is kept beside its archive: a second
// run builds only what that differs for, and goes on where the first stopped.
package artifacts

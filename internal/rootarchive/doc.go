// Package rootarchive unpacks root file systems into the user's cache, once: from
// archives of images (docker save, OCI layouts), OCI layouts that are directories, and
// tar archives of a root file system. Nothing in them is trusted: their names stay
// below the directory, what has a digest is compared with it, and a tree is there
// whole or not at all.
package rootarchive

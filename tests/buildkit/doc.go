// Package buildkit builds images with RUN steps for other architectures in rootless
// BuildKit. Nothing is registered: BuildKit finds crossrun in PATH, under the names
// that it looks for (cmd/crossrun/names.go).
package buildkit

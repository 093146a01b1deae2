// Package v1 has what controller-gen looks for.
package v1

type TypeMeta struct{}

type ObjectMeta struct{}

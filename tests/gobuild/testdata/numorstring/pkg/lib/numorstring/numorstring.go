// Package numorstring has types that are numbers or strings in JSON, by methods that are
// left out: it is by its path that controller-gen knows it.
package numorstring

type Protocol struct {
	NumVal uint8  `json:"numVal"`
	StrVal string `json:"strVal"`
}

type Port struct {
	NumVal uint16 `json:"numVal"`
	Name   string `json:"name"`
}

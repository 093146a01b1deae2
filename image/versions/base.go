package versions

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

// PinBase writes the digest that the base image's tag has in its registry now into a
// versions file, and returns the image with it. Of an image for several architectures
// it is that of their list.
func PinBase(ctx context.Context, path string) (string, error) {
	v, err := Load(path)
	if err != nil {
		return "", err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if !bytes.Contains(content, []byte(v.Base)) {
		return "", cli.WithHint(fmt.Errorf("%s names no base image", path), "that of %s is taken: pin it there", v.From)
	}
	tagged, _, _ := strings.Cut(v.Base, "@")
	tag, err := name.NewTag(tagged)
	if err != nil {
		return "", err
	}
	found, err := remote.Head(tag, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return "", cli.WithHint(fmt.Errorf("cannot look up the base image: %w", err), "see that the registry can be reached, and that it has %s", tagged)
	}
	base := tagged + "@" + found.Digest.String()
	return base, file.ReplaceWith(path, 0o644, bytes.ReplaceAll(content, []byte(v.Base), []byte(base)))
}

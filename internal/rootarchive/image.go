package rootarchive

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
)

// An image is one of an archive or layout.
type image struct {
	name   string // its digest
	layers []layer
}

// A layer is a file of an image, and the digest of what is in it, not compressed.
type layer struct{ file, digest string }

// A platform is what the OCI image specification has of one.
type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
}

func (p platform) String() string {
	return path.Join(p.OS, p.Architecture, p.Variant)
}

// arch returns the architecture, or nil if it is none that is known.
func (p platform) arch() *elfmagic.Arch {
	arch, err := elfmagic.Lookup(p.String())
	if p.OS != "linux" || err != nil {
		return nil
	}
	return arch
}

// A candidate is an image that may be the one that is wanted.
type candidate struct {
	platform platform
	id       string // images of the same are one, of several tags
	load     func() (*image, error)
}

// isThere reports whether the image's files are. An index names images of other platforms, too, of
// which docker save, skopeo and others have written no file, or not the layers.
func (c *candidate) isThere(from files) bool {
	there := func(err error) bool { return !errors.Is(err, os.ErrNotExist) } // what else is wrong is said when it is read
	image, err := c.load()
	if err != nil {
		return there(err)
	}
	return !slices.ContainsFunc(image.layers, func(l layer) bool {
		f, err := from.open(l.file)
		if err == nil {
			f.Close()
		}
		return !there(err)
	})
}

// maxJSON is more than any manifest has (4 MiB, in registries).
const maxJSON = 8 << 20

// read reads a JSON file, and compares it with its digest if that is known.
func read(from files, name, digest string, into any) error {
	f, err := from.open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxJSON+1))
	if err != nil {
		return err
	}
	if len(text) > maxJSON {
		return fmt.Errorf("%s: longer than %d MiB", name, maxJSON>>20)
	}
	if sum := sha256.Sum256(text); digest != "" && digest != "sha256:"+hex.EncodeToString(sum[:]) {
		return fmt.Errorf("%s: its content is not that of its digest: it is damaged", name)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// blob returns the file that has a digest.
func blob(digest string) (string, error) {
	sum, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || len(sum) != 2*sha256.Size || strings.Trim(sum, "0123456789abcdef") != "" {
		return "", fmt.Errorf("digest %q is no SHA-256", digest)
	}
	return "blobs/sha256/" + sum, nil
}

// candidates returns the images that are in an archive, or none if it is no image's.
func candidates(from files) ([]candidate, error) {
	var layout struct{ ImageLayoutVersion string }
	err := read(from, "oci-layout", "", &layout)
	if err == nil {
		all, err := ofIndex(from, "index.json", "", 0)
		if err == nil && len(all) == 0 {
			err = errors.New("it has no image")
		}
		return all, err
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var saved []savedImage
	if read(from, "manifest.json", "", &saved) != nil || len(saved) == 0 || saved[0].Config == "" {
		return nil, nil // a file of the root file system's
	}
	var all []candidate
	for _, s := range saved {
		var c config
		if err := read(from, path.Clean(s.Config), "", &c); err != nil {
			return nil, err
		}
		all = append(all, candidate{c.platform, s.Config, func() (*image, error) { return s.image(from) }})
	}
	return all, nil
}

// A savedImage is what docker save, ko and crane write of one into manifest.json.
type savedImage struct {
	Config string
	Layers []string
}

func (s savedImage) image(from files) (*image, error) {
	// The file's name is its digest: abc….json, blobs/sha256/abc…, of ko and crane sha256:abc….
	digest := "sha256:" + strings.TrimPrefix(strings.TrimSuffix(path.Base(s.Config), ".json"), "sha256:")
	if _, err := blob(digest); err != nil {
		return nil, err
	}
	var c config
	if err := read(from, path.Clean(s.Config), digest, &c); err != nil {
		return nil, err
	}
	names := make([]string, len(s.Layers))
	for i, name := range s.Layers {
		names[i] = path.Clean(name)
	}
	return c.image(digest, names)
}

// A descriptor is the specification's.
type descriptor struct {
	Digest      string            `json:"digest"`
	Platform    *platform         `json:"platform"`
	Annotations map[string]string `json:"annotations"`
}

// A document is an index or a manifest.
type document struct {
	Manifests []descriptor `json:"manifests"`
	Config    descriptor   `json:"config"`
	Layers    []descriptor `json:"layers"`
}

// A config is an image's configuration, as far as it matters.
type config struct {
	platform
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// image returns the image that has the configuration, and layers in the files.
func (c config) image(digest string, files []string) (*image, error) {
	if len(files) != len(c.RootFS.DiffIDs) {
		return nil, fmt.Errorf("it has %d layers, and its configuration %d", len(files), len(c.RootFS.DiffIDs))
	}
	i := &image{name: digest}
	for n, file := range files {
		if _, err := blob(c.RootFS.DiffIDs[n]); err != nil {
			return nil, err
		}
		i.layers = append(i.layers, layer{file, c.RootFS.DiffIDs[n]})
	}
	return i, nil
}

// maxNested is how deep indexes may be in one another: buildx has two.
const maxNested = 4

// ofIndex returns the images of an index, and of those that are in it.
func ofIndex(from files, name, digest string, depth int) ([]candidate, error) {
	if depth > maxNested {
		return nil, errors.New("indexes are too deep in one another")
	}
	var index document
	if err := read(from, name, digest, &index); err != nil {
		return nil, err
	}
	var all []candidate
	for _, d := range index.Manifests {
		if d.Annotations["vnd.docker.reference.type"] != "" {
			continue // what BuildKit attests of an image
		}
		found, err := ofDescriptor(from, d, depth)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func ofDescriptor(from files, d descriptor, depth int) ([]candidate, error) {
	name, err := blob(d.Digest)
	if err != nil {
		return nil, err
	}
	load := func() (*image, error) { return ofManifest(from, name, d.Digest) }
	if d.Platform != nil && d.Platform.Architecture != "" {
		return []candidate{{*d.Platform, d.Digest, load}}, nil // its files need not be there
	}
	var doc document
	if err := read(from, name, d.Digest, &doc); err != nil {
		return nil, err
	}
	if len(doc.Manifests) > 0 {
		return ofIndex(from, name, d.Digest, depth+1)
	}
	configFile, err := blob(doc.Config.Digest)
	if err != nil {
		return nil, err
	}
	var c config
	if err := read(from, configFile, doc.Config.Digest, &c); err != nil {
		return nil, err
	}
	return []candidate{{c.platform, d.Digest, load}}, nil
}

func ofManifest(from files, name, digest string) (*image, error) {
	var manifest document
	if err := read(from, name, digest, &manifest); err != nil {
		return nil, err
	}
	configFile, err := blob(manifest.Config.Digest)
	if err != nil {
		return nil, err
	}
	var c config
	if err := read(from, configFile, manifest.Config.Digest, &c); err != nil {
		return nil, err
	}
	var names []string
	for _, l := range manifest.Layers {
		name, err := blob(l.Digest)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return c.image(digest, names)
}

// choose returns the image for a platform; if none is asked for, that for the host, or
// the only one.
func choose(all []candidate, asked string, from files) (*candidate, error) {
	wanted := asked
	if wanted == "" {
		wanted = runtime.GOARCH
	}
	arch, err := elfmagic.Lookup(wanted)
	if err != nil {
		return nil, err
	}
	for n := len(all) - 1; n >= 0; n-- { // the first of each stays
		if slices.ContainsFunc(all[:n], func(c candidate) bool { return c.id == all[n].id }) {
			all = slices.Delete(all, n, n+1)
		}
	}
	there := slices.DeleteFunc(slices.Clone(all), func(c candidate) bool { return !c.isThere(from) })
	if len(there) == 0 {
		there = all // a damaged one: what is missing is said when it is read
	}
	fit := fitting(there, arch, asked)
	switch {
	case len(fit) == 1, len(fit) > 1 && fit[0].platform != fit[1].platform:
		return &fit[0], nil
	case len(fit) > 1:
		return nil, cli.WithHint(fmt.Errorf("it has several images for %s", fit[0].platform), "save one of them alone")
	}
	known := slices.DeleteFunc(slices.Clone(there), func(c candidate) bool { return c.platform.arch() == nil })
	switch {
	case asked == "" && len(known) == 1: // others are for Windows, or what was said of it
		return &known[0], nil
	case asked == "" && len(there) == 1:
		return &there[0], nil
	}
	return nil, noImage(all, there, arch, asked)
}

// noImage says for which platforms there are images, as there is none for the one that is wanted.
func noImage(all, there []candidate, arch *elfmagic.Arch, asked string) error {
	what := arch.Platform()
	if variant := askedVariant(asked); variant != "" {
		what = path.Join("linux", arch.GOARCH, variant)
	}
	err := fmt.Errorf("it has no image for %s", what)
	if named := fitting(all, arch, asked); len(named) > 0 {
		err = fmt.Errorf("it has not all files of its image for %s", named[0].platform)
	}
	var has []string
	for _, c := range there {
		if c.platform.Architecture != "" { // a signature has none
			has = append(has, c.platform.String())
		}
	}
	if len(has) == 0 {
		return err
	}
	slices.Sort(has)
	return cli.WithHint(fmt.Errorf("%w, but for %s", err, strings.Join(slices.Compact(has), ", ")), "--platform chooses one of these")
}

// fitting returns the images for an architecture, or for the variant of it that is asked for, the
// one that is to be taken first.
func fitting(all []candidate, arch *elfmagic.Arch, asked string) []candidate {
	fit := slices.DeleteFunc(slices.Clone(all), func(c candidate) bool { return c.platform.arch() != arch })
	variant := askedVariant(asked)
	exact := slices.DeleteFunc(slices.Clone(fit), func(c candidate) bool { return !strings.EqualFold(c.platform.Variant, variant) })
	if variant != "" && len(exact) > 0 {
		return exact
	}
	most := level(arch, variant)
	if variant != "" {
		fit = slices.DeleteFunc(fit, func(c candidate) bool { return level(arch, c.platform.Variant) > most })
	}
	// The newest that was asked for, and of arm's, which the emulator can do. Else, as amd64 has
	// several, that which each CPU can, and which has none.
	slices.SortStableFunc(fit, func(a, b candidate) int {
		order := cmp.Or(level(arch, a.platform.Variant)-level(arch, b.platform.Variant), strings.Compare(a.platform.Variant, b.platform.Variant))
		if arch.GOARCH == "arm" || variant != "" {
			order = -order
		}
		return order
	})
	return fit
}

// askedVariant returns the variant that a name of a platform has in it, or nothing: linux/arm/v6,
// arm/6, armv6l, arm32v6. Debian's armel and armhf are what containerd takes them for.
func askedVariant(asked string) string {
	name := strings.ToLower(strings.TrimSpace(asked))
	last := name[strings.LastIndexByte(name, '/')+1:]
	if len(last) == 1 {
		return "v" + last
	}
	if _, err := elfmagic.Lookup(last); err != nil && last != name {
		return last
	}
	for _, prefix := range []string{"arm32v", "arm64v", "armv"} {
		if digits, ok := strings.CutPrefix(last, prefix); ok && digits != "" {
			return "v" + digits[:1]
		}
	}
	switch {
	case last == "armel", strings.HasSuffix(last, "-linux-gnueabi"):
		return "v6"
	case last == "armhf", strings.HasSuffix(last, "-linux-gnueabihf"):
		return "v7"
	}
	return ""
}

// level returns a variant as a number, of which a CPU of a higher one can do what one of a lower one
// can: v8.2 is 82. What is no number is none.
func level(arch *elfmagic.Arch, variant string) int {
	if variant == "" {
		variant = map[string]string{"arm": "v7", "arm64": "v8", "amd64": "v1"}[arch.GOARCH]
	}
	major, minor := 0, 0
	_, _ = fmt.Sscanf(strings.ToLower(variant), "v%d.%d", &major, &minor)
	return 10*major + minor
}

// unpack unpacks the layers of an image into a tree.
func (i *image) unpack(ctx context.Context, from files, to *tree) error {
	for n, l := range i.layers {
		if err := l.unpack(ctx, from, to); err != nil {
			return fmt.Errorf("layer %d of %d: %w", n+1, len(i.layers), err)
		}
	}
	return nil
}

func (l layer) unpack(ctx context.Context, from files, to *tree) error {
	f, err := from.open(l.file)
	if err != nil {
		return err
	}
	defer f.Close()
	stream, _, err := decompress(ctx, f)
	if err != nil {
		return err
	}
	defer stream.Close()
	digest, err := to.unpack(ctx, stream, true)
	if err == nil && digest != l.digest {
		err = errors.New("its content is not that of its digest: it is damaged")
	}
	return err
}

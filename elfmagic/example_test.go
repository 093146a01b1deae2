package elfmagic_test

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/projectcalico/go-build/elfmagic"
)

func ExampleLookup() {
	for _, name := range []string{"linux/arm64", "armhf", "ppc64le", "qemu-s390x-static"} {
		arch, err := elfmagic.Lookup(name)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(arch.Name, arch.Platform())
	}
	// Output:
	// aarch64 linux/arm64
	// arm linux/arm/v7
	// ppc64le linux/ppc64le
	// s390x linux/s390x
}

func ExampleLookup_unknown() {
	_, err := elfmagic.Lookup("amr64")
	fmt.Println(err)
	var unknown *elfmagic.UnknownArchError
	if errors.As(err, &unknown) {
		fmt.Println(unknown.Name)
	}
	// Output:
	// unknown architecture "amr64"
	// amr64
}

func ExampleArch_Pattern() {
	arch, err := elfmagic.Lookup("riscv64")
	if err != nil {
		fmt.Println(err)
		return
	}
	pattern := arch.Pattern()
	fmt.Printf("offset %d\nmagic  % x\nmask   % x\n", pattern.Offset, pattern.Magic, pattern.Mask)
	fmt.Println(pattern.Match([]byte("#!/bin/sh\n")))
	// Output:
	// offset 0
	// magic  7f 45 4c 46 02 01 01 00 00 00 00 00 00 00 00 00 02 00 f3 00
	// mask   ff ff ff ff ff ff ff 00 00 ff ff ff ff ff ff ff fe ff ff ff
	// false
}

func ExampleIdentify() {
	// Any io.ReaderAt will do: an *os.File, most often.
	file := bytes.NewReader([]byte("\x7fELF\x02\x02\x01" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
		"\x00\x02\x00\x16" + "\x00\x00\x00\x01" + string(make([]byte, 40))))
	header, err := elfmagic.Identify(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(header.Arch, header.Arch.Platform(), header.Class, header.Data, header.Type)
	// Output: s390x linux/s390x ELFCLASS64 ELFDATA2MSB ET_EXEC
}

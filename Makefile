# What one can do here. CI runs nothing else.

GO      ?= go
BIN     := bin
HOSTS   := amd64 arm64 ppc64le s390x riscv64
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# Images: for which architecture, and what their names begin with.
ARCH       ?= $(shell $(GO) env GOHOSTARCH)
REPOSITORY ?= calico
# What base-image has made is used where it is there, else Debian's own image.
BASE_IMAGE ?= $(shell docker image inspect --format '{{index .RepoTags 0}}' $(REPOSITORY)/base:latest-$(ARCH) 2>/dev/null || echo debian:stable-slim)

# Which emulators are registered, and go into images and single files: debian,
# built (by emulators), or a directory. Those that were built are used where they
# are there.
EMULATORS ?=
BUILT := $(BIN)/emulators
ifneq ($(EMULATORS),)
ifeq ($(filter debian built,$(EMULATORS))$(wildcard $(EMULATORS)/.),)
$(error EMULATORS=$(EMULATORS): there are debian, built, and directories. Hint: make emulators builds them, make debian-emulators installs Debian's)
endif
endif

# Static, and the same bytes wherever they are built from the same source.
export CGO_ENABLED := 0
GOFLAGS_BUILD := -trimpath -buildvcs=false -ldflags '-s -w -X github.com/projectcalico/go-build/internal/cli.linked=$(VERSION)'

SCRIPTS := .ci/run image/base/install-tools image/entrypoint image/gobuild/check-versions image/install-emulators image/install-packages image/qemu/install-tools tests/gobuild/install-tools tests/install-tools tests/kernels/install-tools

# Registering takes root; sudo is used where that is missing.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

FUZZTIME ?= 30s
FUZZ     := elfmagic:FuzzIdentify elfmagic:FuzzMatch elfmagic:FuzzLookup binfmt:FuzzEntry binfmt:FuzzFlags binfmt:FuzzConf internal/cli:FuzzUnknownNames

ACTIONLINT  := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 18

.PHONY: build
build: ## build register and crossrun for this machine, into bin/
	@$(GO) build $(GOFLAGS_BUILD) -o $(BIN)/ ./cmd/...
	@ls $(BIN)/register $(BIN)/crossrun

.PHONY: register
register: build present-emulators ## build, get emulators if there are none, register, show what runs (root)
	@$(SUDO) $(BIN)/register $(USE)

.PHONY: emulators
emulators: ## build QEMU's static emulators for hosts of ARCH, all or TARGETS="aarch64 s390x" (root, for clang; forty minutes for all)
	@image/qemu/install-tools
	@$(GO) run ./image/emulators -host $(ARCH) $(if $(filter yes,$(UPDATE)),-update) $(TARGETS)

.PHONY: debian-emulators
debian-emulators: ## install Debian's static emulators, if there are none (root)
	@image/install-emulators

# What register is told, and what has to be there before: those that were built
# lie beside the command, which looks there first.
HOSTARCH = $(shell $(GO) env GOHOSTARCH)
ifeq ($(EMULATORS),debian)
USE = --qemu-path /usr/bin
else ifeq ($(EMULATORS),built)
USE = --qemu-path $(CURDIR)/$(BUILT)/$(HOSTARCH)
else ifneq ($(EMULATORS),)
USE = --qemu-path $(abspath $(EMULATORS))
endif
.PHONY: present-emulators
present-emulators:
	@case "$(EMULATORS):$$(ls $(BUILT)/$(HOSTARCH)/manifest.json 2>/dev/null)" in \
	built:?*) ;; \
	built:) echo "make: error: EMULATORS=built, and no emulators in $(BUILT)/$(HOSTARCH)" >&2; echo "make: hint: make emulators builds them" >&2; exit 1 ;; \
	:?*|/*:*|.*:*|?*/*:*) ;; \
	*) image/install-emulators ;; \
	esac

.PHONY: test
test: test-tools ## install what the tests need, and run them all, with Linux's own binfmt_misc left as it is
	$(GO) vet ./...
	$(GO) test -count=1 ./...

.PHONY: test-kernels
test-kernels: ## try register on other kernels and hosts, in virtual machines (a few minutes)
	@tests/kernels/install-tools
	TEST_KERNELS=1 $(GO) test -count=1 -v -parallel 2 -timeout 80m ./tests/kernels

.PHONY: test-rootfs
test-rootfs: debian-emulators ## try crossrun with Debian systems of other architectures, as an ordinary user (root makes them; some minutes)
	@image/base/install-tools
	TEST_ROOTFS=1 $(GO) test -count=1 -v -timeout 60m ./tests/rootfs

# Emulators to be judged beside stock ones: a directory of qemu-TARGET-static.
# STOCK are directories of those, with colons between them, or Debian's.
PROVE ?= $(BUILT)/$(HOSTARCH)
PLAIN := $(BIN)/emulators-plain
STOCK ?= $(if $(wildcard $(PLAIN)/$(HOSTARCH)/manifest.json),$(abspath $(PLAIN)/$(HOSTARCH)):/usr/bin)

.PHONY: plain-emulators
plain-emulators: ## build emulators of the same source without our patches and optimisation, to compare with (a quarter of an hour)
	@image/qemu/install-tools
	@$(GO) run ./image/emulators -plain -host $(HOSTARCH) $(TARGETS)

.PHONY: test-emulators
test-emulators: test-tools ## see that the emulators in PROVE do what those in STOCK do: QEMU's tests, Go's, programs, systems; and run our tests with them (an hour)
	@image/base/install-tools
	TEST_EMULATORS=$(abspath $(PROVE)) STOCK=$(STOCK) $(GO) test -count=1 -v -parallel 2 -timeout 12h ./tests/emulators $(TESTFLAGS)
	GO_BUILD_EMULATORS=$(abspath $(PROVE)) $(GO) test -count=1 ./tests

.PHONY: test-images
test-images: ## try the images to register from, in containers, with this machine's kernel (root, Docker; some minutes)
	@image/base/install-tools
	TEST_IMAGES=1 $(GO) test -count=1 -v -timeout 60m ./tests/images

.PHONY: test-image
test-image: image ## build the go-build image for ARCH and try all that is in it, in containers (Docker; the first time half an hour)
	@tests/gobuild/install-tools
	TEST_IMAGE=$(REPOSITORY)/go-build:latest-$(ARCH) $(GO) test -count=1 -v -timeout 60m ./tests/gobuild

.PHONY: test-image-core
test-image-core: base-image ## build the core of the go-build image for ARCH and try it: a few minutes (root, Docker)
	@tests/gobuild/install-tools
	@$(GO) run ./image/gobuild -emulators '$(EMULATORS)' -core -arch $(ARCH) -base $(REPOSITORY)/base:latest-$(ARCH) -repository $(REPOSITORY)
	TEST_IMAGE=$(REPOSITORY)/go-build:core-$(ARCH) $(GO) test -count=1 -v -timeout 20m ./tests/gobuild

.PHONY: test-tools
test-tools: debian-emulators ## install the compilers and tools that the tests need, as far as they are missing (root)
	@tests/install-tools

.PHONY: register-image
register-image: ## build the images to register from, for ARCH (Docker; default: this machine's): qemu-user-static, binfmt
	@$(GO) run ./image/registerimage -emulators '$(EMULATORS)' -arch $(ARCH) -repository $(REPOSITORY)

# Package scripts of a foreign ARCH run in its images: it is registered here.
.PHONY: runnable
runnable:
	@[ $(ARCH) = "$$($(GO) env GOHOSTARCH)" ] || { $(MAKE) --no-print-directory build present-emulators && $(SUDO) $(BIN)/register $(USE) $(ARCH); }

.PHONY: image
image: runnable ## build the go-build image for ARCH, from BASE_IMAGE (Docker)
	@$(GO) run ./image/gobuild -emulators '$(EMULATORS)' -arch $(ARCH) -base $(BASE_IMAGE) -repository $(REPOSITORY)

.PHONY: image-all
image-all: ## build the go-build images for all architectures (Docker; an hour or two, the first time)
	@set -e; for arch in $$($(GO) run ./image/version architectures); do \
		$(MAKE) --no-print-directory $(if $(filter yes,$(BASE)),base-image) image ARCH=$$arch; \
	done

.PHONY: base-image
base-image: runnable ## make a base image for ARCH from Debian's packages, for machines without a registry (root, Docker)
	@image/base/install-tools
	@$(GO) run ./image/base -arch $(ARCH) -tag $(REPOSITORY)/base:latest-$(ARCH)

.PHONY: push
push: ## push the go-build image for ARCH to REGISTRY (Docker, and its credentials)
	@$(GO) run ./image/publish -registry "$(REGISTRY)" -repository $(REPOSITORY) push $(ARCH)

.PHONY: manifest
manifest: ## join the images for ARCHS (default: all) that REGISTRY has into one image for all (no Docker)
	@$(GO) run ./image/publish -registry "$(REGISTRY)" -repository $(REPOSITORY) manifest $(ARCHS)

.PHONY: tag
tag: ## print the go-build image's tag for ARCH
	@$(GO) run ./image/version tag $(ARCH)

.PHONY: branch-name
branch-name: ## print the name of the branch for the versions in image/versions.yaml
	@$(GO) run ./image/version branch-name

.PHONY: bench
bench: DIST_HOSTS = $(shell $(GO) env GOHOSTARCH)
bench: build dist ## time parsing, register and crossrun, side by side with the tools that people know
	$(GO) test -run '^$$' -bench . -benchmem ./elfmagic ./binfmt
	$(GO) run ./tests/bench
	@[ ! -e $(PROVE)/manifest.json ] || $(GO) run ./tests/emulatorbench -emulators built=$(PROVE) $(BENCHFLAGS)

.PHONY: bench-emulators
bench-emulators: test-tools ## time the emulators in PROVE beside Debian's (BENCHFLAGS="-targets aarch64,s390x"), write docs/emulators.*
	$(GO) run ./tests/emulatorbench -emulators built=$(PROVE) -json dist/emulators.json -markdown docs/emulators.md $(BENCHFLAGS)
	cd tests/emulatorbench/plot && $(GO) run . -in $(CURDIR)/dist/emulators.json -out $(CURDIR)/docs/emulators.svg

.PHONY: fuzz
fuzz: ## fuzz each parser for FUZZTIME (default 30s)
	@set -e; for f in $(FUZZ); do $(GO) test ./$${f%%:*} -run '^$$' -fuzz "^$${f##*:}\$$" -fuzztime $(FUZZTIME); done

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, actionlint; shellcheck if it is there
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "not formatted, run gofmt -w: $$files"; exit 1; }
	$(GO) vet ./...
	cd tests/emulatorbench/plot && $(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	@$(GO) mod tidy -diff
	$(GO) run $(ACTIONLINT)
	@if command -v shellcheck >/dev/null; then shellcheck $(SCRIPTS); else echo "shellcheck is not installed: scripts not checked"; fi

DIST_HOSTS ?= amd64 arm64

.PHONY: dist
dist: ## build both commands with the emulators inside, single files for DIST_HOSTS (amd64 arm64), into dist/
	@set -e; for arch in $(DIST_HOSTS); do $(GO) run ./image/dist -arch $$arch -emulators "$(EMULATORS)"; done

.PHONY: cross
cross: ## build both commands for every host architecture, into dist/
	@set -e; for arch in $(HOSTS); do \
		GOOS=linux GOARCH=$$arch $(GO) build $(GOFLAGS_BUILD) -o dist/$$arch/ ./cmd/...; ls dist/$$arch/*; \
	done

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BIN) dist

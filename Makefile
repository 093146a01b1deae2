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

# Static, and the same bytes wherever they are built from the same source.
export CGO_ENABLED := 0
GOFLAGS_BUILD := -trimpath -buildvcs=false -ldflags '-s -w -X github.com/projectcalico/go-build/internal/version.linked=$(VERSION)'

SCRIPTS := .ci/run image/entrypoint image/gobuild/check-versions image/install-emulators image/install-packages tests/install-tools tests/images/install-tools tests/kernels/install-tools

# Registering takes root; sudo is used where that is missing.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

FUZZTIME ?= 30s
FUZZ     := elfmagic:FuzzIdentify elfmagic:FuzzMatch elfmagic:FuzzLookup binfmt:FuzzEntry binfmt:FuzzFlags

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 16

.PHONY: build
build: ## build register and crossrun for this machine, into bin/
	@$(GO) build $(GOFLAGS_BUILD) -o $(BIN)/ ./cmd/...
	@ls $(BIN)/register $(BIN)/crossrun

.PHONY: register
register: build emulators ## build, get emulators if there are none, register, show what runs (root)
	@$(SUDO) $(BIN)/register

.PHONY: emulators
emulators: ## install Debian's static emulators, if there are none (root)
	@image/install-emulators

.PHONY: test
test: test-tools ## install what the tests need, and run them all, with Linux's own binfmt_misc left as it is
	$(GO) vet ./...
	$(GO) test -count=1 ./...

.PHONY: test-kernels
test-kernels: ## try register on other kernels and hosts, in virtual machines (a few minutes)
	@tests/kernels/install-tools
	TEST_KERNELS=1 $(GO) test -count=1 -v -parallel 2 -timeout 80m ./tests/kernels

.PHONY: test-images
test-images: ## try the images to register from, in containers, with this machine's kernel (root, Docker; some minutes)
	@tests/images/install-tools
	TEST_IMAGES=1 $(GO) test -count=1 -v -timeout 60m ./tests/images

.PHONY: test-tools
test-tools: emulators ## install the compilers and tools that the tests need, as far as they are missing (root)
	@tests/install-tools

.PHONY: register-image
register-image: ## build the images to register from, for ARCH (Docker; default: this machine's): qemu-user-static, binfmt
	@$(GO) run ./image/registerimage -arch $(ARCH) -repository $(REPOSITORY)

.PHONY: image
image: ## build the go-build image for ARCH, from BASE_IMAGE (Docker)
	@$(GO) run ./image/gobuild -arch $(ARCH) -base $(BASE_IMAGE) -repository $(REPOSITORY)

.PHONY: base-image
base-image: ## make a base image for ARCH from Debian's packages, for machines without a registry (root, Docker)
	@$(GO) run ./image/base -arch $(ARCH) -tag $(REPOSITORY)/base:latest-$(ARCH)

.PHONY: tag
tag: ## print the go-build image's tag for ARCH
	@$(GO) run ./image/version tag $(ARCH)

.PHONY: branch-name
branch-name: ## print the name of the branch for the versions in image/versions.yaml
	@$(GO) run ./image/version branch-name

.PHONY: bench
bench: build ## time parsing, register and crossrun, side by side with the tools that people know
	$(GO) test -run '^$$' -bench . -benchmem ./elfmagic ./binfmt
	$(GO) run ./tests/bench

.PHONY: fuzz
fuzz: ## fuzz each parser for FUZZTIME (default 30s)
	@set -e; for f in $(FUZZ); do $(GO) test ./$${f%%:*} -run '^$$' -fuzz "^$${f##*:}\$$" -fuzztime $(FUZZTIME); done

.PHONY: lint
lint: ## gofmt, go vet, staticcheck; shellcheck if it is there
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "not formatted, run gofmt -w: $$files"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	@$(GO) mod tidy -diff
	@if command -v shellcheck >/dev/null; then shellcheck $(SCRIPTS); else echo "shellcheck is not installed: scripts not checked"; fi

.PHONY: cross
cross: ## build both commands for every host architecture, into dist/
	@set -e; for arch in $(HOSTS); do \
		GOOS=linux GOARCH=$$arch $(GO) build $(GOFLAGS_BUILD) -o dist/$$arch/ ./cmd/...; ls dist/$$arch/*; \
	done

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BIN) dist

#!/bin/sh
# Installs crossrun and register, single files with all emulators inside, from a
# release: what is downloaded is what the release's checksums say, or nothing is
# installed.
#
#   install.sh [VERSION]
#
# FROM is where releases are (a directory, too), TO where the commands go.
set -eu

version=${1:-latest}
from=${FROM:-https://github.com/projectcalico/go-build/releases}
fail() {
	echo "install.sh: error: $1" >&2
	echo "install.sh: hint: $2" >&2
	exit 1
}
if [ "$(id -u)" = 0 ]; then to=${TO:-/usr/local/bin}; else to=${TO:-${HOME:+$HOME/.local/bin}}; fi
[ -n "$to" ] || fail "HOME is not set" "name a directory for the commands: TO=DIRECTORY"

[ "$(uname -s)" = Linux ] || fail "this is $(uname -s)" "only Linux has binfmt_misc"
case $(uname -m) in
x86_64) host=amd64 ;;
aarch64 | arm64) host=arm64 ;;
ppc64le | s390x | riscv64) host=$(uname -m) ;;
*) fail "there is no release for hosts of $(uname -m)" "build it: go install github.com/projectcalico/go-build/cmd/...@latest" ;;
esac
case $from in
/*) base=$from ;;
https://*)
	case $version in
	latest) base=$from/latest/download ;;
	*) base=$from/download/$version ;;
	esac
	;;
*) fail "FROM is $from" "it names a directory, by its whole path, or begins with https://" ;;
esac
for command in crossrun register; do
	[ ! -d "$to/$command" ] || fail "$to/$command is a directory" "name another one for the commands: TO=DIRECTORY"
done

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM # some shells end of these without the other
fetch() {
	case $base in
	/*) cp "$base/$1" "$dir/$1" ;;
	*)
		if command -v curl >/dev/null; then
			curl -fsSL --proto '=https' -o "$dir/$1" "$base/$1"
		else
			wget -q -O "$dir/$1" "$base/$1"
		fi
		;;
	esac || fail "cannot get $base/$1" "see that the release has it, and that it can be reached"
}
fetch SHA256SUMS
for command in crossrun register; do
	file=$command-linux-$host
	fetch "$file"
	sum=$(sed -n "s/^\([0-9a-f]\{64\}\)  $file\$/\1/p" "$dir/SHA256SUMS")
	[ -n "$sum" ] || fail "SHA256SUMS does not name $file" "the release is incomplete: choose another version"
	echo "$sum  $dir/$file" | sha256sum -c - >/dev/null 2>&1 || fail "$file is not what SHA256SUMS says" "download it again; if it stays so, say so in an issue"
done
if ! mkdir -p "$to" || [ ! -w "$to" ]; then
	fail "cannot write to $to" "call this as root, or name another directory: TO=DIRECTORY"
fi
for command in crossrun register; do
	# Never half of it under its name.
	cp "$dir/$command-linux-$host" "$to/.$command.new"
	chmod 755 "$to/.$command.new"
	mv "$to/.$command.new" "$to/$command"
done
said=$("$to/crossrun" --version) || fail "$to/crossrun does not run" "is its file system mounted noexec? name another directory: TO=DIRECTORY"
echo "$said" | head -n 1
case :$PATH: in *":$to:"*) ;; *) echo "install.sh: $to is not in PATH" >&2 ;; esac

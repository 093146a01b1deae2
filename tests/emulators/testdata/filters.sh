# One of a packet filter's commands, of NATIVE and of FOREIGN, in a network of its own.
native() {
	local program=$1; shift
	XTABLES_LIBDIR=$NATIVE/usr/lib/x86_64-linux-gnu/xtables "$NATIVE/lib64/ld-linux-x86-64.so.2" --library-path \
		"$NATIVE/lib/x86_64-linux-gnu:$NATIVE/usr/lib/x86_64-linux-gnu" --argv0 "${argv0:-$program}" "$NATIVE/$program" "$@"
}
foreign() {
	local program=$1; shift
	"$EMULATOR" -L "$FOREIGN" -0 "${argv0:-$program}" "$FOREIGN/$program" "$@"
}
iptables=usr/sbin/xtables-nft-multi
case $1 in
nft)
	native usr/sbin/nft list ruleset || { echo "unsupported: nf_tables"; exit; }
	foreign usr/sbin/nft -f -
	native usr/sbin/nft list ruleset
	foreign usr/sbin/nft list ruleset
	;;
iptables)
	argv0=iptables
	native $iptables -S >/dev/null || { echo "unsupported: nf_tables"; exit; }
	while read -r line; do
		eval "set -- $line"
		foreign $iptables "$@"
	done
	native $iptables -S
	foreign $iptables -S
	;;
refused)
	argv0=iptables
	native $iptables -A INPUT -m statistic --mode random --probability 0.5 -j ACCEPT || { echo "unsupported: statistic"; exit; }
	native $iptables -F
	foreign $iptables -A INPUT -m statistic --mode random --probability 0.5 -j ACCEPT 2>/dev/null || echo refused
	native $iptables -S INPUT | grep -v '^-P' || true
	;;
ipset)
	native usr/sbin/ipset create probe hash:ip || { echo "unsupported: ipset"; exit; }
	native usr/sbin/ipset destroy probe
	foreign usr/sbin/ipset create s hash:ip timeout 100
	foreign usr/sbin/ipset add s 1.2.3.4 timeout 99
	native usr/sbin/ipset list s | grep '^1\.2'
	;;
xfrm)
	native bin/ip xfrm policy || { echo "unsupported: XFRM"; exit; }
	foreign bin/ip xfrm policy add src 10.0.0.1 dst 10.0.0.2 dir out priority 7 tmpl src 1.1.1.1 dst 2.2.2.2 proto esp reqid 77 mode tunnel
	native bin/ip xfrm policy
	foreign bin/ip xfrm policy
	;;
esac

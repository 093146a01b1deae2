package emulators

import (
	_ "embed"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
)

const filterPackages = "nftables iptables ipset iproute2 base-files base-passwd dash"

// filterRules are rules that compute with what has the kernel's byte order, and with what
// has the network's.
const filterRules = `table inet f {
	set bad {
		type ipv4_addr
		flags interval
		elements = { 10.0.0.0/8, 192.168.1.1 }
	}

	set ports {
		type inet_service
		elements = { 22, 80 }
	}

	set marks {
		type mark
		elements = { 0x00000007, 0x00000900 }
	}

	map marking {
		type ipv4_addr : mark
		elements = { 10.0.0.1 : 0x00000012, 10.0.0.2 : 0x00000034 }
	}

	chain input {
		type filter hook input priority filter; policy accept;
		ct state established,related accept
		ct state invalid drop
		meta mark 0x00000123 counter packets 0 bytes 0 drop
		ct state vmap { invalid : drop, established : accept, related : accept }
		meta mark @marks accept
		meta mark set ip saddr map @marking
		ip saddr @bad log prefix "x " drop
		tcp dport @ports accept
		tcp dport 1000-2000 counter packets 0 bytes 0
		meta mark set 0x00000042
		ct mark set meta mark
		iifname "lo" accept
		ip daddr 127.0.0.2 tcp dport 80 reject with tcp reset
	}

	chain nat {
		type nat hook prerouting priority dstnat; policy accept;
		tcp dport 8080 dnat ip to 127.0.0.1:80
	}
}
`

// filterCommands are of iptables, each what "iptables -S" says afterwards.
var filterCommands = []string{
	`-A INPUT -s 10.1.2.3/32 -j DROP`,
	`-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT`,
	`-A INPUT -m comment --comment "hi there" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
	`-A INPUT -m addrtype --dst-type LOCAL -m mark --mark 0x4000/0x4000 -j DROP`,
	`-A INPUT -p tcp -j REJECT --reject-with tcp-reset`,
	`-A OUTPUT -j NFLOG --nflog-prefix hi --nflog-group 5`,
	`-A OUTPUT -p udp -m multiport --dports 53,5353 -j ACCEPT`,
}

//go:embed testdata/filters.sh
var filterScript string

// What programs of the other byte order tell the kernel of packets is what the kernel tells
// a native one of it, and what they are told (by-netfilter.patch).
func TestPacketFilters(t *testing.T) {
	s := setup(t)
	const port = "s390x"
	arch, err := elfmagic.Lookup(port)
	require.NoError(t, err)
	judged, err := s.judged.Find(arch)
	if err != nil {
		t.Skip(err)
	}
	if !judged.HandsOn() {
		t.Skipf("%s is not of ours: %s", judged.Path, judged.Version)
	}
	roots := unpackedRoots(t, s, "filters", port, filterPackages)
	run := func(t *testing.T, what, stdin string) string {
		cmd := command(t.Context(), s.work, []string{"NATIVE=" + roots[true], "FOREIGN=" + roots[false], "EMULATOR=" + judged.Path},
			"unshare", "-Urn", "bash", "-ec", filterScript, "bash", what)
		cmd.Stdin = strings.NewReader(stdin)
		cmd.WaitDelay = time.Second
		out, err := cmd.CombinedOutput()
		if strings.Contains(string(out), "unsupported: ") {
			t.Skipf("%s", out)
		}
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	t.Run("nft", func(t *testing.T) {
		assert.Equal(t, filterRules+filterRules, run(t, "nft", filterRules))
	})
	t.Run("iptables", func(t *testing.T) {
		want := "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n" + strings.Join(filterCommands, "\n") + "\n"
		assert.Equal(t, want+want, run(t, "iptables", strings.Join(filterCommands, "\n")+"\n"))
	})
	t.Run("what is not known is refused", func(t *testing.T) {
		assert.Equal(t, "refused\n", run(t, "refused", ""))
	})
	t.Run("ipset", func(t *testing.T) {
		assert.Regexp(t, `^1\.2\.3\.4 timeout 9\d\n$`, run(t, "ipset", ""))
	})
	t.Run("ip xfrm", func(t *testing.T) {
		const policy = "src 10.0.0.1/32 dst 10.0.0.2/32 \n\tdir out priority 7 ptype main \n\ttmpl src 1.1.1.1 dst 2.2.2.2\n\t\tproto esp reqid 77 mode tunnel\n"
		assert.Equal(t, policy+policy, run(t, "xfrm", ""))
	})
}

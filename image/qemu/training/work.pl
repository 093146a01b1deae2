# Hashes, strings, sorting, regular expressions: what perl is started for.
use strict;
my (%seen, @lines);
for my $i (0 .. 3000) {
	my $key = "key" . ($i * 7919 % 1501);
	$seen{$key} .= chr(97 + $i % 26);
	push @lines, sprintf("%05d %s %x", $i, $key, $i * $i % 65521);
}
my $text = join(",", map { "$_=$seen{$_}" } sort keys %seen);
my $count = () = $text =~ /key(\d+)5=([a-m]+)/g;
$text =~ s/(\w+)=(\w)/$2:$1/g;
my @sorted = sort { substr($a, 6) cmp substr($b, 6) } @lines;
print length($text), " $count $sorted[11]\n";

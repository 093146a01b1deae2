# Hashes, regular expressions, sorting and formats.
use strict;
use warnings;

my (%count, @lines);
for my $i (0 .. 4000) {
    my $word = sprintf "w%03x", $i * 7919 % 1021;
    $count{$word}++;
    push @lines, "$i $word " . reverse($word);
}
my $text = join "\n", @lines;
my $n = () = $text =~ /\bw(\d+)[a-f]\b/g;
(my $changed = $text) =~ s/(\d+) w/<$1>/g;
my @top = (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0 .. 3];
my $sum = unpack "%32C*", $changed;
printf "%d %d %s %d\n", $n, length $changed, "@top", $sum;

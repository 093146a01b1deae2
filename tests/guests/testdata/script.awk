# Fields, associative arrays and regular expressions.
BEGIN {
	for (i = 0; i < 30000; i++) {
		line = sprintf("%d,%x,%s", i, i * 7919 % 4093, i % 7 ? "odd" : "seventh")
		n = split(line, f, ",")
		count[f[2] % 101] += f[1]
		if (line ~ /^[0-9]+5,.*[ace]+,seventh$/) hits++
		gsub(/[0-4]/, "#", line)
		marks += gsub(/#/, "", line)
	}
	m = asorti(count, keys)
	printf "%d %d %d %s %d %.6f\n", n, hits, marks, keys[m], count[keys[1]], atan2(hits, m)
}

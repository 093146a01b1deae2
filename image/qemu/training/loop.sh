# What a configure script does most: tests, substitutions, subshells. Whatever
# it would start is a program of the machine, so it starts none.
words='alpha beta gamma delta epsilon zeta eta theta iota kappa'
i=0 total=0
while [ "$i" -lt 400 ]; do
	for word in $words; do
		case $word in
		*eta) total=$((total + ${#word})) ;;
		[a-d]*) total=$((total + i % 7)) ;;
		*) rest=${word#?} total=$((total ^ ${#rest})) ;;
		esac
	done
	i=$((i + 1))
done
n=0
while [ "$n" -lt 10 ]; do
	part=$(echo "$n:$total" | (IFS=: read -r a b && echo "$((a + b))"))
	total=$((total + part % 3))
	n=$((n + 1))
done
echo "$total"

# Classes, closures, JSON, regular expressions, sorting and big numbers.
import hashlib
import json
import re
from collections import Counter


class Shape:
    def __init__(self, width, height):
        self.width, self.height = width, height

    def area(self):
        return self.width * self.height


shapes = [Shape(i % 97, i * 31 % 89) for i in range(15000)]
total = sum(s.area() for s in shapes)
records = [{"id": i, "name": "item-%d" % (i * 7919 % 5003), "tags": ["t%d" % (i % k) for k in (2, 3, 5)]} for i in range(3000)]
text = json.dumps(records, sort_keys=True)
back = json.loads(text)
back.sort(key=lambda r: (r["name"], -r["id"]))
found = re.findall(r'"item-(\d*?)7"', text)
counts = Counter(t for r in back for t in r["tags"])


def collatz(n):
    steps = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps


longest = max(range(1, 1500), key=collatz)
power = pow(3, 5000) % 10**40
print(total, len(found), sorted(counts.items())[:4], longest, power, back[0]["id"], hashlib.md5(text.encode()).hexdigest())

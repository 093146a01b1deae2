# Classes, dictionaries, regular expressions, JSON, recursion.
import hashlib
import json
import re


class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def length(self):
        return self.x * self.x + self.y * self.y


def depth(n):
    return n if n < 2 else depth(n - 1) + depth(n - 2)


points = [Point(i, i * 3 % 17) for i in range(4000)]
table = {"name%d" % i: [i, i / 4, "v" * (i % 9)] for i in range(1500)}
text = json.dumps(table, sort_keys=True)
back = json.loads(text)
names = sorted(back, key=lambda name: (back[name][2], name))
found = re.findall(r'"name(\d+)5": \[(\d+), ', text)
print(sum(p.length() for p in points), len(found), names[7], depth(15), hashlib.sha256(text.encode()).hexdigest()[:16])

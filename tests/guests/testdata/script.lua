-- Tables, strings, closures and floating point.
local function sieve(n)
  local composite, primes = {}, {}
  for i = 2, n do
    if not composite[i] then
      primes[#primes + 1] = i
      for j = i * i, n, i do composite[j] = true end
    end
  end
  return primes
end
local primes = sieve(60000)
local words = {}
for i = 1, 20000 do words[i] = string.format("%x-%d", i * 7919 % 10007, i % 13) end
table.sort(words)
local text, hits = table.concat(words, " "), 0
for _ in text:gmatch("(%x+)%-7") do hits = hits + 1 end
local function integrate(f, n) local s = 0.0 for i = 1, n do s = s + f(i / n) / n end return s end
print(#primes, primes[#primes], words[100], hits, string.format("%.9f", integrate(math.sin, 60000)))

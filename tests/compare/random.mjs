// Dice that fall the same way for the same seed (splitmix64).
const STEP = 0x9E3779B97F4A7C15n

function mix(z) {
  z = BigInt.asUintN(64, z)
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xBF58476D1CE4E5B9n)
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94D049BB133111EBn)
  return z ^ (z >> 31n)
}

export class Dice {
  // Scattered first: streams of neighbouring seeds would be the same one, a few steps apart.
  constructor(seed) { this.s = mix(BigInt(seed) * STEP + 0x1234567n) }

  next() {
    this.s = BigInt.asUintN(64, this.s + STEP)
    return Number(mix(this.s) >> 11n)
  }

  below(n) { return this.next() % n }
  between(from, to) { return from + this.below(to - from + 1) }
  chance(percent) { return this.below(100) < percent }
  pick(list) { return list[this.below(list.length)] }

  // Of [weight, thing] pairs.
  weighed(pairs) {
    let n = this.below(pairs.reduce((sum, [w]) => sum + w, 0))
    return pairs.find(([w]) => (n -= w) < 0)[1]
  }

  shuffled(list) {
    const all = [...list]
    for (let i = all.length - 1; i > 0; i--) {
      const k = this.below(i + 1);
      [all[i], all[k]] = [all[k], all[i]]
    }
    return all
  }

  some(list, least, most) { return this.shuffled(list).slice(0, this.between(least, Math.min(most, list.length))) }
  list(least, most, make) { return Array.from({ length: this.between(least, most) }, (_, i) => make(i)) }
}

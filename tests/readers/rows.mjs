// rows: values of tiles as JSON lines in one form, whoever read them. Integers keep all their digits
// (JSON has no limit there, only JavaScript's own parser), doubles always have a point or an
// exponent, NaN and the infinities are strings, times are nanoseconds.

export function double(v) {
  if (!Number.isFinite(v)) return `"${v}"`
  if (Object.is(v, -0)) return '-0.0'
  const s = String(v)
  return /[.e]/.test(s) ? s : s + '.0'
}

export function text(v) {
  if (v === null || v === undefined) return 'null'
  if (typeof v === 'bigint' || typeof v === 'boolean') return String(v)
  if (typeof v === 'number') return Number.isInteger(v) ? String(v) : double(v)
  return JSON.stringify(String(v))
}

// Numbers of a JSON line in this form, whatever form they had: 2.50 -> 2.5. Strings stay.
export function normal(line) {
  return line.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g,
    t => t[0] !== '"' && /[.eE]/.test(t) ? double(Number(t)) : t[0] === '"' ? JSON.stringify(JSON.parse(t)) : t)
}

// columns: [{name, kind: 'double' | 'micros' | other}]; row: values in that order. The ts_nanos
// columns go into the times they belong to.
export function line(columns, row) {
  const at = Object.fromEntries(columns.map((c, i) => [c.name, i]))
  const parts = []
  for (const [i, c] of columns.entries()) {
    let v = row[i]
    if (c.name.startsWith('ts_nanos')) continue
    if (v !== null && v !== undefined && c.kind === 'micros') {
      const rest = at[c.name === 'time' ? 'ts_nanos' : 'ts_nanos_' + c.name]
      v = BigInt(v) * 1000n + BigInt(rest === undefined ? 0 : row[rest])
    }
    const s = c.kind === 'double' && typeof v === 'number' ? double(v) : text(v)
    parts.push(JSON.stringify(c.name) + ':' + s)
  }
  return '{' + parts.join(',') + '}'
}

// check: do two systems give the same rows? Cells are compared by their meaning: times in ms, numbers to 1e-9.
import { createHash } from 'node:crypto'

// What is kept of an answer: its rows, or a digest of many.
export function keep(query, rows) {
  if (!query.exact || rows.length < 5000) return { rows: byKeys(rows, query.exact ? 99 : query.keys) }
  const hash = createHash('sha1')
  for (const l of rows.map(r => r.join('\t')).sort()) hash.update(l).update('\n')
  return { count: rows.length, digest: hash.digest('hex') }
}

const byKeys = (rows, n) => {
  const key = r => r.slice(0, n).join('\t')
  return rows.map(r => [key(r), r]).sort((a, b) => a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0).map(([, r]) => r)
}

const near = (a, b) => a === b || (typeof a === 'number' && Math.abs(a - b) <= 1e-9 * Math.max(Math.abs(a), Math.abs(b)))
const same = (a, b) => a.length === b.length && a.every((v, i) => near(v, b[i]))

// Whether two kept answers agree; `wanted` says which rows both systems can have.
export function agree(a, b, wanted = () => true) {
  if (a.digest || b.digest) return a.digest === b.digest && a.count === b.count
  const p = a.rows.filter(wanted), q = b.rows.filter(wanted)
  return p.length === q.length && p.every((r, i) => same(r, q[i]))
}

// In words, the rows that only one of two answers has.
export function difference(query, a, b, names) {
  const left = byKeys(a, query.exact ? 99 : query.keys), right = byKeys(b, query.exact ? 99 : query.keys)
  const key = r => r.slice(0, query.exact ? 99 : query.keys).join('\t')
  const alone = [[], []]
  for (let i = 0, k = 0; i < left.length || k < right.length;) {
    const p = left[i], q = right[k], kp = p && key(p), kq = q && key(q)
    if (p && q && kp === kq) {
      if (!same(p, q)) { alone[0].push(p); alone[1].push(q) }
      i++
      k++
    } else if (!q || (p && kp < kq)) { alone[0].push(p); i++ } else { alone[1].push(q); k++ }
  }
  return alone.map((rows, n) => `    ${[a, b][n].length} rows of ${names[n]}, ${rows.length} of them alone:` +
    rows.slice(0, 3).map(r => '\n      ' + r.join(' | ')).join('')).join('\n')
}

// Rows of an answer in ORDER BY must come in that order; null, or the first that does not.
export function disorder(query, rows) {
  if (!query.keys) return null
  for (let i = 1; i < rows.length; i++)
    for (let k = 0; k < query.keys; k++) {
      const a = rows[i - 1][k], b = rows[i][k], up = query.descending ? a > b : a < b
      if (up) break
      if (a !== b) return i
    }
  return null
}

// ---- cells ----------------------------------------------------------------------------------------------------------
const cells = {
  text: s => s,
  number: s => Number(s),
  time: s => Date.UTC(+s.slice(0, 4), +s.slice(5, 7) - 1, +s.slice(8, 10), +s.slice(11, 13), +s.slice(14, 16), +s.slice(17, 19)) + (s.length > 20 ? +s.slice(20, 23) : 0),
}

// CSV without a value that needs quotes inside; `skip` lines of header.
export function csvRows(text, types, skip = 1) {
  const parse = types.map(t => cells[t])
  return text.split('\n').slice(skip).filter(l => l).map(l => l.split(',').map((s, i) => parse[i](s[0] === '"' ? s.slice(1, -1) : s)))
}

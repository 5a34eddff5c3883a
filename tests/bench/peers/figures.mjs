// figures: medians, and tables in Markdown.
export const sorted = list => [...list].sort((a, b) => a - b)
export const quantile = (list, p) => {
  const s = sorted(list), at = p * (s.length - 1), i = Math.floor(at)
  return s.length ? s[i] + (at - i) * ((s[i + 1] ?? s[i]) - s[i]) : NaN
}
export const median = list => quantile(list, 0.5)
export const geomean = list => list.length ? Math.exp(list.reduce((sum, v) => sum + Math.log(v), 0) / list.length) : NaN

// Three digits are what a noisy machine can tell.
export function digits(v) {
  if (v === null || v === undefined || !Number.isFinite(v)) return '-'
  if (v >= 100) return Math.round(v).toLocaleString('en-US')
  return v >= 10 ? v.toFixed(1) : v >= 0.1 ? v.toFixed(2) : v.toFixed(3)
}
export const ratio = v => v === null || !Number.isFinite(v) ? '-' : v >= 100 ? v.toFixed(0) : v >= 10 ? v.toFixed(1) : v.toFixed(2)

// head: titles; rows: lists of texts and numbers. The first column is text, the others are right-aligned.
export function table(head, rows) {
  const text = [head, ...rows.map(r => r.map(c => typeof c === 'number' || c === null || c === undefined ? digits(c) : c))]
  const width = head.map((_, i) => Math.max(...text.map(r => r[i].length), 3))
  const line = r => '| ' + r.map((c, i) => i ? c.padStart(width[i]) : c.padEnd(width[i])).join(' | ') + ' |'
  return [line(text[0]), '| ' + width.map((w, i) => i ? '-'.repeat(w - 1) + ':' : '-'.repeat(w)).join(' | ') + ' |', ...text.slice(1).map(line)].join('\n')
}

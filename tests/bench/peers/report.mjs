// report: what was measured, as tables.
import { geomean, median, quantile, ratio, table, digits } from './figures.mjs'
import { fields, valuesOf } from './workload.mjs'

export function ingestTable(loads) {
  const whole = v => Math.round(v).toLocaleString('en-US')
  return table(['system', 'how', 'rows', 'rows/s', 'seconds', 'settled after, s', 'rows that wait then', 'peak memory, MiB'],
    [...loads].sort((a, b) => Boolean(b.stream) - Boolean(a.stream)).map(l =>
      [l.system, `${l.stream ? 'stream' : 'bulk'}: ${l.how}`, whole(l.rows), whole(l.rows / l.seconds), digits(l.seconds), l.settled ? digits(l.settled) : '-', l.waiting === undefined ? '-' : whole(l.waiting), l.peak ? whole(l.peak) : '-']))
}

// sizes: { int: Map(system: { bytes, rows: that are in them, unless all are }), float: ... }
export function storageTable(sizes, scale) {
  const names = [...new Set(Object.values(sizes).flatMap(m => [...m.keys()]))], kinds = ['int', 'float'].filter(k => sizes[k])
  const cell = v => v ? (v.bytes / (v.rows ? v.rows * fields.length : valuesOf(scale))).toFixed(3) : '-'
  const rows = names.map(n => [n, ...kinds.map(k => cell(sizes[k].get(n)))])
  rows.splice(1, 0, ['tidefs, all of its directory', ...kinds.map(k => cell({ bytes: sizes[k].get('tidefs').all }))])
  return table(['system', ...kinds.map(k => k === 'int' ? 'integers' : '2 decimals')], rows)
}

// The best spelling of each system counts; all are listed below.
const best = (forms, of = median) => forms ? Math.min(...forms.map(f => of(f.took))) : null
const least = list => Math.min(...list)

export function queryTables({ results }, systems) {
  const names = systems.map(s => s.name), peers = names.slice(1), families = [...new Set(systems.slice(1).map(s => s.family ?? s.name))]
  const rows = [], fastest = [], duck = [], each = new Map(peers.map(p => [p, []])), calm = new Map(peers.map(p => [p, []]))
  for (const { query, times, count } of results) {
    const mine = best(times.get('tidefs')), form = times.get('tidefs').find(f => median(f.took) === mine)
    const theirs = peers.map(p => best(times.get(p))), there = theirs.filter(v => v !== null)
    const quick = there.length ? Math.min(...there) / mine : NaN
    const ducks = systems.flatMap((s, i) => s.family === 'DuckDB' && theirs[i - 1] !== null ? [theirs[i - 1]] : [])
    const duckRatio = ducks.length ? Math.min(...ducks) / mine : NaN
    if (there.length) fastest.push(quick)
    if (ducks.length) duck.push(duckRatio)
    peers.forEach((p, i) => {
      if (theirs[i] === null) return
      each.get(p).push(theirs[i] / mine)
      calm.get(p).push(best(times.get(p), least) / best(times.get('tidefs'), least))
    })
    rows.push([query.name, String(count), mine, quantile(form.took, 0.95), ...theirs, ratio(quick), ratio(duckRatio)])
  }
  rows.push(['geometric mean of ratios', '', '', '', ...peers.map(p => ratio(geomean(each.get(p)))), ratio(geomean(fastest)), ratio(geomean(duck))])
  // Other work on the machine makes some runs longer, and the fastest one least.
  rows.push(['the same of the fastest runs', '', '', '', ...peers.map(p => ratio(geomean(calm.get(p)))), '', ''])
  let text = 'Median ms, p95 of tidefs, and how many times as long the fastest peer and DuckDB took (below 1: tidefs is slower):\n\n' +
    table(['query', 'rows', 'tidefs', 'p95', ...peers, 'fastest peer / tidefs', 'DuckDB / tidefs'], rows)
  const last = results.find(r => r.query.kind === 'last')
  if (last) {
    text += '\n\nThe last row of each host, ways to ask for it, median ms:\n\n' +
      table(['system', 'spelling', 'ms'], [...last.times].flatMap(([name, forms]) => forms.map(f => [name, f.spelling || '-', median(f.took)])))
  }
  return text
}

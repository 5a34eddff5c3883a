// node compare.mjs ASK: COUNT queries of the seed SEED, asked of tidefs (rows in memory; in tiles, with threads) and of
// DuckDB. ONLY=n asks the n-th alone and shows it. README.md says what is compared, and how.
import { Dice } from './random.mjs'
import { makeRows } from './data.mjs'
import { Duck, Tide } from './engines.mjs'
import { Queries } from './query.mjs'
import { print } from './tree.mjs'

const seed = Number(process.env.SEED || Math.floor(Math.random() * 1e9)), count = Number(process.env.COUNT || 600)
const only = process.env.ONLY ? Number(process.env.ONLY) : null, most = Number(process.env.MISMATCHES || 5)

// ---- the same rows? ---------------------------------------------------------------------------------------------
const sameCell = (a, b) => a === b || (a !== null && b !== null && near(Number(a), Number(b)))
// What is far below the values themselves is a rest of rounding: eighths up to 100, squares and products of two.
const near = (a, b) => a === b || Math.abs(a - b) <= 1e-12 * Math.max(Math.abs(a), Math.abs(b)) || Math.abs(a - b) < 1e-11
const key = (row, at) => at.map(i => row[i] === null ? '\0' : row[i] === '-0.0' ? '0.0' : row[i]).join('\x01')

// Rows that are in one of the lists alone; null where the lists are the same.
function difference(a, b, columns) {
  const exact = columns.map((c, i) => i).filter(i => !columns[i].inexact), rest = columns.map((c, i) => i).filter(i => columns[i].inexact)
  const sort = rows => rows.map(row => ({ row, key: key(row, exact) }))
    .sort((p, q) => p.key < q.key ? -1 : p.key > q.key ? 1 : rest.reduce((r, i) => r || Number(p.row[i] ?? -Infinity) - Number(q.row[i] ?? -Infinity), 0))
  const p = sort(a), q = sort(b), mine = [], theirs = []
  for (let i = 0, k = 0; i < p.length || k < q.length;) {
    const here = p[i], there = q[k]
    if (here && there && here.key === there.key && rest.every(c => sameCell(here.row[c], there.row[c]))) { i++; k++; continue }
    if (!there || (here && here.key <= there.key)) { mine.push(here.row); i++ }
    if (!here || (there && there.key <= here.key)) { theirs.push(there.row); k++ }
  }
  if (!mine.length && !theirs.length) return null
  const first = list => list.slice(0, 4).map(row => '\n      ' + show(row)).join('')
  return `${a.length} rows and ${b.length}; ${mine.length} of tidefs alone:${first(mine)}\n    ${theirs.length} of DuckDB alone:${first(theirs)}`
}
const show = row => row ? row.map(v => v === null ? 'NULL' : JSON.stringify(v)).join(' | ') : '-'

function compare(q, mine, theirs) {
  if (mine.error || theirs.error) return `tidefs: ${mine.error ?? 'rows'}\n  DuckDB: ${theirs.error ?? 'rows'}`
  if (mine.columns.join() !== theirs.columns.join()) return `columns ${mine.columns.join()} and ${theirs.columns.join()}`
  const d = difference(mine.rows, theirs.rows, q.columns)
  if (d) return d
  const at = mine.rows.findIndex((r, i) => key(r, q.order) !== key(theirs.rows[i], q.order))
  return at < 0 ? null : `order, row ${at}:\n    ${show(mine.rows[at])}\n    ${show(theirs.rows[at])}`
}

// ---- the run --------------------------------------------------------------------------------------------------
const tool = process.argv[2]
const engines = [new Tide(tool, 'memory', 1), new Tide(tool, 'tiles', 2), await Duck.open()]
const rows = makeRows(new Dice(seed))
for (const e of engines) for (const [name, list] of Object.entries(rows)) await e.load(name, list)

let same = 0, wrong = 0, declined = 0, result = 0, empty = 0
const slow = []
const begin = Date.now()
for (let n = only ?? 1; (only ? n === only : same + wrong < count) && wrong < most; n++) {
  const q = new Queries(new Dice(seed * 100003 + n)).statement()
  const text = { tide: print(q.node, 'tide'), duck: print(q.node, 'duck') }
  if (only) console.log(`tidefs: ${text.tide}\n\nDuckDB: ${text.duck}\n`)
  const took = {}
  const ask = async e => {
    const t = Date.now(), r = await e.ask(e instanceof Duck ? text.duck : text.tide)
    took[e.name] = Date.now() - t
    return r
  }
  const answers = await Promise.all(engines.map(ask)), theirs = answers.at(-1)
  if (theirs.error?.startsWith('Not implemented Error') && answers.slice(0, -1).every(a => !a.error)) {
    declined++
    continue
  }
  const found = engines.slice(0, -1).map((e, i) => [e.name, compare(q, answers[i], theirs)]).filter(([, w]) => w)
  slow.push([Math.max(...Object.values(took)), n, JSON.stringify(took)])
  if (!found.length) {
    same++
    result += theirs.rows.length
    empty += !theirs.rows.length
    continue
  }
  wrong++
  console.log(`MISMATCH seed ${seed}, query ${n}\n  tidefs: ${text.tide}\n  DuckDB: ${text.duck}`)
  for (const [name, what] of found) console.log(`  ${name}: ${what}`)
  console.log(`  replay: SEED=${seed} ONLY=${n} tests/compare/run.sh\n`)
  if (answers.some(a => a.died)) break
}
engines.forEach(e => e.end())
if (process.env.SLOW) slow.sort((a, b) => b[0] - a[0]).slice(0, 10).forEach(s => console.log(s.join(' ')))
console.log(`seed ${seed}: ${same + wrong} queries in ${((Date.now() - begin) / 1000).toFixed(1)} s, ${result} rows, ${empty} results without any; ${declined} that DuckDB does not have`)
console.log(`${same} passed, ${wrong} failed`)
process.exitCode = wrong ? 1 : 0

// data: the rows that both engines hold, from the dice. Three tables:
//
//	big	20,000 rows, two dimensions without a value here and there, one column of each type
//	ev	50 rows, keys that match those of big and each other several times
//	dev	30 rows, a row a device or so; some devices of the others are missing, some have several
//
// Doubles are multiples of 1/8 below 2^17, so that sums and products of two have no rounding, in whichever order.
const START = Date.UTC(2024, 0, 1) * 1000 // microseconds, as DuckDB has them

export const texts = ['', 'a', 'A', 'b', 'ab', 'Abc', 'it\'s', '10', '-3', '7', 'é', 'zz%', 'a_b', 'x-y-z', 'a-b', 'long text, "quoted"']

const maybe = (d, percent, v) => d.chance(percent) ? null : v
const eighth = (d, most) => d.between(-most * 8, most * 8) / 8
const at = us => new Date(us / 1000).toISOString().slice(0, 19).replace('T', ' ') + '.' + String(us % 1000000).padStart(6, '0')

// type: as SQL has it; dimension: a text that names the series; id: no two rows have the same, none is NULL.
export const tables = {
  big: { size: 20000, columns: {
    host: { type: 'varchar', dimension: true }, region: { type: 'varchar', dimension: true }, time: { type: 'timestamp' },
    id: { type: 'bigint', id: true }, v: { type: 'double' }, n: { type: 'bigint' }, b: { type: 'boolean' }, x: { type: 'varchar' }, w: { type: 'timestamp' } } },
  ev: { size: 50, columns: {
    host: { type: 'varchar', dimension: true }, kind: { type: 'varchar', dimension: true }, time: { type: 'timestamp' },
    eid: { type: 'bigint', id: true }, n: { type: 'bigint' }, d: { type: 'double' }, ok: { type: 'boolean' }, note: { type: 'varchar' } } },
  dev: { size: 30, columns: {
    host: { type: 'varchar', dimension: true }, region: { type: 'varchar', dimension: true }, time: { type: 'timestamp' },
    did: { type: 'bigint', id: true }, n: { type: 'bigint' }, cap: { type: 'double' }, on_at: { type: 'timestamp' }, label: { type: 'varchar' } } },
}

const makers = {
  big: (d, i) => {
    const s = i % 37
    return { host: s === 36 ? null : 'h' + s % 12, region: s % 9 === 8 ? null : ['eu', 'us', 'ap'][s % 3],
      time: START + Math.floor(i / 37) * 60000000 + (s % 4 ? Math.floor(s / 12) * 15000000 : s * 250000), id: i, v: maybe(d, 10, eighth(d, 100)),
      n: maybe(d, 10, d.between(-9, 9) * (i % 7 ? 1 : 100)), b: maybe(d, 20, d.chance(50)), x: maybe(d, 15, d.pick(texts)),
      w: maybe(d, 30, START + d.between(0, 200) * 900000000) }
  },
  ev: (d, i) => ({ host: maybe(d, 10, 'h' + d.below(15)), kind: maybe(d, 15, d.pick(['start', 'stop', 'warn'])),
    time: START + d.between(0, 24) * 1200000000, eid: i, n: maybe(d, 15, d.between(-4, 9)), d: maybe(d, 15, eighth(d, 20)),
    ok: maybe(d, 25, d.chance(60)), note: maybe(d, 20, d.pick(texts)) }),
  dev: (d, i) => ({ host: maybe(d, 10, 'h' + d.below(14)), region: maybe(d, 20, d.pick(['eu', 'us', 'ap', 'af'])),
    time: START + i * 600000000, did: i, n: maybe(d, 10, d.between(-4, 6)), cap: maybe(d, 10, eighth(d, 50)),
    on_at: maybe(d, 20, START + d.between(0, 24) * 1200000000), label: maybe(d, 20, d.pick(texts)) }),
}

// { big: [row, ...], ... }; rows of one series and time are one row in tidefs, so there is one of each.
export function makeRows(dice) {
  return Object.fromEntries(Object.entries(tables).map(([name, t]) => {
    const seen = new Set()
    const rows = Array.from({ length: t.size }, (_, i) => makers[name](dice, i))
    const some = { varchar: 'h1', double: 1.5, bigint: 1, boolean: true, timestamp: START }
    for (const [c, k] of Object.entries(t.columns)) rows[0][c] ??= some[k.type]
    for (const [c, k] of Object.entries(t.columns)) rows[0][c] ||= k.type === 'varchar' ? 'a' : rows[0][c]
    return [name, rows.filter(r => {
      const key = Object.entries(t.columns).filter(([c, k]) => k.dimension || c === 'time').map(([c]) => r[c]).join()
      return !seen.has(key) && seen.add(key)
    })]
  }))
}

// As lines of JSON for tidefs. The first row is a request, where each value has its type, and has all columns; the others
// are flat rows, which may hold empty texts.
export function jsonLines(name, rows) {
  const types = { double: 'DOUBLE', bigint: 'BIGINT', boolean: 'BOOLEAN', varchar: 'VARCHAR', timestamp: 'TIMESTAMP' }
  const columns = Object.entries(tables[name].columns)
  const [first, ...rest] = rows
  const request = { Dimensions: columns.filter(([, k]) => k.dimension).map(([c]) => ({ Name: c, Value: first[c] })), MeasureName: name, MeasureValueType: 'MULTI',
    MeasureValues: columns.filter(([c, k]) => !k.dimension && c !== 'time').map(([c, k]) => ({ Name: c, Value: String(first[c]), Type: types[k.type] })),
    Time: String(first.time), TimeUnit: 'MICROSECONDS' }
  const flat = r => Object.fromEntries(columns.filter(([c]) => r[c] !== null).map(([c, k]) => [c, k.type === 'timestamp' ? at(r[c]) : r[c]]))
  return [request, ...rest.map(flat)].map(r => JSON.stringify(r)).join('\n') + '\n'
}

export function createStatement(name) {
  return `CREATE TABLE ${name} (${Object.entries(tables[name].columns).map(([c, k]) => `${c} ${k.type}`).join(', ')})`
}

export function insertStatements(name, rows) {
  const cell = (v, type) => v === null ? 'NULL' : type === 'timestamp' ? `TIMESTAMP '${at(v)}'` : type === 'varchar' ? `'${v.replaceAll('\'', '\'\'')}'` : String(v)
  const out = []
  for (let i = 0; i < rows.length; i += 1000)
    out.push(`INSERT INTO ${name} VALUES ${rows.slice(i, i + 1000).map(r => '(' + Object.entries(tables[name].columns).map(([c, k]) => cell(r[c], k.type)).join() + ')').join()}`)
  return out
}

// node unload.mjs UNLOAD_TOOL DIR: what UNLOAD writes as Parquet, read by hyparquet and DuckDB, is row by
// row what it writes as CSV, and so is query.parquet: every type, nested ones too, with each compression; partitions as DuckDB finds them.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { DuckDBInstance } from '@duckdb/node-api'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { double } from './rows.mjs'

const [tool, dir] = process.argv.slice(2)

// ---- rows to unload: a walk with gaps, texts of all kinds, times to the nanosecond ----------------------
const texts = ['plain', 'a,b', 'q"u\\\\o', 'é€😀', ' ', 'line\\nbreak']
let lines = ''
for (let i = 0; i < 30000; i++) {
  const f = []
  if (i % 3) f.push(`v=${(Math.sin(i) * 10 ** (i % 40 - 20)).toString().replace(/e\+?/, 'e')}`)
  if (i % 5) f.push(`n=${i % 7 ? i * 1000003 : -(2n ** 62n) + BigInt(i)}i`)
  if (i % 2) f.push(`b=${i % 4 === 1}`)
  f.push(`x="${texts[i % texts.length].replaceAll('\\\\', '\\').replaceAll('\\', '\\\\').replaceAll('"', '\\"')}${i % 11 ? '' : i}"`)
  lines += `t,host=h${i % 7},region=${i % 2 ? 'eu\\ west' : 'us/1'} ${f.join(',')} ${1700000000000000000n + BigInt(i) * 1000000001n}\n`
}

const queries = {
  flat: 'SELECT time, host, measure_name, v, n, b, x FROM t ORDER BY time',
  types: `SELECT CAST(n % 1000 AS integer) AS i, CAST(time AS date) AS d, parse_duration(CAST(abs(n % 100000) AS varchar) || 'ms') AS iv,
          CASE WHEN n % 2 = 0 THEN 14month END AS ym, nullif(x, 'plain') AS x, from_nanoseconds(-1 - n % 1000) AS early, v AS v, v + 1 AS v FROM t`,
  nested: `SELECT ARRAY[v, n, NULL] AS a, CASE WHEN n % 3 = 0 THEN ARRAY[x] WHEN n % 3 = 1 THEN ARRAY[x, nullif(x, x), 'z'] END AS s,
           CAST(ROW(v, x) AS row(p double, q varchar)) AS r, ARRAY[ARRAY[n, 1], ARRAY[n]] AS aa, ROW(n, time) AS anon,
           ARRAY[CAST(ROW(x, ARRAY[b, NULL]) AS row(x varchar, l array(boolean)))] AS ar FROM t`,
  series: `SELECT host, create_time_series(time, v) AS ts, create_time_series(time, x) AS xs, count(*) AS n FROM t
           WHERE v IS NOT NULL AND x IS NOT NULL GROUP BY host ORDER BY host`,
  // More texts than a dictionary takes, first few ones.
  texts: `SELECT CASE WHEN time < TIMESTAMP '2023-11-15' THEN host ELSE x || CAST(time AS varchar) END AS a, ARRAY[x || CAST(time AS varchar), host] AS b FROM t`,
  none: 'SELECT time, v, ARRAY[x] AS a FROM t WHERE n = 12345',
}

// The files of the query with each of these options ('': query.parquet's); one run of the tool for all. Little memory:
// several row groups.
function unload(sql, memory, ...options) {
  const statements = options.map(o => o ? `UNLOAD (${sql}) TO 'f' WITH (${o})` : sql)
  const r = spawnSync(tool, [dir, `memory=${memory}`, ...statements], { input: lines, encoding: 'utf8' })
  if (r.status) throw new Error(`${sql}: ${r.stderr}`)
  return r.stdout.trim().split('\n').map((p, i) => options[i] ? JSON.parse(readFileSync(p, 'utf8')).result_files.map(f => f.url) : [p])
}

// ---- CSV as UNLOAD writes it: null, or the text of the cell ----------------------------------------------
function parse(text) {
  const rows = []
  let row = [], i = 0
  while (i < text.length) {
    let cell = '', quoted = false, any = false
    for (; i < text.length; i++) {
      const c = text[i]
      if (c === '\\') { cell += text[++i]; any = true }
      else if (c === '"') { quoted = !quoted; any = true }
      else if (!quoted && (c === ',' || c === '\n')) break
      else { cell += c; any = true }
    }
    row.push(any ? cell : null)
    if (text[i++] === '\n') { rows.push(row); row = [] }
  }
  return rows
}

// ---- one form for both: JSON texts ------------------------------------------------------------------------
// Doubles in JSON lose their form when parsed; so all numbers are compared as Number or BigInt by their text.
const number = s => /^-?\d+$/.test(s) ? BigInt(s) : Number(s)
function fromJson(text) {
  const big = text.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:E-?\d+)?/g, t => t[0] === '"' ? t : `{"#":"${t}"}`)
  return JSON.parse(big, (k, v) => v && typeof v === 'object' && '#' in v ? number(v['#']) : v)
}
const micros = s => s.slice(0, 26)
const stamp = ns => {
  let s = ns / 1000000000n, f = ns % 1000000000n
  if (f < 0n) { f += 1000000000n; s -= 1n }
  return new Date(Number(s) * 1000).toISOString().slice(0, 19).replace('T', ' ') + '.' + String(f).padStart(9, '0')
}
class Stamp { constructor(ns) { this.ns = ns } }

// A value read from Parquet in the form of fromJson(), by what it is.
function normal(v, cut) {
  if (v === null || v === undefined) return null
  if (v instanceof Stamp) return cut ? micros(stamp(v.ns)) : stamp(v.ns)
  if (Array.isArray(v)) return v.map(x => normal(x, cut))
  if (v instanceof Date) return v.toISOString().slice(0, 10)
  if (typeof v === 'object') return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, normal(x, cut)]))
  return v
}
// The two agree: numbers by value, texts as texts; an anonymous row is a list in JSON and field0.. in Parquet; Z is dropped.
function same(a, b, cut) {
  if (a === null || b === null) return a === b
  if (typeof b === 'number' || typeof b === 'bigint')
    return typeof a === 'string' ? Object.is(Number(a), Number(b)) : typeof b === 'bigint' && typeof a === 'bigint' ? a === b : Number(a) === Number(b)
  if (typeof b === 'string') {
    if (cut && typeof a === 'string' && /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{9}Z?$/.test(a)) return micros(a) === micros(b)
    return String(a).replace(/(\.\d{9})Z$/, '$1') === b
  }
  if (typeof b === 'boolean') return a === b
  if (Array.isArray(b)) return Array.isArray(a) && a.length === b.length && a.every((x, i) => same(x, b[i], cut))
  const keys = Object.keys(b)
  if (Array.isArray(a)) return a.length === keys.length && a.every((x, i) => same(x, b[keys[i]], cut))
  return typeof a === 'object' && keys.length === Object.keys(a).length && keys.every(k => k in a && same(a[k], b[k], cut))
}
// A CSV cell against a value.
function fits(cell, v, cut) {
  if (cell === null || v === null) return cell === v
  if (typeof v === 'object') return same(fromJson(cell), v, cut)
  if (typeof v === 'bigint') return BigInt(cell) === v
  if (typeof v === 'number') return Object.is(Number(cell), v)
  if (typeof v === 'boolean') return cell === String(v)
  return cut && /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{9}$/.test(cell) ? micros(cell) === micros(v) : cell === v
}

function compare(name, csv, rows, cut) {
  if (csv.length !== rows.length) throw new Error(`${name}: ${rows.length} rows, and ${csv.length} in CSV`)
  csv.forEach((c, i) => c.forEach((cell, k) => {
    if (!fits(cell, rows[i][k], cut)) throw new Error(`${name}, row ${i}, column ${k}:\n  CSV     ${cell}\n  Parquet ${show(rows[i][k])}`)
  }))
  console.log(`ok ${name}: ${rows.length} rows`)
}
const show = v => JSON.stringify(v, (k, x) => typeof x === 'bigint' ? String(x) : x)

// ---- readers ------------------------------------------------------------------------------------------------
async function hyparquet(path) {
  const file = await asyncBufferFromFile(path)
  const parsers = { timestampFromNanoseconds: v => new Stamp(v) }
  const rows = await parquetReadObjects({ file, compressors, parsers })
  return rows.map(r => Object.values(r).map(v => normal(v, false)))
}

const duck = await (await DuckDBInstance.create(':memory:')).connect()
await duck.run("SET TimeZone = 'UTC'")
function value(v) {
  if (v === null || v === undefined) return null
  if (typeof v === 'object' && 'micros' in v && !('months' in v)) return stamp(v.micros * 1000n)
  if (typeof v === 'object' && 'nanos' in v) return stamp(v.nanos)
  if (typeof v === 'object' && 'days' in v && !('months' in v)) return new Date(v.days * 86400000).toISOString().slice(0, 10)
  if (typeof v === 'object' && 'items' in v) return v.items.map(value)
  if (typeof v === 'object' && 'entries' in v) return Object.fromEntries(Object.entries(v.entries).map(([k, x]) => [k, value(x)]))
  return v
}
async function duckdb(sql) {
  const r = await duck.runAndReadAll(sql)
  return r.getRows().map(row => row.map(value))
}
const quoted = s => `'${s.replaceAll("'", "''")}'`

mkdirSync(dir, { recursive: true })
const codecs = ['GZIP', 'NONE', 'query.parquet']
for (const [name, sql] of Object.entries(queries)) {
  const [plain, packed, ...parquet] = unload(sql, name === 'series' ? 256 : 12, "compression = 'NONE'", "compression = 'GZIP'",
    ...codecs.slice(0, 2).map(c => `format = 'PARQUET', compression = '${c}'`), '')
  const csv = plain.flatMap(f => parse(readFileSync(f, 'utf8')))
  const gz = packed.flatMap(f => parse(gunzipSync(readFileSync(f)).toString('utf8')))
  if (show(csv) !== show(gz)) throw new Error(`${name}: gzip'd CSV differs`)
  for (const [i, files] of parquet.entries()) {
    const all = []
    for (const f of files) all.push(...await hyparquet(f))
    compare(`hyparquet ${name} ${codecs[i]}`, csv, all, false)
    compare(`duckdb ${name} ${codecs[i]}`, csv, await duckdb(`SELECT * FROM read_parquet([${files.map(quoted)}])`), i < 2)
  }
}

// Partitions come back as columns.
const columns = 'time, v, x, host, region'
const [plain, parts] = unload(`SELECT ${columns} FROM t ORDER BY time`, 12, "compression = 'NONE'",
  "format = 'PARQUET', partitioned_by = ARRAY['host', 'region']")
if (parts.length !== 14) throw new Error(`${parts.length} partitions`)
compare('duckdb partitions', plain.flatMap(f => parse(readFileSync(f, 'utf8'))),
  await duckdb(`SELECT ${columns} FROM read_parquet([${parts.map(quoted)}], hive_partitioning = true) ORDER BY time`), true)
duck.closeSync()

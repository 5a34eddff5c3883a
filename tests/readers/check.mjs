// node check.mjs TILE_DUMP FILE...: does every reader see the same rows, in the same order? hyparquet
// twice, once through the page index; DuckDB also with filters that let it prune row groups.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { normal } from './rows.mjs'
import { rows } from './hyparquet.mjs'
import { query } from './duckdb.mjs'

const [dump, ...files] = process.argv.slice(2)

async function* ours(path) {
  const child = spawn(dump, [path], { stdio: ['ignore', 'pipe', 'inherit'] })
  const code = new Promise(done => child.on('close', done))
  for await (const l of createInterface({ input: child.stdout })) yield normal(l)
  if (await code) throw new Error(`tile_dump ${path} failed`)
}

async function same(name, want, got) {
  let n = 0
  for await (const a of want) {
    const { value: b } = await got.next()
    if (a !== b) throw new Error(`${name}, row ${n}:\n  ours   ${a}\n  theirs ${b}`)
    n++
  }
  const { done, value } = await got.next()
  if (!done) throw new Error(`${name}: a row too many: ${value}`)
  console.log(`ok ${name}: ${n} rows`)
}

async function* only(lines, keep) {
  for await (const l of lines) if (keep(l)) yield l
}

for (const path of files) {
  const from = `read_parquet('${path.replaceAll("'", "''")}')`
  await same(`hyparquet ${path}`, ours(path), rows(path))
  await same(`hyparquet by page index ${path}`, ours(path), rows(path, { useOffsetIndex: true }))
  await same(`duckdb ${path}`, ours(path), query(`SELECT * FROM ${from}`))
  const times = []
  for await (const l of ours(path)) times.push(BigInt(/"time":(-?\d+)/.exec(l)[1]))
  if (!times.length) continue
  const some = times[Math.floor(times.length * 0.7)] / 1000n
  await same(`duckdb pruning by time ${path}`,
    only(ours(path), l => { const t = BigInt(/"time":(-?\d+)/.exec(l)[1]); return t >= 0n && t / 1000n === some }),
    query(`SELECT * FROM ${from} WHERE time = make_timestamp(${some})::TIMESTAMPTZ`))
}

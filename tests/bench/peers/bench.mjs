// node bench.mjs: tidefs beside other databases, on rows and queries of TSBS's "devops cpu-only" case. Progress goes to
// stderr, tables in Markdown to stdout. It ends with 1 where two systems give different answers.
//
//	make bench                              100 hosts x 72 h and 4,000 hosts x 3 h, all systems that are there
//	make bench-quick                        100 hosts x 24 h, DuckDB alone
//	make bench-docs                         the same as make bench, into docs/performance.md
//
// Environment:
//	SCALE=main|card|both|quick              which rows (both)
//	KIND=int|float                          integers, or decimals of two places, in the tables that are queried (int)
//	PEERS=duckdb,chdb,...                   which systems beside tidefs: duckdb chdb victoria influx postgres (all)
//	ONLY=high-cpu-1,lastpoint               which queries (all)
//	RUNS=10 SEED=1                          windows a query; which ones
//	PARTS=storage,queries,micro             what is measured besides loading (all)
//	INSTALL=1                               get what is missing by apt-get
//	WRITE=1                                 put the tables into docs/performance.md
//	BENCH_DIR=build/bench                   where rows and tables go; needs 6 GB
//	TIDEFS=build/release/tidefs             the daemon
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, totalmem, release } from 'node:os'
import { fileURLToPath } from 'node:url'
import { Chdb } from './chdb.mjs'
import { Duck } from './duckdb.mjs'
import { Influx } from './influx.mjs'
import { Postgres } from './postgres.mjs'
import { Tidefs } from './tidefs.mjs'
import { Victoria } from './victoria.mjs'
import { atEnd, end, run, say } from './process.mjs'
import { ingestTable, queryTables, storageTable } from './report.mjs'
import { doors, micro } from './micro.mjs'
import { loadAll, makeRows, measureQueries } from './measure.mjs'
import { queries, rowsOf, scales } from './workload.mjs'

const root = fileURLToPath(new URL('../../../', import.meta.url)).replace(/\/$/, '')
const env = process.env
const options = {
  root,
  bin: `${root}/build/${env.VARIANT || 'release'}`,
  daemon: env.TIDEFS || `${root}/build/${env.VARIANT || 'release'}/tidefs`,
  kind: env.KIND || 'int',
  runs: Number(env.RUNS || 10),
  seed: Number(env.SEED || 1),
  dir: `${env.BENCH_DIR || `${root}/build/bench`}/peers.${process.pid}`,
  install: env.INSTALL === '1',
}
const parts = new Set((env.PARTS || 'storage,queries,micro').split(','))
const chosen = { both: ['main', 'card'] }[env.SCALE || 'both'] ?? [env.SCALE]
const peers = { duckdb: [[Duck, 'hostname, time'], [Duck, 'time']], chdb: [[Chdb]], victoria: [[Victoria]], influx: [[Influx]], postgres: [[Postgres]] }

function choose(name, list, known) {
  for (const n of list)
    if (!known.includes(n)) throw new Error(`${name}: '${n}' is none of ${known.join(', ')}`)
  return list
}

// ---- which systems ----------------------------------------------------------------------------------------------
// { systems: a function that makes new ones, absent: [[name, reason]] }
function systems() {
  const names = env.PEERS === undefined ? Object.keys(peers) : choose('PEERS', env.PEERS.split(',').filter(Boolean), Object.keys(peers))
  const makers = [[Tidefs]], absent = []
  const reason = Tidefs.missing(options)
  if (reason) throw new Error(reason)
  for (const n of names) {
    const [[{ package: debian, missing }]] = peers[n]
    if (options.install && debian && missing()) {
      try { run('apt-get', ['install', '-y', '--no-install-recommends', debian], { env: { ...env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' } }) } catch (e) { say(e.message) }
    }
    const why = peers[n].map(([Peer]) => Peer.missing(options)).find(Boolean)
    if (why) absent.push([n, why])
    else makers.push(...peers[n])
  }
  for (const n of Object.keys(peers)) if (!names.includes(n)) absent.push([n, 'not among PEERS'])
  return { make: () => makers.map(([Peer, ...rest]) => new Peer(options, ...rest)), absent }
}

// ---- the run --------------------------------------------------------------------------------------------------------
const out = []
const print = text => out.push(text)

function machine(list, absent) {
  const l = loadavg().map(v => v.toFixed(1)).join(' ')
  print(`${cpus()[0].model.trim()}, ${cpus().length} cores, ${(totalmem() / 2 ** 30).toFixed(0)} GB, Linux ${release().split('.').slice(0, 2).join('.')}; load average ${l} at the start. ` +
    `${options.runs} windows a query, seed ${options.seed}.`)
  print([...new Map(list.map(s => [s.family ?? s.name, `${s.family ?? s.name} ${s.version}`])).values(), `Node ${process.version}`].map(v => `- ${v}`).join('\n') +
    absent.map(([n, why]) => `\n- ${n}: absent, ${why}`).join(''))
}

async function main() {
  choose('SCALE', chosen, Object.keys(scales))
  choose('KIND', [options.kind], ['int', 'float'])
  const wanted = env.ONLY ? choose('ONLY', env.ONLY.split(','), queries.map(q => q.name)) : queries.map(q => q.name)
  const { make, absent } = systems()
  mkdirSync(options.dir, { recursive: true })
  atEnd(() => rmSync(options.dir, { recursive: true, force: true }))
  let wrong = 0
  for (const name of chosen) {
    const scale = scales[name], sizes = {}
    const head = `${scale.hosts.toLocaleString('en-US')} hosts x ${scale.hours} h, every ${scale.step} s: ${rowsOf(scale).toLocaleString('en-US')} rows`
    say(`== ${head}`)
    // The other kind of numbers first: it is loaded for its size alone.
    const other = options.kind === 'int' ? 'float' : 'int'
    if (parts.has('storage') && name !== 'card') {
      const rows = makeRows(options, scale, other, true), list = make()
      if (other === 'float') list.splice(1, 0, new Tidefs(options, 'compact'))
      sizes[other] = (await loadAll(options, list, rows, `${name}-${other}`, absent)).sizes
      for (const s of list) await s.stop()
      rows.remove()
    }
    const rows = makeRows(options, scale, options.kind), list = make()
    const loaded = await loadAll(options, list, rows, `${name}-${options.kind}`, absent)
    sizes[options.kind] = loaded.sizes
    if (!out.length) machine(loaded.list, absent)
    print(`### ${head}`)
    print(`Loading, ${options.kind === 'int' ? 'integers' : 'decimals'}:\n\n${ingestTable(loaded.loads)}`)
    print(`Bytes a value at rest, times and tags included:\n\n${storageTable(sizes, scale)}`)
    if (parts.has('queries')) {
      const measured = await measureQueries(options, loaded.list, scale, queries.filter(q => wanted.includes(q.name)))
      print(queryTables(measured, loaded.list))
      wrong += measured.wrong
      print(doors(options, loaded.list[0], scale, queries.filter(q => wanted.includes(q.name))))
    }
    if (parts.has('micro') && name !== 'card') {
      for (const s of loaded.list.slice(1)) await s.stop()
      print(await micro(options, loaded.list[0], scale, rows))
    }
    for (const s of loaded.list) await s.stop()
    rows.remove()
  }
  print(wrong ? `${wrong} answers differ.` : 'All answers agree.')
  const text = out.join('\n\n')
  console.log(text)
  if (env.WRITE === '1' && !wrong) write(text)
  return wrong ? 1 : 0
}

// Between the two comments in docs/performance.md.
function write(text) {
  const path = `${root}/docs/performance.md`, old = readFileSync(path, 'utf8')
  const fresh = old.replace(/(<!-- bench: begin -->\n)[^]*(<!-- bench: end -->)/, (_, a, b) => `${a}\n${text}\n\n${b}`)
  if (fresh === old) throw new Error(`${path} has no place for the tables`)
  writeFileSync(path, fresh)
}

try {
  process.exitCode = await main()
} catch (e) {
  say(`bench: ${e.stack}`)
  process.exitCode = 1
} finally {
  await end()
}
process.exit()

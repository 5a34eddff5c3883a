// measure: rows are made, every system loads them, and is asked.
import { openSync, closeSync, rmSync, statSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { agree, difference, disorder, keep } from './check.mjs'
import { median } from './figures.mjs'
import { freshDir, now, say, sleep } from './process.mjs'
import { rowsOf, windowOf } from './workload.mjs'

// The same rows as line protocol and as CSV. brief: they are loaded for their size alone.
export function makeRows({ bin, dir }, scale, kind, brief = false) {
  const files = { lines: `${dir}/rows.lp`, table: `${dir}/rows.csv` }
  for (const [form, path] of Object.entries(files)) {
    const fd = openSync(path, 'w')
    const args = ['--hosts', scale.hosts, '--step', scale.step, '--hours', scale.hours, ...(kind === 'float' ? ['--float'] : []), ...(form === 'table' ? ['--csv'] : [])]
    const r = spawnSync(`${bin}/tests/tools/gen_tsbs`, args.map(String), { stdio: ['ignore', fd, 'inherit'] })
    closeSync(fd)
    if (r.status !== 0) throw new Error(`gen_tsbs ended with ${r.status ?? r.error}`)
    statSync(path)
  }
  return { ...files, kind, brief, rows: rowsOf(scale), remove: () => Object.values(files).forEach(f => rmSync(f, { force: true })) }
}

// One system after the other. Who fails is named as absent, except for tidefs itself.
export async function loadAll({ dir }, systems, rows, name, absent) {
  const list = [], loads = [], sizes = new Map()
  for (const [i, s] of systems.entries()) {
    try {
      s.startup = await s.start(freshDir(`${dir}/${name}.${i}`))
      const begin = now(), how = await s.load(rows)
      await s.settle(rows)
      sizes.set(s.name, await s.sizes())
      for (const l of how) loads.push({ system: s.name, ...l })
      say(`${s.name}: ${how.map(l => `${Math.round(l.rows / l.seconds).toLocaleString('en-US')} rows/s (${l.how})`).join(', ')}; settled after ${((now() - begin) / 1000).toFixed(1)} s`)
      list.push(s)
    } catch (e) {
      if (!i) throw e
      say(`${s.name}: ${e.stack}`)
      absent.push([s.name, e.message.split('\n')[0]])
      await s.stop()
    }
  }
  return { list, loads, sizes }
}

const ROUND = 5 // windows that a system is asked in a row
const MANY = 100000, FEW = 3 // of answers with many rows a few are compared: that takes longer than all the rest

// Every query, by every system in each of its spellings, over the same windows; the first one is a warm-up. Systems take
// turns, so that a noisy minute is noisy for all.
export async function measureQueries({ runs, seed }, systems, scale, queries) {
  const results = []
  let wrong = 0
  // What loading left to be done in the background, and what is slow for the first time, is no query's fault.
  await sleep(5000)
  for (const s of systems) for (let i = 0; i < ROUND; i++) for (const { sql } of s.spell(queries[0], windowOf(queries[0], scale, seed, -1 - i)) ?? []) await s.ask(sql)
  for (const query of queries) {
    const windows = Array.from({ length: runs + 1 }, (_, i) => windowOf(query, scale, seed, i)), check = new Check(systems[0], query)
    const forms = systems.flatMap(system => (system.spell(query, windows[0]) ?? []).map(({ spelling }, at) => ({ system, spelling, at, took: [] })))
    for (let from = 0; from <= runs; from += ROUND)
      for (const { system, at, took } of forms) {
        // A spelling that takes seconds where another one does not is known well enough after a round.
        if (from && median(took) > 10 * Math.min(...forms.filter(f => f.system === system).map(f => median(f.took)))) continue
        for (let i = from; i < Math.min(from + ROUND, runs + 1); i++) {
          const { sql } = system.spell(query, windows[i])[at]
          if (check.most > 1000) globalThis.gc?.() // what was read before must not be collected now
          const begin = now(), answer = await system.ask(sql), ms = now() - begin
          if (i) took.push(ms)
          if (check.most < MANY || i < FEW) await check.answer(system, i, windows[i], sql, answer)
        }
      }
    wrong += check.wrong
    const times = new Map(systems.map(s => [s.name, forms.filter(f => f.system === s)]).filter(([, f]) => f.length))
    results.push({ query, times, count: check.most })
    say(`${query.name}: ${[...times].map(([name, f]) => `${name} ${Math.min(...f.map(x => median(x.took))).toFixed(1)}`).join(', ')} ms; up to ${check.most} rows`)
  }
  return { results, wrong }
}

// The first answer to a window is held against all others.
class Check {
  constructor(first, query) { Object.assign(this, { first, query, kept: new Map(), shown: new Set(), wrong: 0, most: 0 }) }

  async answer(system, i, w, sql, answer) {
    const { query, first, kept } = this, rows = system.rows(answer, query)
    this.most = Math.max(this.most, rows.length)
    if (system === first) {
      const at = disorder(query, rows)
      if (at) { this.wrong++; say(`NOT IN ORDER: ${query.name}, row ${at}\n  ${sql}`) }
    }
    if (!kept.has(i)) { kept.set(i, keep(query, rows)); return }
    const wanted = system.comparable?.(query, w)
    if (agree(kept.get(i), keep(query, rows), wanted)) return
    this.wrong++
    const form = first.spell(query, w)[0].sql
    say(`DIFFERENT: ${query.name}, window ${i}\n  ${first.name}: ${form}\n  ${system.name}: ${sql}`)
    if (this.shown.has(system)) return // one of each kind is enough to look at
    this.shown.add(system)
    const both = [first.rows(await first.ask(form), query), rows]
    say(difference(query, ...(wanted ? both.map(r => r.filter(wanted)) : both), [first.name, system.name]))
  }
}

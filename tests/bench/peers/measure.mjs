// measure: rows are made, every system loads them, and is asked.
import { openSync, closeSync, rmSync, statSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { agree, difference, disorder, keep } from './check.mjs'
import { freshDir, now, say } from './process.mjs'
import { rowsOf, windowOf } from './workload.mjs'

// The same rows as line protocol and as CSV.
export function makeRows({ bin, dir }, scale, kind) {
  const files = { lines: `${dir}/rows.lp`, table: `${dir}/rows.csv` }
  for (const [form, path] of Object.entries(files)) {
    const fd = openSync(path, 'w')
    const args = ['--hosts', scale.hosts, '--step', scale.step, '--hours', scale.hours, ...(kind === 'float' ? ['--float'] : []), ...(form === 'table' ? ['--csv'] : [])]
    const r = spawnSync(`${bin}/tests/tools/gen_tsbs`, args.map(String), { stdio: ['ignore', fd, 'inherit'] })
    closeSync(fd)
    if (r.status !== 0) throw new Error(`gen_tsbs ended with ${r.status ?? r.error}`)
    statSync(path)
  }
  return { ...files, kind, rows: rowsOf(scale), remove: () => Object.values(files).forEach(f => rmSync(f, { force: true })) }
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

// Every query, by every system, over the same windows; the first is a warm-up. A system's runs of one query stand
// together, and those of all systems beside each other, so that a noisy minute is noisy for all.
export async function measureQueries({ runs, seed }, systems, scale, queries) {
  const results = [], parted = new Set()
  let wrong = 0
  for (const query of queries) {
    const windows = Array.from({ length: runs + 1 }, (_, i) => windowOf(query, scale, seed, i))
    const times = new Map(), kept = []
    let count = 0
    for (const [n, s] of systems.entries()) {
      const forms = s.spell(query, windows[0])
      if (!forms) continue
      for (const [f, { spelling }] of forms.entries()) {
        const took = []
        for (const [i, w] of windows.entries()) {
          const { sql } = s.spell(query, w)[f]
          globalThis.gc?.()
          const begin = now(), answer = await s.ask(sql), ms = now() - begin
          if (i) took.push(ms)
          const rows = s.rows(answer, query)
          if (!n && !f) {
            kept.push(keep(query, rows))
            count = Math.max(count, rows.length)
            const at = disorder(query, rows)
            if (at) { wrong++; say(`${s.name}: ${query.name}: row ${at} is not in order\n  ${sql}`) }
          } else if (!agree(kept[i], keep(query, rows), s.comparable?.(query, w))) {
            wrong++
            say(`DIFFERENT: ${query.name}, window ${i}\n  ${systems[0].name}: ${systems[0].spell(query, w)[0].sql}\n  ${s.name}: ${sql}`)
            if (!parted.has(s.name + query.name)) { // one of each kind is enough to look at
              const mine = systems[0].rows(await systems[0].ask(systems[0].spell(query, w)[0].sql), query)
              say(difference(query, mine, rows, [systems[0].name, s.name]))
            }
            parted.add(s.name + query.name)
          }
        }
        if (!times.has(s.name)) times.set(s.name, [])
        times.get(s.name).push({ spelling, took })
      }
    }
    results.push({ query, times, count })
    say(`${query.name}: ${[...times].map(([name, t]) => `${name} ${Math.min(...t.map(x => mid(x.took))).toFixed(1)}`).join(', ')} ms; up to ${count} rows`)
  }
  return { results, wrong }
}

const mid = list => [...list].sort((a, b) => a - b)[list.length >> 1]

// micro: what the mount itself costs: one appended line, one small question, many who ask at once, asking while rows come
// in, the first question after a start, and the other files that take the same statements.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { Server, atEnd, now, run, say } from './process.mjs'
import { digits, median, ratio, table } from './figures.mjs'
import { queries, windowOf } from './workload.mjs'

const ROUNDS = 3
const small = queries.find(q => q.name === 'single-groupby-1-1-1')

export async function micro(options, tide, scale, rows) {
  const { bin, seed, dir } = options, tool = `${bin}/tests/tools/clients`
  const count = async (mode, file, threads, seconds, lines) => {
    const [calls, took, p50, p99, max] = (await output(tool, [mode, file, threads, seconds], lines.join('\n') + '\n')).split(' ').map(Number)
    return { calls, perSecond: calls / took, p50, p99, max }
  }
  // More statements than are asked: an answer that another one shares says nothing.
  const statements = Array.from({ length: 10000 }, (_, i) => tide.spell(small, windowOf(small, scale, seed, 100 + i))[0].sql)
  const query = `${tide.mnt}/query`, facts = []
  const fact = (what, ...values) => { facts.push([what, ...values.map(v => typeof v === 'number' ? digits(v) : v)]); say(`micro: ${what}: ${values.map(v => typeof v === 'number' ? digits(v) : v).join(', ')}`) }

  // A line, beside the same line into a file that throws it away.
  const nul = `${dir}/null`
  mkdirSync(nul)
  const server = new Server(`${bin}/tests/tools/null_file`, [nul], { log: `${dir}/null.log` })
  atEnd(() => existsSync(`${nul}/null`) && run('fusermount3', ['-u', '-z', nul]))
  await server.until(() => existsSync(`${nul}/null`))
  mkdirSync(`${tide.mnt}/tsbs/echo`)
  const line = ['weather,station=7 temp=21.4'], nulls = [], appends = []
  for (let i = 0; i < ROUNDS; i++) {
    nulls.push(await count('append', `${nul}/null`, 1, 1, line))
    appends.push(await count('append', `${tide.mnt}/tsbs/echo/ingest`, 1, 1, line))
  }
  run('fusermount3', ['-u', nul])
  await server.gone
  const mid = (list, key) => median(list.map(x => x[key]))
  fact('echo into a file that throws it away, us', mid(nulls, 'p50'), mid(nulls, 'p99'))
  fact('echo into ingest, us', mid(appends, 'p50'), mid(appends, 'p99'))
  fact('ratio of the medians', ratio(mid(appends, 'p50') / mid(nulls, 'p50')), '')

  // One small question.
  const read = await count('read', `${tide.mnt}/q`, 1, 2, statements)
  fact(`${small.name} by q/, us`, read.p50, read.p99)
  const clients = []
  for (const n of [1, 8, 64]) {
    const r = await count('ask', query, n, 3, statements)
    clients.push([String(n), Math.round(r.perSecond).toLocaleString('en-US'), r.p50 / 1000, r.p99 / 1000, r.max / 1000])
    if (n === 1) fact(`${small.name} by query, us`, r.p50, r.p99)
  }
  // While rows come in, as fast as cat gives them.
  mkdirSync(`${tide.mnt}/tsbs/load`)
  const load = spawn('sh', ['-c', 'while cat "$0" >>"$1"; do :; done', rows.lines, `${tide.mnt}/tsbs/load/ingest`], { stdio: 'ignore', detached: true })
  const busy = await count('ask', query, 1, 5, statements)
  process.kill(-load.pid, 'SIGTERM')
  await new Promise(done => load.on('close', done))
  fact(`${small.name} by query while rows come in, us`, busy.p50, busy.p99)

  // After a start nothing is open; the kernel's copies of files go too, where the machine permits it.
  let dropped
  const restart = async () => {
    await tide.stop()
    dropped = spawnSync('sh', ['-c', 'sync; echo 3 >/proc/sys/vm/drop_caches'], { stdio: 'ignore' }).status === 0
    return tide.start(tide.dir)
  }
  fact('started with all these rows, ms', await restart(), '')
  const cold = []
  for (const q of queries) {
    const w = windowOf(q, scale, seed, 1), { sql } = tide.spell(q, w)[0], took = []
    for (let i = 0; i < 2; i++) {
      if (i === 0) await restart()
      const begin = now()
      tide.ask(sql)
      took.push(now() - begin)
    }
    cold.push([q.name, ...took])
  }
  return `### The mount itself\n\n${table(['what', 'median', 'p99'], facts)}\n\n` +
    `${small.name}, several clients at once:\n\n${table(['clients', 'answers/s', 'median ms', 'p99 ms', 'longest ms'], clients)}\n\n` +
    `The first question after a start${dropped ? ', the caches of the kernel being empty' : ''}, and the same again, ms:\n\n${table(['query', 'first', 'again'], cold)}`
}

// The same statements by other files, ms.
export function doors({ seed, runs }, tide, scale, wanted) {
  const ways = { 'query (CSV)': sql => tide.ask(sql), 'q/ (CSV)': sql => tide.named(sql), 'query.jsonl': sql => tide.through('query.jsonl', sql), 'query.parquet': sql => tide.through('query.parquet', sql) }
  const list = wanted.map(q => {
    const times = Object.values(ways).map(ask => Array.from({ length: runs + 1 }, (_, i) => {
      const { sql } = tide.spell(q, windowOf(q, scale, seed, i)).at(q.kind === 'last' ? 1 : 0), begin = now()
      ask(sql)
      return now() - begin
    }).slice(1))
    return [q.name, ...times.map(median)]
  })
  return `The same statements by other files of tidefs, median ms; who asks the same of q/ again, as the last row of each host, gets the answer that is there:\n\n${table(['query', ...Object.keys(ways)], list)}`
}

function output(command, args, input) {
  return new Promise((done, fail) => {
    const child = spawn(command, args.map(String), { stdio: ['pipe', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.on('data', d => { text += d })
    child.stdin.on('error', () => {})
    child.on('error', fail).on('close', code => code === 0 ? done(text.trim()) : fail(new Error(`${command} ${args[0]} ended with ${code}`)))
    child.stdin.end(input)
  })
}

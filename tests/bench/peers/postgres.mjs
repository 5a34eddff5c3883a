// PostgreSQL: one table with an index by host and time, and one by time. It runs as its own user, since it refuses to be root.
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { STREAM_MS, batches } from './lines.mjs'
import { Server, found, freePort, now, run } from './process.mjs'
import { csvRows } from './check.mjs'
import { fields, last, spell, tags } from './workload.mjs'

const require = createRequire(import.meta.url)
const list = fields.join(', ')
const dialect = {
  table: 'cpu',
  at: t => `TIMESTAMP '${t}'`,
  bucket: unit => `date_trunc('${unit}', time)`,
  last: {
    'DISTINCT ON': last.distinct,
    join: last.join,
    row_number: last.number,
    // From host to host along the index.
    'recursive steps': table => `WITH RECURSIVE h AS ((SELECT hostname FROM ${table} ORDER BY 1 LIMIT 1) UNION ALL SELECT (SELECT hostname FROM ${table} c WHERE c.hostname > h.hostname ORDER BY 1 LIMIT 1) FROM h WHERE hostname IS NOT NULL)
      SELECT c.* FROM h, LATERAL (SELECT hostname, time, ${list} FROM ${table} WHERE hostname = h.hostname ORDER BY time DESC LIMIT 1) c`,
  },
}

// Debian has its programs out of the way.
function programs() {
  const base = '/usr/lib/postgresql'
  const v = existsSync(base) ? readdirSync(base).sort((a, b) => b - a).find(d => existsSync(`${base}/${d}/bin/initdb`)) : null
  return v ? `${base}/${v}/bin` : found('initdb')?.replace(/\/initdb$/, '')
}

export class Postgres {
  name = 'PostgreSQL'
  static package = 'postgresql'
  static missing() {
    try { require.resolve('pg') } catch { return 'npm package pg is not installed' }
    return programs() ? null : 'there is no initdb (Debian package postgresql)'
  }

  async start(dir) {
    this.bin = programs()
    const data = `${dir}/data`, port = await freePort(), who = {}
    mkdirSync(data)
    if (process.getuid() === 0) {
      for (const [k, flag] of [['uid', '-u'], ['gid', '-g']]) who[k] = Number(run('id', [flag, 'postgres']))
      chownSync(data, who.uid, who.gid)
    }
    chmodSync(data, 0o700)
    run(`${this.bin}/initdb`, ['-D', data, '-U', 'bench', '-A', 'trust', '--no-locale', '-E', 'UTF8', '--no-sync'], { ...who, cwd: '/' })
    const begin = now()
    const settings = { listen_addresses: '127.0.0.1', port, unix_socket_directories: '', shared_buffers: '2GB', work_mem: '64MB', maintenance_work_mem: '512MB', max_wal_size: '8GB', timezone: 'UTC' }
    this.server = new Server(`${this.bin}/postgres`, ['-D', data, ...Object.entries(settings).flatMap(([k, v]) => ['-c', `${k}=${v}`])], { log: `${dir}/log`, cwd: '/', ...who })
    const { Client } = require('pg')
    await this.server.until(async () => {
      const c = new Client({ host: '127.0.0.1', port, user: 'bench', database: 'postgres', types: { getTypeParser: () => v => v } })
      c.on('error', () => {}) // that it is shut down is said by the next question
      return c.connect().then(() => { this.client = c; return true }, () => false)
    })
    this.version = (await this.client.query('SHOW server_version')).rows[0].server_version
    return now() - begin
  }

  async load({ table, rows, kind, brief }) {
    const type = kind === 'float' ? 'double precision' : 'bigint'
    for (const name of ['cpu', 'stream'])
      await this.client.query(`CREATE TABLE ${name} (time timestamp, ${tags.map(t => `${t} text`).join(', ')}, ${fields.map(f => `${f} ${type}`).join(', ')})`)
    await this.client.query('CREATE INDEX ON stream (hostname, time); CREATE INDEX ON stream (time)')
    // Each INSERT is committed, and so on disk, before the next one.
    let done = 0, ms = 0
    for (const { text, rows: n } of batches(table, 1000)) {
      if (brief || ms > STREAM_MS) break
      const sql = `INSERT INTO stream VALUES ${text.toString('latin1').trimEnd().split('\n').map(l => `('${l.replaceAll(',', "','")}')`).join()}`
      const begin = now()
      await this.client.query(sql)
      ms += now() - begin
      done += n
    }
    await this.client.query('DROP TABLE stream')
    const stream = { how: 'INSERT of 1,000 rows, two indexes', stream: true, rows: done, seconds: ms / 1000 }
    const begin = now()
    await this.client.query(`COPY cpu FROM PROGRAM 'cat ${table.replaceAll("'", "''")}' CSV HEADER`)
    const copied = now()
    await this.client.query('CREATE INDEX ON cpu (hostname, time)')
    await this.client.query('CREATE INDEX ON cpu (time)')
    const indexed = now()
    return [...(brief ? [] : [stream]), { how: 'COPY of a file', rows, seconds: (copied - begin) / 1000 }, { how: 'COPY of a file, two indexes', rows, seconds: (indexed - begin) / 1000 }]
  }

  async settle() {
    await this.client.query('VACUUM (ANALYZE) cpu')
    await this.client.query('CHECKPOINT')
  }

  async sizes() { return { bytes: Number((await this.client.query("SELECT pg_total_relation_size('cpu') AS n")).rows[0].n) } }
  spell(query, w) { return spell(query, w, dialect) }

  // Values stay the texts that came.
  async ask(sql) { return (await this.client.query({ text: sql, rowMode: 'array' })).rows }
  rows(answer, query) { return csvRows(answer.map(r => r.join()).join('\n'), query.types, 0) }

  async stop() {
    await this.client?.end().catch(() => {})
    await this.server?.stop('SIGINT')
  }
}

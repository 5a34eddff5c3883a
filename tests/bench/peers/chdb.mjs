// chDB, which is ClickHouse in this process. The table is TSBS's own: whole seconds as DateTime, tags as dictionaries.
import { createRequire } from 'node:module'
import { csvRows } from './check.mjs'
import { now } from './process.mjs'
import { STREAM_MS, batches } from './lines.mjs'
import { fields, last, spell, tags } from './workload.mjs'

const require = createRequire(import.meta.url)
const dialect = {
  table: 'cpu',
  at: t => `toDateTime('${t}', 'UTC')`,
  bucket: unit => unit === 'hour' ? 'toStartOfHour(time)' : 'toStartOfMinute(time)',
  last: { argMax: last.by('argMax'), join: last.join, row_number: last.number, 'LIMIT 1 BY': last.limitBy },
}

export class Chdb {
  name = 'chDB'
  static missing() {
    try { require('chdb') } catch (e) { return `npm package chdb cannot be loaded (${e.message.split('\n')[0]})` }
  }

  async start(dir) {
    const begin = now()
    this.api = require('chdb')
    await this.api.drainPending() // it has one data directory at a time
    this.session = new this.api.Session(`${dir}/data`)
    this.version = this.one('SELECT version()')
    return now() - begin
  }

  one(sql) { return this.session.query(sql, 'TSV').trim() }

  // Codecs: differences of integers are small; Gorilla loses against plain ZSTD where decimals are walks of hundredths.
  create(table, kind) {
    const type = kind === 'float' ? 'Float64 CODEC(ZSTD(1))' : 'Int64 CODEC(Delta, ZSTD(1))'
    this.session.query(`CREATE TABLE ${table} (time DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)), ${tags.map(t => `${t} LowCardinality(String)`).join(', ')},
      ${fields.map(f => `${f} ${type}`).join(', ')}) ENGINE = MergeTree ORDER BY (hostname, time)`, 'TSV')
  }

  async load({ table, rows, kind, brief }) {
    const loads = []
    this.create('cpu', kind)
    const begin = now()
    this.session.query(`INSERT INTO cpu SELECT * FROM file('${table}', 'CSVWithNames')`, 'TSV')
    loads.push({ how: 'INSERT SELECT FROM file, CSV', rows, seconds: (now() - begin) / 1000 })
    if (brief) return loads
    // Each INSERT on disk before the next one.
    this.create('stream', kind)
    this.session.query('ALTER TABLE stream MODIFY SETTING fsync_after_insert = 1', 'TSV')
    const stream = now()
    let done = 0
    for (const piece of batches(table, 10000)) {
      if (now() - stream > STREAM_MS) break
      this.session.query('INSERT INTO stream FORMAT CSV\n' + piece.text.toString('latin1'), 'TSV')
      done += piece.rows
    }
    loads.push({ how: 'INSERT of 10,000 rows, CSV, fsync', stream: true, rows: done, seconds: (now() - stream) / 1000 })
    this.session.query('DROP TABLE stream SYNC', 'TSV')
    return loads
  }

  async settle() { this.session.query('OPTIMIZE TABLE cpu FINAL', 'TSV') }
  async sizes() { return { bytes: Number(this.one("SELECT sum(bytes_on_disk) FROM system.parts WHERE table = 'cpu' AND active")) } }
  spell(query, w) { return spell(query, w, dialect) }
  ask(sql) { return this.session.query(sql, 'CSV') }
  rows(answer, query) { return csvRows(answer, query.types, 0) }

  async stop() {
    this.session?.close()
    this.session = null
    await this.api?.drainPending()
  }
}

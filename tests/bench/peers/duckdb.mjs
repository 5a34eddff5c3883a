// DuckDB, in this process. Its rows lie in the order in which they came or were sorted, so there are two tables: the order
// that the loader chose is what makes a query fast or slow.
import { createRequire } from 'node:module'
import { statSync } from 'node:fs'
import { batches, STREAM_MS } from './lines.mjs'
import { now } from './process.mjs'
import { last, spell, columns, tags, fields } from './workload.mjs'

const require = createRequire(import.meta.url)
const dialect = {
  table: 'cpu',
  at: t => `TIMESTAMP '${t}'`,
  bucket: unit => `date_trunc('${unit}', time)`,
  last: { arg_max: last.by('arg_max'), join: last.join, row_number: last.number, 'DISTINCT ON': last.distinct },
}

export class Duck {
  static missing() {
    try { require.resolve('@duckdb/node-api') } catch { return 'npm package @duckdb/node-api is not installed' }
  }

  constructor(_, order) { Object.assign(this, { order, name: `DuckDB (${order})`, family: 'DuckDB' }) }

  async start(dir) {
    const begin = now()
    this.api = require('@duckdb/node-api')
    this.version = this.api.version()
    this.path = `${dir}/cpu.duckdb`
    this.instance = await this.api.DuckDBInstance.create(this.path)
    this.connection = await this.instance.connect()
    return now() - begin
  }

  get schema() { return kind => ['time TIMESTAMP', ...tags.map(t => `${t} VARCHAR`), ...fields.map(f => `${f} ${kind === 'float' ? 'DOUBLE' : 'BIGINT'}`)] }

  async load({ table, rows, kind, brief }) {
    const types = this.schema(kind).map(c => c.split(' ')).map(([n, t]) => `'${n}': '${t}'`).join(', ')
    const begin = now()
    await this.connection.run(`CREATE TABLE cpu AS SELECT * FROM read_csv('${table}', header = true, columns = {${types}}) ORDER BY ${this.order}`)
    await this.connection.run('CHECKPOINT')
    const seconds = (now() - begin) / 1000, stream = this.order === 'time' && !brief ? [await this.stream(table, kind)] : []
    return [...stream, { how: `read_csv, sorted by (${this.order})`, rows, seconds }]
  }

  // Rows by the appender, on disk after each 10,000; for 20 s. Reading the CSV is not counted.
  async stream(path, kind) {
    const { DuckDBInstance, DuckDBTimestampValue } = this.api
    const instance = await DuckDBInstance.create(`${this.path}.stream`), connection = await instance.connect()
    await connection.run(`CREATE TABLE cpu (${this.schema(kind).join(', ')})`)
    const appender = await connection.createAppender('cpu')
    let rows = 0, ms = 0
    for (const { text } of batches(path, 10000)) {
      if (ms > STREAM_MS) break
      const list = text.toString('latin1').split('\n').filter(l => l).map(l => l.split(',')).map(r =>
        [new DuckDBTimestampValue(BigInt(Date.parse(r[0] + 'Z')) * 1000n), ...r.slice(1, 11), ...r.slice(11).map(v => kind === 'float' ? Number(v) : BigInt(v))])
      const begin = now()
      for (const r of list) {
        appender.appendTimestamp(r[0])
        for (let i = 1; i < 11; i++) appender.appendVarchar(r[i])
        for (let i = 11; i < r.length; i++) kind === 'float' ? appender.appendDouble(r[i]) : appender.appendBigInt(r[i])
        appender.endRow()
      }
      appender.flushSync()
      ms += now() - begin
      rows += list.length
    }
    appender.closeSync()
    connection.closeSync()
    instance.closeSync()
    return { how: 'appender, flush each 10,000 rows', stream: true, rows, seconds: ms / 1000 }
  }

  async settle() { await this.connection.run('CHECKPOINT') }
  async sizes() { return { bytes: statSync(this.path).size } }
  spell(query, w) { return spell(query, w, dialect) }

  // Rows are there when their columns are: chunks of typed arrays, and texts as DuckDB packs them, which nobody has looked
  // at yet. To make a JavaScript value of each takes several times as long as most of the queries.
  async ask(sql) {
    const chunks = await (await this.connection.run(sql)).fetchAllChunks()
    for (const c of chunks) for (let i = 0; i < c.columnCount; i++) c.getColumnVector(i)
    return chunks
  }

  rows(answer, query) {
    const cell = { time: v => Number(v.micros / 1000n), number: v => Number(v), text: v => v }
    const parse = query.types.map(t => cell[t])
    return answer.flatMap(chunk => chunk.getRows().map(r => r.map((v, i) => parse[i](v))))
  }

  async stop() {
    this.connection?.closeSync()
    this.instance?.closeSync()
    this.connection = this.instance = null
  }
}

// The rows of a query as JSON lines, run by DuckDB. Time zone UTC.
import { DuckDBInstance } from '@duckdb/node-api'
import { line } from './rows.mjs'

export async function* query(sql) {
  const instance = await DuckDBInstance.create(':memory:')
  const db = await instance.connect()
  await db.run("SET TimeZone = 'UTC'")
  const result = await db.stream(sql)
  const names = result.columnNames(), types = result.columnTypes().map(String)
  const columns = names.map((name, i) => ({
    name,
    kind: types[i] === 'DOUBLE' ? 'double' : /^TIMESTAMP( WITH TIME ZONE)?$/.test(types[i]) ? 'micros' : types[i],
  }))
  for (;;) {
    const chunk = await result.fetchChunk()
    if (!chunk || chunk.rowCount === 0) break
    for (const row of chunk.getRows())
      yield line(columns, row.map((v, i) => columns[i].kind === 'micros' && v !== null ? v.micros : v))
  }
  db.closeSync()
  instance.closeSync()
}

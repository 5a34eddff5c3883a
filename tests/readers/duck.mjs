// node duck.mjs SQL: the rows of a query as JSON lines, run by DuckDB.
// Timestamps are nanoseconds; a ts_nanos column beside them is added in.
import { query } from './duckdb.mjs'

let out = ''
for await (const l of query(process.argv[2])) {
  out += l + '\n'
  if (out.length > 1 << 16) { process.stdout.write(out); out = '' }
}
process.stdout.write(out)

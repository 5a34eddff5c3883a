// node dump.mjs FILE...: all rows of tiles as JSON lines, read by hyparquet.
import { rows } from './hyparquet.mjs'

let out = ''
for (const path of process.argv.slice(2)) {
  for await (const l of rows(path)) {
    out += l + '\n'
    if (out.length > 1 << 16) { process.stdout.write(out); out = '' }
  }
}
process.stdout.write(out)

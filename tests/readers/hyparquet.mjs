// All rows of a tile as JSON lines, read by hyparquet.
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { line } from './rows.mjs'

const parsers = { timestampFromMicroseconds: v => v }

export async function* rows(path, options = {}) {
  const file = await asyncBufferFromFile(path)
  const metadata = await parquetMetadataAsync(file)
  const columns = parquetSchema(metadata).children.map(({ element: e }) => ({
    name: e.name,
    kind: e.type === 'DOUBLE' ? 'double' : e.converted_type === 'TIMESTAMP_MICROS' ? 'micros' : e.type,
  }))
  let rowStart = 0
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows)
    const objects = await parquetReadObjects({ file, metadata, compressors, parsers, rowStart, rowEnd, ...options })
    for (const o of objects) yield line(columns, columns.map(c => o[c.name]))
    rowStart = rowEnd
  }
}

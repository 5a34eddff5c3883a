// lines: a file of lines in batches, as clients of a server send them.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

// A stream is measured for so long, where it would take minutes.
export const STREAM_MS = 20000

// { text, rows } of about `size` lines each; the header of a CSV is left out. All lines are of nearly the same length, so
// batches are cut by bytes; the last one has what is left.
export function* batches(path, size) {
  const fd = openSync(path, 'r')
  try {
    const length = fstatSync(fd).size, probe = Buffer.alloc(Math.min(1 << 20, length))
    readSync(fd, probe, 0, probe.length, 0)
    const perLine = probe.length / count(probe), buffer = Buffer.alloc(Math.ceil(perLine * size * 1.2) + 65536)
    for (let at = path.endsWith('.csv') ? probe.indexOf(10) + 1 : 0; at < length;) {
      const n = readSync(fd, buffer, 0, Math.min(Math.ceil(perLine * size), buffer.length), at)
      const end = at + n >= length ? n : buffer.lastIndexOf(10, n - 1) + 1
      const text = Buffer.from(buffer.subarray(0, end))
      yield { text, rows: count(text) }
      at += end
    }
  } finally {
    closeSync(fd)
  }
}

function count(text) {
  let n = 0
  for (let i = text.indexOf(10); i >= 0; i = text.indexOf(10, i + 1)) n++
  return n
}

// Several clients take from one file of lines; `send` takes a text. Seconds.
export async function send(path, size, clients, send) {
  const all = batches(path, size), begin = performance.now()
  await Promise.all(Array.from({ length: clients }, async () => { for (const b of all) await send(b.text) }))
  return (performance.now() - begin) / 1000
}

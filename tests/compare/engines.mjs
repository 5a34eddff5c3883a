// engines: tidefs, as the program build/.../tests/tools/ask, and DuckDB. Both take statements and give rows of texts,
// null for NULL, in the text forms of tidefs.
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { double } from '../readers/rows.mjs'
import { createStatement, insertStatements, jsonLines } from './data.mjs'

const unescape = { t: '\t', n: '\n', r: '\r', '\\': '\\' }
const cell = s => s === '\\N' ? null : s.includes('\\') ? s.replace(/\\(.)/g, (_, c) => unescape[c]) : s

export class Tide {
  constructor(tool, mode, threads) {
    this.name = `tidefs (${mode}${threads > 1 ? `, ${threads} threads` : ''})`
    this.process = spawn(tool, [mode, String(threads)], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.bytes = Buffer.alloc(0)
    this.waiting = []
    this.process.stdout.on('data', d => { this.bytes = this.bytes.length ? Buffer.concat([this.bytes, d]) : d; this.answer() })
    this.process.on('close', (code, signal) => {
      this.gone = `it ended with ${signal ?? code}`
      this.waiting.splice(0).forEach(w => w({ error: this.gone, died: true }))
    })
    this.process.stdin.on('error', () => {})
  }

  // Takes whole answers off the bytes that came.
  answer() {
    for (;;) {
      const nl = this.bytes.indexOf(10)
      if (nl < 0) return
      const [word, n] = this.bytes.toString('utf8', 0, nl).split(' ')
      const end = nl + 1 + Number(n)
      if (this.bytes.length < end) return
      const text = this.bytes.toString('utf8', nl + 1, end)
      this.bytes = this.bytes.subarray(end)
      this.waiting.shift()(word === 'ok' ? { text } : { error: text })
    }
  }

  request(head, body) {
    if (this.gone) return Promise.resolve({ error: this.gone, died: true })
    const bytes = Buffer.from(body)
    return new Promise(resolve => {
      this.waiting.push(resolve)
      this.process.stdin.write(`${head} ${bytes.length}\n`)
      this.process.stdin.write(bytes)
    })
  }

  async load(name, rows) {
    const r = await this.request(`load ${name}`, jsonLines(name, rows))
    if (r.error) throw new Error(`${this.name}, rows of ${name}: ${r.error}`)
  }

  async ask(statement) {
    const r = await this.request('query', statement)
    if (r.error) return r
    const lines = r.text.split('\n')
    return { columns: lines[0].split('\t').map(cell), rows: lines.slice(1, -1).map(l => l.split('\t').map(cell)) }
  }

  end() { this.process.stdin.end() }
}

// A double as Java prints it, which is what SQL prints here.
export function doubleText(v) {
  const a = Math.abs(v)
  if (!Number.isFinite(v) || v === 0 || (a >= 1e-3 && a < 1e7)) return Object.is(v, -0) ? '-0.0' : double(v).replaceAll('"', '')
  const [digits, exponent] = v.toExponential().split('e')
  return (digits.includes('.') ? digits : digits + '.0') + 'E' + Number(exponent)
}

function timeText(micros) {
  const fraction = ((micros % 1000000n) + 1000000n) % 1000000n
  return new Date(Number((micros - fraction) / 1000n)).toISOString().slice(0, 19).replace('T', ' ') + '.' + String(fraction).padStart(6, '0') + '000'
}

function text(v, type) {
  if (v === null || v === undefined) return null
  if (typeof v === 'object' && 'items' in v) return '[' + v.items.map(x => text(x, type.valueType) ?? 'null').join(', ') + ']'
  if (typeof v === 'object' && 'micros' in v) return timeText(v.micros)
  if (typeof v === 'number') return String(type).startsWith('DOUBLE') ? doubleText(v) : String(v)
  if (typeof v === 'object') throw new Error(`a ${type} of DuckDB has no text here`)
  return String(v)
}

export class Duck {
  static async open() {
    const { DuckDBInstance } = createRequire(new URL('../readers/package.json', import.meta.url))('@duckdb/node-api')
    const d = new Duck()
    d.name = 'DuckDB'
    d.connection = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect()
    return d
  }

  async load(name, rows) {
    for (const s of [createStatement(name), ...insertStatements(name, rows)]) await this.connection.run(s)
  }

  async ask(statement) {
    try {
      const r = await this.connection.runAndReadAll(statement)
      const types = r.columnTypes()
      return { columns: r.columnNames(), rows: r.getRows().map(row => row.map((v, i) => text(v, types[i]))) }
    } catch (e) {
      return { error: e.message.split('\n')[0] }
    }
  }

  end() { this.connection.closeSync() }
}

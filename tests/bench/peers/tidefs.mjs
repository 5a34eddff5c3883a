// tidefs, through its mount: a file is opened, written and read, and nothing else.
import { spawn } from 'node:child_process'
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { csvRows } from './check.mjs'
import { Server, atEnd, bytesBelow, now, run, sleep } from './process.mjs'
import { last, spell } from './workload.mjs'

export const dialect = {
  table: 'tsbs.cpu',
  at: t => `TIMESTAMP '${t}'`,
  bucket: unit => `bin(time, ${unit === 'hour' ? '1h' : '1m'})`,
  last: { max_by: last.by('max_by'), join: last.join, row_number: last.number },
}

const QUIET_MS = 10000

export class Tidefs {
  static missing({ daemon }) { return existsSync(daemon) ? null : `${daemon} is not built` }

  // encoding: of tiles, as settings/encoding.
  constructor({ daemon }, encoding = 'open') { Object.assign(this, { daemon, encoding, name: encoding === 'open' ? 'tidefs' : `tidefs, ${encoding}` }) }

  get version() { return run(this.daemon, ['--version']).trim().replace(/^tidefs /, '') }

  async start(dir) {
    Object.assign(this, { dir, data: `${dir}/data`, mnt: `${dir}/mnt`, piece: Buffer.alloc(1 << 20) })
    mkdirSync(this.mnt, { recursive: true })
    const begin = now()
    this.server = new Server(this.daemon, [this.data, this.mnt, '-f'], { log: `${dir}/log` })
    atEnd(() => this.stop())
    await this.server.until(() => existsSync(`${this.mnt}/README`))
    return now() - begin
  }

  // cat FILE >> ingest, and fsync: from here on the rows survive power loss.
  async load({ lines, rows }) {
    if (!existsSync(`${this.mnt}/tsbs`)) mkdirSync(`${this.mnt}/tsbs`)
    mkdirSync(`${this.mnt}/tsbs/cpu`)
    writeFileSync(`${this.mnt}/tsbs/cpu/settings/encoding`, this.encoding)
    const ingest = `${this.mnt}/tsbs/cpu/ingest`, begin = now(), fd = openSync(ingest, 'a')
    const code = await new Promise(done => spawn('cat', [lines], { stdio: ['ignore', fd, 'inherit'] }).on('close', done))
    fsyncSync(fd)
    closeSync(fd)
    const seconds = (now() - begin) / 1000
    if (code !== 0) throw new Error(`cat ${lines} >> ${ingest} ended with ${code}`)
    const { at, waiting } = await this.quiet()
    return [{ how: 'cat file >> ingest, fsync', stream: true, rows, seconds, settled: (at - begin) / 1000, waiting, peak: this.server.peak }]
  }

  // Until tiles stop growing: when that was, and how many rows are in none yet. Less than a tenth of a date may wait for more
  // of its kind, for up to five minutes.
  async quiet() {
    for (let tiles = -1, at = now(); ; await sleep(20)) {
      const s = this.stats()
      if (s.tile_rows !== tiles) [tiles, at] = [s.tile_rows, now()]
      if (s.memory_rows === 0 || (tiles > 0 && now() - at > QUIET_MS)) return { at, waiting: s.memory_rows }
    }
  }

  // Of many rows we wait for these too, since they are read from another kind of file.
  async settle({ rows }) {
    if (rows > 1e6) await this.inTiles()
  }

  async inTiles() {
    for (const begin = now(); this.stats().memory_rows; await sleep(100))
      if (now() - begin > 600000) throw new Error('not all in tiles after 600 s')
  }

  stats() {
    const zero = { memory_rows: 0, tile_rows: 0 }
    return { ...zero, ...Object.fromEntries([...readFileSync(`${this.mnt}/tsbs/cpu/stats`, 'utf8').matchAll(/^(\w+): (\d+)$/mg)].map(([, k, v]) => [k, Number(v)])) }
  }

  async sizes() {
    return { bytes: bytesBelow(`${this.mnt}/tsbs/cpu/magnetic`), rows: this.stats().tile_rows, all: bytesBelow(this.data) }
  }

  spell(query, w) { return spell(query, w, dialect) }

  ask(sql) { return this.through('query', sql) }

  // Open to close, in one process.
  through(file, sql) {
    const fd = openSync(`${this.mnt}/${file}`, 'r+')
    try {
      writeSync(fd, sql)
      return this.all(fd)
    } finally {
      closeSync(fd)
    }
  }

  // The file name is the statement.
  named(sql) {
    const fd = openSync(`${this.mnt}/q/${sql.replaceAll('/', '%2F')}`, 'r')
    try {
      return this.all(fd)
    } finally {
      closeSync(fd)
    }
  }

  all(fd) {
    const parts = []
    for (let n; (n = readSync(fd, this.piece, 0, this.piece.length, null)) > 0;) parts.push(Buffer.from(this.piece.subarray(0, n)))
    return Buffer.concat(parts)
  }

  rows(answer, query) { return csvRows(answer.toString('latin1'), query.types) }

  async stop() {
    if (!this.server || this.server.ended) return
    try { run('fusermount3', ['-u', this.mnt]) } catch { run('fusermount3', ['-u', '-z', this.mnt]) }
    await this.server.gone
  }
}

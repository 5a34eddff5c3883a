// InfluxDB 1.x, by HTTP. Each batch is in its log and synced before the answer.
import { mkdirSync, writeFileSync } from 'node:fs'
import { Http, Server, bytesBelow, debian, found, freePort, now, still } from './process.mjs'
import { send } from './lines.mjs'
import { columns, fields } from './workload.mjs'

export class Influx {
  name = 'InfluxDB'
  static package = 'influxdb'
  static missing() { return found('influxd') ? null : 'there is no influxd (Debian package influxdb)' }

  async start(dir) {
    Object.assign(this, { dir, version: debian('influxdb') })
    const [port, bind] = [await freePort(), await freePort()]
    for (const d of ['meta', 'data', 'wal']) mkdirSync(`${dir}/${d}`, { recursive: true })
    // Files that nobody writes to any more are compacted at once, as a day later they would be.
    writeFileSync(`${dir}/conf`, `reporting-disabled = true
bind-address = "127.0.0.1:${bind}"
[meta]
  dir = "${dir}/meta"
[data]
  dir = "${dir}/data"
  wal-dir = "${dir}/wal"
  index-version = "tsi1"
  cache-snapshot-write-cold-duration = "1s"
  compact-full-write-cold-duration = "2s"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:${port}"
  log-enabled = false
`)
    const begin = now()
    this.http = new Http(port, 4)
    this.server = new Server('influxd', ['-config', `${dir}/conf`], { log: `${dir}/log` })
    await this.server.until(() => this.http.get('/ping').then(() => true, () => false))
    return now() - begin
  }

  async statement(text) { await this.http.post('/query?q=' + encodeURIComponent(text)) }

  async load({ lines, rows, brief }) {
    const loads = []
    for (const clients of brief ? [4] : [1, 4]) {
      await this.statement('DROP DATABASE tsbs')
      await this.statement('CREATE DATABASE tsbs')
      const seconds = await send(lines, 10000, clients, text => this.http.post('/write?db=tsbs', text))
      loads.push({ how: `HTTP, batches of 10,000, ${clients === 1 ? '1 client' : `${clients} clients`}`, stream: true, rows, seconds })
    }
    loads.at(-1).peak = this.server.peak
    return loads
  }

  settle() { return still(this.dir) }
  async sizes() { return { bytes: bytesBelow(`${this.dir}/data`) + bytesBelow(`${this.dir}/wal`) } }

  spell(query, w) {
    const at = s => `'${new Date(s * 1000).toISOString().slice(0, 19)}Z'`
    const within = `time >= ${at(w.from)} AND time < ${at(w.to)}`
    const where = w.hosts.length ? `(${w.hosts.map(h => `hostname = '${h}'`).join(' OR ')}) AND ${within}` : within
    const per = query.unit === 'hour' ? '1h' : '1m'
    const sql = {
      grouped: () => `SELECT ${query.metrics.map(f => `${query.aggregate === 'avg' ? 'mean' : query.aggregate}(${f})`).join(', ')} FROM cpu WHERE ${where} GROUP BY time(${per})${query.byHost ? ', hostname' : ''} fill(none)`,
      high: () => `SELECT ${columns.slice(1).join(', ')} FROM cpu WHERE usage_user > 90 AND ${where}`,
      newest: () => `SELECT max(usage_user) FROM cpu WHERE time < ${at(w.to)} GROUP BY time(1m) fill(none) ORDER BY time DESC LIMIT 5`,
      last: () => `SELECT ${fields.join(', ')} FROM cpu GROUP BY hostname ORDER BY time DESC LIMIT 1`,
    }[query.kind]()
    return [{ spelling: '', sql }]
  }

  ask(sql) { return this.http.get('/query?db=tsbs&epoch=ms&q=' + encodeURIComponent(sql), { Accept: 'application/csv' }) }

  // name,tags,time,values...; the tag of a group reads hostname=host_7.
  rows(answer, query) {
    const out = []
    for (const l of answer.toString('latin1').split('\n')) {
      if (!l || l.startsWith('name,')) continue
      const [, tag, time, ...rest] = l.split(',')
      const host = tag ? [tag.slice(tag.indexOf('=') + 1)] : []
      const texts = query.kind === 'high' ? 10 : 0
      const values = rest.map((v, i) => i < texts ? v : Number(v))
      out.push(query.kind === 'last' ? [...host, Number(time), ...values] : [Number(time), ...host, ...values])
    }
    return out
  }

  async stop() {
    this.http?.close()
    await this.server?.stop()
  }
}

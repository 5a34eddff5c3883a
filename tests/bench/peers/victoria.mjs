// VictoriaMetrics, by HTTP. Each field is a series of its own and a query gives one value a series and step, so rows with
// all columns of a moment (high-cpu, lastpoint) and the newest minutes that there are (groupby-orderby-limit) cannot be asked
// for. Samples are held in memory for some seconds before they are written: it promises less than the others.
//
// A step of its rollups looks back from its end: asked for 10:00:59.999 with [1m], it is SQL's minute of 10:00. It knows no
// other bounds, so the first and the last minute or hour of a window are whole where SQL has a part of them; these
// are left out when answers are compared.
import { rmSync } from 'node:fs'
import { Http, Server, bytesBelow, debian, found, freePort, now, sleep, still } from './process.mjs'
import { send } from './lines.mjs'

const span = query => query.unit === 'hour' ? 3600 : 60

export class Victoria {
  name = 'VictoriaMetrics'
  static package = 'victoria-metrics'
  static missing() { return found('victoria-metrics') ? null : 'there is no victoria-metrics (Debian package victoria-metrics)' }

  async start(dir) {
    this.dir = dir
    const port = await freePort(), begin = now()
    this.http = new Http(port, 4)
    this.server = new Server('victoria-metrics', [`-storageDataPath=${dir}/data`, `-httpListenAddr=127.0.0.1:${port}`, '-retentionPeriod=100y',
      '-loggerLevel=ERROR', '-search.maxUniqueTimeseries=1000000'], { log: `${dir}/log` })
    await this.server.until(() => this.http.get('/health').then(() => true, () => false))
    this.version = debian('victoria-metrics')
    return now() - begin
  }

  // Deleting series leaves their samples in files, so one client has a server of its own.
  async load({ lines, rows, brief }) {
    const loads = []
    for (const clients of brief ? [4] : [1, 4]) {
      if (loads.length) {
        await this.stop()
        rmSync(`${this.dir}/data`, { recursive: true })
        await this.start(this.dir)
      }
      const seconds = await send(lines, 10000, clients, text => this.http.post('/write', text))
      loads.push({ how: `HTTP, batches of 10,000, ${clients === 1 ? '1 client' : `${clients} clients`}`, stream: true, rows, seconds })
    }
    loads.at(-1).peak = this.server.peak
    return loads
  }

  async settle() {
    await this.http.get('/internal/force_flush')
    await this.http.get('/internal/force_merge')
    await sleep(1000)
    await still(`${this.dir}/data`)
  }

  async sizes() { return { bytes: bytesBelow(`${this.dir}/data`) } }

  spell(query, w) {
    if (query.kind !== 'grouped') return null
    const step = span(query), f = query.aggregate
    const start = Math.floor(w.from / step) * step + step - 0.001, end = Math.ceil(w.to / step) * step - 0.001
    const hosts = w.hosts.length ? `,hostname=~"${w.hosts.join('|')}"` : ''
    const sql = `${f}(${f}_over_time({__name__=~"cpu_(${query.metrics.join('|')})"${hosts}}[${step}s])) by (__name__${query.byHost ? ', hostname' : ''})`
    return [{ spelling: '', sql: `query=${encodeURIComponent(sql)}&start=${start}&end=${end}&step=${step}&nocache=1` }]
  }

  ask(sql) { return this.http.get('/api/v1/query_range?' + sql) }

  rows(answer, query) {
    const byKey = new Map()
    for (const { metric, values } of JSON.parse(answer).data.result) {
      const at = query.metrics.indexOf(metric.__name__.slice('cpu_'.length))
      for (const [t, v] of values) {
        const time = (Math.round(t + 0.001) - span(query)) * 1000, key = query.byHost ? [time, metric.hostname] : [time], name = key.join()
        if (!byKey.has(name)) byKey.set(name, [...key, ...query.metrics.map(() => null)])
        byKey.get(name)[key.length + at] = Number(v)
      }
    }
    return [...byKey.values()]
  }

  // Which rows of an answer both can have.
  comparable(query, w) { return r => r[0] >= w.from * 1000 && r[0] + span(query) * 1000 <= w.to * 1000 }

  async stop() {
    this.http?.close()
    await this.server?.stop()
  }
}

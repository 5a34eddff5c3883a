// workload: the rows and the fifteen queries of TSBS's "devops cpu-only" case, as data, and how SQL spells the queries.
//
// A query asks for windows of time and for hosts that dice choose: the same seed gives every system the same ones.
import { Dice } from '../../compare/random.mjs'

export const tags = ['hostname', 'region', 'datacenter', 'rack', 'os', 'arch', 'team', 'service', 'service_version', 'service_environment']
export const fields = ['usage_user', 'usage_system', 'usage_idle', 'usage_nice', 'usage_iowait', 'usage_irq', 'usage_softirq', 'usage_steal',
  'usage_guest', 'usage_guest_nice']
export const columns = ['time', ...tags, ...fields]
export const START = Date.UTC(2016, 0, 1) / 1000 // where gen_tsbs begins

export const scales = {
  quick: { hosts: 100, step: 10, hours: 24 },
  main: { hosts: 100, step: 10, hours: 72 },
  card: { hosts: 4000, step: 10, hours: 3 },
}
export const rowsOf = s => s.hosts * s.hours * 3600 / s.step
export const valuesOf = s => rowsOf(s) * fields.length

// ---- the queries ------------------------------------------------------------------------------------------------
// grouped: `aggregate` of the first `metrics` fields per `unit`, of `hosts` hosts (0: all), of each host apart or of all.
const grouped = (name, metrics, hosts, hours, unit, aggregate, byHost = false) => ({
  name, kind: 'grouped', metrics: fields.slice(0, metrics), hosts, hours, unit, aggregate, byHost,
  // Averages are added up in any order, everything else is exact.
  exact: aggregate === 'max', keys: byHost ? 2 : 1,
  types: ['time', ...(byHost ? ['text'] : []), ...Array(metrics).fill('number')],
})
const whole = { types: ['time', ...tags.map(() => 'text'), ...fields.map(() => 'number')], exact: true, keys: 0 }

export const queries = [
  ...[[1, 1, 1], [1, 1, 12], [1, 8, 1], [5, 1, 1], [5, 1, 12], [5, 8, 1]].map(([m, hosts, hours]) =>
    grouped(`single-groupby-${m}-${hosts}-${hours}`, m, hosts, hours, 'minute', 'max')),
  ...[1, 8].map(hosts => grouped(`cpu-max-all-${hosts}`, 10, hosts, 8, 'hour', 'max')),
  ...[1, 5, 10].map(m => grouped(`double-groupby-${m === 10 ? 'all' : m}`, m, 0, 12, 'hour', 'avg', true)),
  { ...whole, name: 'high-cpu-1', kind: 'high', hosts: 1, hours: 12 },
  { ...whole, name: 'high-cpu-all', kind: 'high', hosts: 0, hours: 12 },
  { name: 'lastpoint', kind: 'last', hosts: 0, hours: 0, types: ['text', 'time', ...fields.map(() => 'number')], exact: true, keys: 0 },
  { name: 'groupby-orderby-limit', kind: 'newest', hosts: 0, hours: 1, types: ['time', 'number'], exact: true, keys: 1, descending: true },
]

// The i-th window of a query: seconds since 1970 and names of hosts. Windows that are longer than the data are all of it.
export function windowOf(query, scale, seed, i) {
  const dice = new Dice((seed * 1000 + queries.findIndex(q => q.name === query.name)) * 1000 + i)
  const length = Math.min(query.hours, scale.hours) * 3600
  const from = START + dice.between(0, scale.hours * 3600 - length)
  const hosts = dice.some(Array.from({ length: scale.hosts }, (_, n) => n), query.hosts, query.hosts)
  return { from, to: from + length, hosts: hosts.map(n => `host_${n}`) }
}

// ---- SQL ----------------------------------------------------------------------------------------------------------
export const text = s => new Date(s * 1000).toISOString().slice(0, 19).replace('T', ' ')

// dialect: { table, at(text of a time), bucket(unit), last: { spelling: statement } }. Gives [{ spelling, sql }]: the
// last row of each host can be asked for in several ways, which a system may find more or less easy.
export function spell(query, w, dialect) {
  const { table, at, bucket } = dialect
  const within = `time >= ${at(text(w.from))} AND time < ${at(text(w.to))}`
  const where = w.hosts.length ? `hostname IN (${w.hosts.map(h => `'${h}'`).join(', ')}) AND ${within}` : within
  const one = sql => [{ spelling: '', sql }]
  switch (query.kind) {
    case 'grouped': {
      const values = query.metrics.map(f => `${query.aggregate}(${f})`).join(', ')
      return query.byHost
        ? one(`SELECT ${bucket(query.unit)} AS t, hostname, ${values} FROM ${table} WHERE ${where} GROUP BY 1, 2 ORDER BY 1, 2`)
        : one(`SELECT ${bucket(query.unit)} AS t, ${values} FROM ${table} WHERE ${where} GROUP BY 1 ORDER BY 1`)
    }
    case 'high':
      return one(`SELECT ${columns.join(', ')} FROM ${table} WHERE usage_user > 90 AND ${where}`)
    case 'newest':
      return one(`SELECT ${bucket('minute')} AS t, max(usage_user) FROM ${table} WHERE time < ${at(text(w.to))} GROUP BY 1 ORDER BY 1 DESC LIMIT 5`)
    case 'last':
      return Object.entries(dialect.last).map(([spelling, make]) => ({ spelling, sql: make(table) }))
  }
}

// Ways to ask for the last row of each host, for dialects to choose from.
const list = (prefix = '') => fields.map(f => prefix + f).join(', ')
export const last = {
  by: name => table => `SELECT hostname, max(time), ${fields.map(f => `${name}(${f}, time)`).join(', ')} FROM ${table} GROUP BY hostname`,
  join: table => `SELECT c.hostname, c.time, ${list('c.')} FROM ${table} c JOIN (SELECT hostname AS h, max(time) AS m FROM ${table} GROUP BY hostname) l ON c.hostname = l.h AND c.time = l.m`,
  number: table => `SELECT hostname, time, ${list()} FROM (SELECT hostname, time, ${list()}, row_number() OVER (PARTITION BY hostname ORDER BY time DESC) AS n FROM ${table}) x WHERE n = 1`,
  distinct: table => `SELECT DISTINCT ON (hostname) hostname, time, ${list()} FROM ${table} ORDER BY hostname, time DESC`,
  limitBy: table => `SELECT hostname, time, ${list()} FROM ${table} ORDER BY hostname, time DESC LIMIT 1 BY hostname`,
}

// query: whole queries. A query has
//
//	node		its text
//	columns		[{ name, type, rough, inexact }, ...]
//	unique		names of columns that no two rows agree in; null: unknown
//	size		about how many rows it has
//	order		numbers of the columns that its ORDER BY names, outermost query alone
import { differ } from './dialect.mjs'
import { tables } from './data.mjs'
import { Expressions, types } from './expr.mjs'
import { join, none, print, sql, typed } from './tree.mjs'

const PAIRS = 150000 // a join without an equality looks at no more
const comparisons = ['=', '<>', '<', '<=', '>', '>=']

export class Queries extends Expressions {
  constructor(dice) {
    super(dice)
    this.with = [] // WITH queries that may be read: { name, columns, unique, size }
  }

  // ---- relations: { node, columns, unique, size, alias } -------------------------------------------------------
  table(name) {
    const alias = this.name('t'), t = tables[name]
    const columns = Object.entries(t.columns).map(([c, k]) => Object.assign(typed(k.type, sql`${alias}.${c}`), { plain: c, key: k.dimension || c === 'n', id: k.id }))
    return { node: sql`${name} ${alias}`, columns, unique: columns.filter(c => c.id), size: t.size, alias, table: name }
  }

  // Columns of a query under an alias.
  derived(q, source) {
    const alias = this.name('q')
    const columns = q.columns.map(c => Object.assign(typed(c.type, sql`${alias}.${c.name}`), { plain: c.name, rough: c.rough, inexact: c.inexact, key: true }))
    return { node: sql`${source ?? sql`(${q.node})`} AS ${alias}`, columns, unique: q.unique && columns.filter(c => q.unique.includes(c.plain)), size: q.size, alias }
  }

  values() {
    const kinds = ['bigint', ...this.d.list(1, 2, () => this.d.pick(types))], names = kinds.map(() => this.name('c')), rows = this.d.between(1, 5)
    const none = { columns: [] }
    const list = Array.from({ length: rows }, (_, i) => sql`(${kinds.map((k, c) => c ? this.simple(k, none) : sql`CAST(${i + 1} AS BIGINT)`)})`)
    const alias = this.name('v')
    const columns = kinds.map((k, i) => Object.assign(typed(k, sql`${alias}.${names[i]}`), { plain: names[i], key: true }))
    return { node: sql`(VALUES ${list}) AS ${alias} (${names})`, columns, unique: [columns[0]], size: rows, alias }
  }

  // A relation of few rows (some 60).
  small(depth) {
    const d = this.d
    return d.weighed([
      [5, () => this.table('ev')], [5, () => this.table('dev')], [2, () => this.values()],
      [depth > 0 ? 4 : 0, () => this.derived(this.query({ depth: depth - 1, small: true }))],
      [this.with.length ? 8 : 0, () => { const w = d.pick(this.with); return this.derived(w, sql`${w.name}`) }],
      [depth > 0 ? 1 : 0, () => this.few()],
    ])()
  }

  // A part of the big table that has few rows.
  few() {
    const t = this.table('big'), id = t.unique[0], from = this.d.below(19000)
    const names = t.columns.map(() => this.name('c'))
    const q = { node: sql`SELECT ${t.columns.map((c, i) => sql`${c} AS ${names[i]}`)} FROM ${t.node} WHERE ${id} BETWEEN ${from} AND ${from + this.d.between(0, 120)}`,
      columns: t.columns.map((c, i) => ({ name: names[i], type: c.type })), unique: [names[t.columns.indexOf(id)]], size: 60 }
    return this.derived(q)
  }

  // ---- FROM: a scope with its node ----------------------------------------------------------------------------
  from(depth, small, outer) {
    const d = this.d
    if (!small && d.chance(30)) {
      const big = this.scope(this.table('big'), outer)
      return d.chance(60) ? big : this.join(big, d.chance(75) ? this.small(depth) : this.table('big'))
    }
    let s = this.scope(this.small(depth), outer)
    for (let n = d.weighed([[4, 0], [5, 1], [2, 2]]); n > 0; n--)
      s = d.chance(15) ? this.beside(s) : this.join(s, this.small(depth))
    return s
  }

  scope(r, outer) {
    return { node: r.node, columns: r.columns, unique: r.unique, size: r.size, relations: [r], outer, subqueries: true }
  }

  both(left, right, node, size, columns) {
    return { node, columns: columns ?? [...left.columns, ...right.columns], size: Math.max(1, Math.round(size)), relations: [...left.relations, right],
      unique: left.unique && right.unique && [...left.unique, ...right.unique], outer: left.outer, subqueries: true }
  }

  // An equality between two sides; the share of pairs that it keeps.
  equality(left, right) {
    const d = this.d, pairs = []
    for (const a of left.columns)
      for (const b of right.columns)
        if (a.type === b.type && !a.inexact && !b.inexact && (a.type !== 'boolean' || d.chance(5))) pairs.push([a, b])
    if (!pairs.length) return null
    const named = pairs.filter(([a, b]) => a.plain === b.plain)
    const [a, b] = named.length && d.chance(75) ? d.pick(named) : d.pick(pairs)
    return { node: sql`${a} = ${b}`, share: a.plain === 'time' ? 0.02 : a.plain?.startsWith('c') ? 0.3 : 0.15 }
  }

  join(left, right) {
    const d = this.d, pairs = left.size * right.size
    const r = right
    if (left.using) left = { ...left, columns: left.columns.filter(c => !c.merged) }
    if (right.table === 'big' && left.size > 1000) {
      // Both are big: by what no two rows agree in.
      const kind = d.pick(['JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN'])
      const more = this.pairCondition(left, right)
      return this.both(left, r, sql`${left.node} ${kind} ${right.node} ON ${left.columns.find(c => c.id)} = ${right.unique[0]}${d.chance(40) ? ` + ${d.between(0, 40)}` : ''}${more && d.chance(60) ? sql` AND ${more}` : none}`, left.size)
    }
    const kind = d.pick(['JOIN', 'INNER JOIN', 'LEFT JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN', 'CROSS JOIN', ','])
    // Behind a comma ON does not see what stands before it: what follows has commas, too, and conditions in WHERE.
    if (kind === ',' || left.comma) {
      const e = pairs > 8000 || d.chance(60) ? this.equality(left, right) : null
      if (!e && pairs > 8000) return left
      const s = this.both(left, r, sql`${left.node}, ${right.node}`, pairs * (e?.share ?? 1))
      return Object.assign(s, { comma: true, where: [...(left.where ?? []), ...(e ? [e.node] : [])] })
    }
    if (kind === 'CROSS JOIN') {
      if (pairs < 8000) return this.both(left, r, sql`${left.node} CROSS JOIN ${right.node}`, pairs)
    } else if (left.relations.length === 1 && !left.using && d.chance(25) && pairs < PAIRS * 8) {
      const names = left.columns.map(c => c.plain).filter(c => c && ['host', 'region', 'n'].includes(c) && right.columns.some(k => k.plain === c))
      if (names.length) {
        const using = d.some(names, 1, 2)
        const merged = using.map(c => Object.assign(typed(left.columns.find(k => k.plain === c).type, sql`${c}`), { merged: true }))
        const s = this.both(left, r, sql`${left.node} ${kind} ${right.node} USING (${using})`, pairs * 0.12, [...merged, ...left.columns, ...right.columns])
        return Object.assign(s, { using: true })
      }
    }
    const both = { columns: [...left.columns, ...right.columns], bare: true }
    const conditions = []
    let share = 1
    const full = kind === 'FULL JOIN'
    if (pairs > 8000 || full || d.chance(75)) {
      for (let i = d.chance(25) ? 2 : 1; i > 0 || share * pairs > PAIRS; i--) {
        const e = this.equality(left, right)
        if (!e || i < -3) break
        conditions.push(e.node)
        share *= e.share
      }
    }
    if (!conditions.length && full) return left
    if (pairs > PAIRS && !conditions.length) return left
    // DuckDB takes nothing but comparisons of the sides in the ON of outer joins that are no equalities.
    if (!conditions.length || d.chance(30)) {
      const a = this.pairCondition(left, right)
      conditions.push(a ?? sql`${this.condition(both, 1)}`)
      share *= 0.5
    }
    const word = kind === 'CROSS JOIN' ? 'JOIN' : kind
    return this.both(left, r, sql`${left.node} ${word} ${right.node} ON ${join(conditions, ' AND ')}`, Math.max(pairs * share, /LEFT|FULL/.test(word) ? left.size : 0, /RIGHT|FULL/.test(word) ? right.size : 0))
  }

  pairCondition(left, right) {
    const d = this.d, type = d.pick(['bigint', 'double', 'timestamp', 'varchar'])
    const a = this.column(left, type), b = this.column(right, type)
    return a && b && sql`${a} ${d.pick(['<', '<=', '>', '>=', '<>', 'IS NOT DISTINCT FROM'])} ${b}`
  }

  // What sees the columns to its left: UNNEST or LATERAL.
  beside(left) {
    const d = this.d, words = left.comma ? [', '] : [', ', ' CROSS JOIN ', ' LEFT JOIN ']
    const joined = (right, node, size, word) => ({ ...this.both(left, right, node, size), unique: null, where: left.where, comma: word === ', ' })
    if (d.chance(55)) {
      const as = this.name('u'), names = [this.name('c'), this.name('c')], type = d.pick(['bigint', 'varchar', 'double'])
      const list = this.list(type, left), word = d.pick(words)
      const on = word === ' LEFT JOIN ' ? ' ON TRUE' : ''
      const columns = [typed(type, sql`${as}.${names[0]}`), typed('bigint', sql`${as}.${names[1]}`)]
      columns.forEach((c, i) => Object.assign(c, { plain: names[i] }))
      if (d.chance(60) || on)
        return joined({ columns: [columns[0]] }, sql`${left.node}${word}UNNEST(${list}) AS ${as} (${names[0]})${on}`, left.size * 3, word)
      return joined({ columns }, sql`${left.node}${word}${differ.unnest_two(list, this.list('bigint', left), as, ...names)}`, left.size * 4, word)
    }
    const r = this.linked(left)
    const most = d.between(1, 3), as = this.name('l')
    const inner = r.d.columns.filter(c => !c.inexact), picked = d.some(inner, 1, 3), names = picked.map(() => this.name('c'))
    const grouped = d.chance(40)
    const made = grouped ? d.list(1, 2, () => this.aggregate(d.pick(types), r.d, true)) : picked
    made.forEach((_, i) => names[i] ??= this.name('c'))
    const tail = grouped ? none : sql` ORDER BY ${made.map((_, i) => sql`${i + 1}`)} LIMIT ${most}`
    const columns = made.map((m, i) => Object.assign(typed(m.type, sql`${as}.${names[i]}`), { plain: names[i], rough: m.rough }))
    const body = sql`LATERAL (SELECT ${made.map((m, i) => sql`${m} AS ${names[i]}`)} FROM ${r.node} WHERE ${r.where}${tail}) AS ${as}`
    const word = d.pick(words)
    return joined({ columns }, sql`${left.node}${word}${body}${word === ' LEFT JOIN ' ? ' ON TRUE' : ''}`, left.size * most, word)
  }

  // ---- subqueries -----------------------------------------------------------------------------------------------
  // A relation and a condition that ties it to a scope: { node, where, d: the scope within }.
  linked(scope, always = false) {
    const d = this.d, r = d.weighed([[4, () => this.table('ev')], [4, () => this.table('dev')], [scope.size < 2000 ? 1 : 0, () => this.values()]])()
    const inside = { ...this.scope(r, scope), subqueries: false }
    const near = { columns: scope.linkable ?? scope.columns.filter(c => c.plain) }
    const conditions = []
    if (near.columns.length && (always || d.chance(80))) {
      const e = d.chance(80) || scope.size > 2000 ? this.equality(r, near) : null
      conditions.push(e ? e.node : this.pairCondition(r, near) ?? sql`TRUE`)
    }
    if (d.chance(35)) conditions.push(this.condition(inside, 1))
    if (!conditions.length) conditions.push(sql`TRUE`)
    return { node: r.node, where: join(conditions, ' AND '), d: inside }
  }

  // One value.
  scalar(type, scope) {
    const s = this.linked(scope), d = this.d
    if (d.chance(25) && s.d.unique?.length)
      return typed(type, sql`(SELECT ${this.simple(type, s.d)} FROM ${s.node} WHERE ${s.where} ORDER BY ${this.orderKeys(s.d.unique)} LIMIT 1)`)
    return typed(type, sql`(SELECT ${this.aggregate(type, s.d, true)} FROM ${s.node} WHERE ${s.where}${d.chance(10) ? sql` HAVING count(*) > ${d.between(0, 3)}` : none})`)
  }

  subqueryCondition(scope) {
    const d = this.d, s = this.linked(scope), type = d.weighed([[3, 'bigint'], [3, 'varchar'], [2, 'double'], [1, 'timestamp']])
    const x = this.expr(type, { ...scope, subqueries: false }, 1)
    const list = value => sql`SELECT ${value} FROM ${s.node} WHERE ${s.where}`
    return d.weighed([
      [4, () => sql`(${d.chance(40) ? 'NOT ' : ''}EXISTS (${list(sql`1`)}))`],
      [4, () => sql`(${x}${d.chance(50) ? ' NOT' : ''} IN (${list(this.expr(type, s.d, 1))}))`],
      [3, () => sql`(${x} ${d.pick(comparisons)} ${d.pick(['ANY', 'ALL', 'SOME'])} (${list(this.expr(type, s.d, 1))}))`],
      [2, () => sql`(${x} ${d.pick(comparisons)} ${this.scalar(type, scope)})`],
      // DuckDB has its operands inside a subquery, where a group's expression cannot stand.
      [scope.linkable ? 0 : 1, () => differ.rows_in(x, this.simple('bigint', scope), d.chance(40) ? ' NOT' : '', this.simple(type, s.d), this.simple('bigint', s.d), s.node, s.where)],
    ])()
  }

  // ---- SELECT -----------------------------------------------------------------------------------------------------
  // want: types that the columns must have; null: as it comes. small: few rows.
  select({ depth, small = false, want = null, outer = null }) {
    const d = this.d, s = this.from(depth, small, outer)
    if (s.size > 3000) s.subqueries = d.chance(50)
    const conditions = [...(s.where ?? []), ...(d.chance(45) ? [this.condition(s, 2)] : [])]
    const where = conditions.length ? sql` WHERE ${join(conditions, ' AND ')}` : none
    return d.weighed([
      [4, () => this.plain(s, where, want)],
      [5, () => this.grouped(s, where, want)],
      [want ? 1 : 3, () => this.plain(s, where, want, true)],
    ])()
  }

  finish(head, items, rest, size, unique) {
    const names = items.map(() => this.name('c'))
    const columns = items.map((x, i) => ({ name: names[i], type: x.type, rough: x.rough, inexact: x.inexact }))
    return { node: sql`SELECT ${head}${items.map((x, i) => sql`${x} AS ${names[i]}`)}${rest}`, columns, size, unique: unique && unique.map(u => names[items.indexOf(u)]) }
  }

  plain(s, where, want, windows = false) {
    const d = this.d
    const distinct = !windows && d.chance(25)
    const items = want ? want.map(t => this.expr(t, s, 2)) : d.list(1, 4, () => windows && d.chance(40) ? this.simple(d.pick(types), s) : this.expr(d.pick(types), s, 2))
    const calls = windows ? want ? [] : d.list(1, 3, () => this.window(s)) : []
    let window = none
    if (windows && !want && d.chance(15)) {
      const w = this.name('w')
      window = sql` WINDOW ${w} AS (PARTITION BY ${this.simple(d.pick(['varchar', 'bigint']), s)})`
      calls.push(typed('bigint', sql`count(*) OVER ${w}`))
    }
    let unique = null
    if (!want && s.unique?.length && d.chance(60)) items.push(...(unique = s.unique))
    return this.finish(distinct ? 'DISTINCT ' : '', [...items, ...calls], sql` FROM ${s.node}${where}${window}`, distinct ? Math.min(s.size, 500) : s.size, unique)
  }

  grouped(s, where, want) {
    const d = this.d
    const within = { ...s, subqueries: s.size < 500 && d.chance(20) }
    const key = () => {
      const type = d.weighed([[5, 'varchar'], [3, 'bigint'], [1, 'boolean'], [2, 'timestamp'], [1, 'double']])
      const c = this.column(s, type)
      if (!c) return null
      if (type === 'timestamp') return d.chance(60) ? typed(type, differ.bin(c, d.pick([1, 2, 6]), 'hour')) : c
      if (d.chance(75)) return c
      return { varchar: () => typed(type, sql`coalesce(${c}, 'none')`), bigint: () => typed(type, sql`(${c} % 5)`), boolean: () => c, double: () => typed(type, sql`floor(${c})`) }[type]()
    }
    let keys = [...new Map(d.list(d.chance(15) ? 0 : 1, 3, key).filter(Boolean).map(k => [print(k, 'tide'), k])).values()]
    const sets = keys.length > 0 && d.chance(30)
    let by = sets ? d.weighed([
      [3, () => sql`ROLLUP (${keys})`], [2, () => sql`CUBE (${keys})`],
      [4, () => {
        const list = d.list(1, 4, () => d.some(keys, 0, keys.length))
        if (!list.flat().length) list.push(keys)
        keys = keys.filter(k => list.flat().includes(k))
        return sql`GROUPING SETS (${list.map(l => sql`(${l})`)})`
      }],
      [keys.length > 1 ? 2 : 0, () => sql`${keys[0]}, ROLLUP (${keys.slice(1)})`],
    ])() : none
    const aggregates = (want ?? d.list(1, 3, () => d.pick(types))).map(t => this.aggregate(t, within, Boolean(want)))
    if (!want && d.chance(15)) aggregates.push(this.collected(within))
    // Behind GROUP BY: the keys and the aggregates are what there is.
    const after = { columns: [...keys, ...aggregates.filter(a => !a.inexact && !a.type.startsWith('array'))], linkable: sets ? [] : keys.filter(k => k.plain),
      unique: sets ? null : keys, subqueries: !sets && s.size < 5000, outer: s.outer, size: 100 }
    let items
    if (want) items = want.map((t, i) => d.chance(50) ? aggregates[i] : this.expr(t, after, 1))
    else items = [...keys.filter(() => d.chance(90)), ...aggregates, ...d.list(0, 1, () => this.expr(d.pick(types), after, 2)), ...(d.chance(15) ? [this.window(after)] : [])]
    if (sets) {
      by = sql` GROUP BY ${by}`
      if (!want) items.push(typed('bigint', sql`grouping(${d.some(keys, 1, keys.length)})`))
    } else if (keys.length) {
      const ordinals = !want && keys.every(k => items.includes(k)) && d.chance(15)
      by = ordinals ? sql` GROUP BY ${keys.map(k => sql`${items.indexOf(k) + 1}`)}` : sql` GROUP BY ${keys}`
    }
    const having = d.chance(20) ? sql` HAVING ${this.condition(after, 1)}` : none
    return this.finish('', items, sql` FROM ${s.node}${where}${by}${having}`, keys.length ? Math.min(s.size, 200) : 1,
      !sets && keys.length && keys.every(k => items.includes(k)) ? keys : null)
  }

  // ---- set operations, WITH ---------------------------------------------------------------------------------------
  setOperation({ depth, small }) {
    const d = this.d, want = d.list(1, 3, () => d.pick(types)), n = d.between(2, 3)
    const parts = Array.from({ length: n }, () => this.select({ depth: 0, small, want }))
    let node = sql`(${parts[0].node})`
    for (const p of parts.slice(1)) node = sql`${node} ${d.pick(['UNION', 'UNION ALL', 'INTERSECT', 'INTERSECT ALL', 'EXCEPT', 'EXCEPT ALL'])} (${p.node})`
    const columns = parts[0].columns.map((c, i) => ({ ...c, rough: parts.some(p => p.columns[i].rough) }))
    return { node, columns, size: parts.reduce((sum, p) => sum + p.size, 0), unique: null }
  }

  recursive() {
    const d = this.d, w = this.name('r'), [a, b, c] = [this.name('c'), this.name('c'), this.name('c')], all = d.pick(['UNION', 'UNION ALL'])
    return d.weighed([
      [1, () => ({ node: sql`WITH RECURSIVE ${w} (${a}, ${b}) AS (SELECT CAST(1 AS BIGINT), CAST(${d.between(-3, 9)} AS BIGINT) ${all} SELECT ${a} + 1, (${b} * ${d.between(2, 5)} + ${a}) % 1000 FROM ${w} WHERE ${a} < ${d.between(3, 40)}) SELECT ${a} AS ${a}, ${b} AS ${b} FROM ${w}`,
        columns: [a, b].map(name => ({ name, type: 'bigint' })) })],
      // From device to device along equal numbers; UNION ends it, a depth does otherwise.
      [1, () => ({ node: sql`WITH RECURSIVE ${w} (${a}, ${b}) AS (SELECT did, n FROM dev WHERE did < ${d.between(0, 5)} UNION SELECT e.eid % 30, dev.n FROM ${w}, ev e, dev WHERE e.n = ${w}.${b} AND dev.did = e.eid % 30) SELECT ${a} AS ${a}, ${b} AS ${b} FROM ${w}`,
        columns: [a, b].map(name => ({ name, type: 'bigint' })) })],
      [1, () => ({ node: sql`WITH RECURSIVE ${w} (${a}, ${b}, ${c}) AS (SELECT did, CAST(1 AS BIGINT), label FROM dev WHERE did % 10 = ${d.below(10)} ${all} SELECT dev.did, ${w}.${b} + 1, ${w}.${c} || coalesce(dev.label, '.') FROM ${w} JOIN dev ON dev.did = ${w}.${a} + ${d.between(1, 4)} WHERE ${w}.${b} < 5) SELECT ${a} AS ${a}, ${b} AS ${b}, ${c} AS ${c} FROM ${w}`,
        columns: [[a, 'bigint'], [b, 'bigint'], [c, 'varchar']].map(([name, type]) => ({ name, type })) })],
    ])()
  }

  // ORDER BY of some of the columns, or of all; LIMIT only behind the latter.
  ordered(q) {
    const d = this.d, exact = q.columns.map((c, i) => i).filter(i => !q.columns[i].inexact && !q.columns[i].type.startsWith('array'))
    if (!exact.length) return { ...q, order: [] }
    const all = exact.length === q.columns.length && d.chance(60)
    const order = all ? d.shuffled(exact) : d.some(exact, 1, 2)
    const keys = this.orderKeys(order.map(i => d.chance(50) ? sql`${i + 1}` : sql`${q.columns[i].name}`))
    const limit = all && d.chance(60) ? sql`${d.chance(40) ? sql` OFFSET ${d.between(0, 12)}` : none}` : null
    const n = d.between(0, 60)
    const tail = limit ? sql`${{ tide: sql`${limit} LIMIT ${n}`, duck: sql` LIMIT ${n}${limit}` }}` : none
    return { ...q, node: sql`${q.node} ORDER BY ${keys}${tail}`, order, size: limit ? Math.min(q.size, n) : q.size, limited: Boolean(limit) }
  }

  // A query below another.
  query({ depth, small }) {
    const d = this.d
    const q = d.chance(85) ? this.select({ depth, small }) : this.setOperation({ depth, small })
    return d.chance(10) ? this.ordered(q) : q
  }

  // A whole statement.
  statement() {
    const d = this.d
    if (d.chance(3)) {
      const q = this.recursive()
      return d.chance(50) ? this.ordered({ ...q, size: 100 }) : { ...q, order: [] }
    }
    let head = none
    if (d.chance(20)) {
      const list = d.list(1, 2, () => {
        const name = this.name('w'), q = this.query({ depth: 1, small: true })
        const made = sql`${name} AS (${q.node})`
        this.with.push({ ...q, name })
        return made
      })
      head = sql`WITH ${list} `
    }
    let q = d.chance(85) ? this.select({ depth: 2 }) : this.setOperation({ depth: 1 })
    if (d.chance(55)) q = this.ordered(q)
    return { order: [], ...q, node: sql`${head}${q.node}` }
  }
}

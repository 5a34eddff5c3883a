// expr: expressions of a type over what is in scope. A scope has
//
//	columns: [node, ...]	what a name or an expression may be made of
//	unique: [node, ...]	expressions that no two rows agree in; null: unknown
//	linkable: [node, ...]	columns that a subquery may be tied to (plain names); by default the columns
//	subqueries: bool	whether expressions may have some
//	bare: bool		not even lists behind ANY, which are queries: ON of an outer join takes none
import { differ } from './dialect.mjs'
import { texts } from './data.mjs'
import { inexact, join, none, rough, sql, typed } from './tree.mjs'

export const types = ['bigint', 'double', 'varchar', 'boolean', 'timestamp']
const comparisons = ['=', '<>', '<', '<=', '>', '>=']
const units = ['day', 'hour', 'minute']
const quote = s => `'${s.replaceAll('\'', '\'\'')}'`
const zero = n => Number.isInteger(n) ? n + '.0' : String(n)

export class Expressions {
  constructor(dice) {
    this.d = dice
    this.names = 0
  }

  name(prefix) { return prefix + ++this.names }

  // ---- the simplest ------------------------------------------------------------------------------------------
  literal(type) {
    const d = this.d
    switch (type) {
    case 'bigint': return typed(type, sql`${d.chance(15) ? `(-${d.between(1, 9)})` : d.between(0, 12)}`)
    case 'double': return typed(type, differ.double(d.chance(20) ? `(-${zero(d.between(1, 160) / 8)})` : zero(d.between(0, 400) / 8)))
    case 'varchar': return typed(type, sql`${quote(d.chance(25) ? 'h' + d.below(14) : d.chance(15) ? d.pick(['eu', 'us', 'start', 'stop']) : d.pick(texts))}`)
    case 'boolean': return typed(type, sql`${d.pick(['TRUE', 'FALSE'])}`)
    default: return typed(type, sql`TIMESTAMP '2024-01-01 ${String(d.below(10)).padStart(2, '0')}:${d.pick(['00', '20', '40', '07'])}:00'`)
    }
  }

  column(scope, type) {
    const all = scope.columns.filter(c => c.type === type && !c.inexact)
    return all.length ? this.d.pick(all) : null
  }

  simple(type, scope) {
    return (this.d.chance(80) && this.column(scope, type)) || (this.d.chance(6) ? typed(type, sql`CAST(NULL AS ${type})`) : this.literal(type))
  }

  expr(type, scope, depth) {
    if (depth <= 0 || this.d.chance(35)) return this.simple(type, scope)
    if (scope.subqueries && this.d.chance(6)) return this.scalar(type, scope)
    if (this.d.chance(18)) return this.choice(type, scope, depth - 1)
    return typed(type, this[type](scope, depth - 1))
  }

  // What works for every type.
  choice(type, scope, depth) {
    const x = () => this.expr(type, scope, depth)
    return typed(type, this.d.weighed([
      [3, () => sql`CASE ${join(this.d.list(1, 2, () => sql`WHEN ${this.condition(scope, depth)} THEN ${x()} `), '')}${this.d.chance(70) ? sql`ELSE ${x()} ` : none}END`],
      [1, () => { const of = this.expr('bigint', scope, 0); return sql`CASE ${of} ${join(this.d.list(1, 3, i => sql`WHEN ${i} THEN ${x()} `), '')}ELSE ${x()} END` }],
      [3, () => sql`coalesce(${this.d.list(2, 3, x)})`],
      [2, () => sql`nullif(${x()}, ${x()})`],
      [1, () => differ.if(this.condition(scope, depth), x(), x())],
      [1, () => type === 'boolean' ? x() : differ.extreme(this.d.pick(['least', 'greatest']), x(), x())],
    ])())
  }

  // ---- by type; each gives a node --------------------------------------------------------------------------------
  bigint(scope, depth) {
    const d = this.d, x = () => this.expr('bigint', scope, depth), small = () => this.d.between(2, 7)
    const t = () => this.expr('timestamp', scope, 0), s = () => this.expr('varchar', scope, depth)
    return d.weighed([
      [5, () => sql`(${x()} ${d.pick(['+', '-'])} ${x()})`],
      [2, () => sql`(${x()} * ${small()})`],
      [2, () => differ.divide(x(), d.chance(70) ? small() : sql`nullif(${this.simple('bigint', scope)}, 0)`)],
      [2, () => sql`(${x()} % ${d.chance(70) ? small() : sql`nullif(${this.simple('bigint', scope)}, 0)`})`],
      [1, () => sql`abs(${x()})`],
      [1, () => sql`(-${this.simple('bigint', scope)})`],
      [1, () => differ.sign(x(), 'BIGINT')],
      [1, () => differ.bitwise(this.simple('bigint', scope), d.pick(['&', '|']), this.simple('bigint', scope))],
      [1, () => differ.to_bigint(this.expr('double', scope, depth))],
      [1, () => sql`CAST(${this.condition(scope, depth)} AS BIGINT)`],
      [1, () => sql`TRY_CAST(${this.simple('varchar', scope)} AS BIGINT)`],
      [2, () => sql`length(${s()})`],
      [1, () => sql`strpos(${s()}, ${quote(d.pick(['a', '-', 'h1', 'é']))})`],
      [1, () => differ.levenshtein(this.simple('varchar', scope), this.simple('varchar', scope))],
      [2, () => sql`extract(${d.pick(['YEAR', 'MONTH', 'DAY', 'HOUR', 'MINUTE', 'SECOND', 'WEEK', 'QUARTER', 'DOY'])} FROM ${t()})`],
      [1, () => differ.day_of_week(t())],
      [1, () => differ.date_diff(d.pick(units), t(), t())],
      [1, () => differ.cardinality(this.list('bigint', scope))],
      [1, () => differ.element_at(this.list('bigint', scope), d.between(1, 4))],
    ])()
  }

  double(scope, depth) {
    const d = this.d, x = () => this.expr('double', scope, depth), n = () => this.expr('bigint', scope, depth), plain = () => this.simple('double', scope)
    return d.weighed([
      [5, () => sql`(${x()} ${d.pick(['+', '-'])} ${d.chance(70) ? x() : n()})`],
      [2, () => sql`(${plain()} * ${d.chance(50) ? plain() : this.simple('bigint', scope)})`],
      [2, () => rough(sql`(${x()} / ${d.chance(60) ? differ.double(zero(d.pick([2, 3, 7, 10, 0.5]))) : sql`nullif(${plain()}, ${differ.double('0.0')})`})`)],
      [1, () => sql`abs(${x()})`],
      [1, () => sql`${d.pick(['floor', 'ceil', 'round'])}(${x()})`],
      [1, () => differ.truncate(x())],
      [1, () => rough(sql`round(${plain()}, ${d.between(0, 2)})`)],
      [1, () => differ.sign(x(), 'DOUBLE')],
      [1, () => rough(sql`sqrt(abs(${x()}))`)],
      [2, () => sql`CAST(${n()} AS DOUBLE)`],
      [1, () => sql`(${plain()} % ${differ.double(zero(d.pick([2, 3.5, 8])))})`],
    ])()
  }

  varchar(scope, depth) {
    const d = this.d, x = () => this.expr('varchar', scope, depth), plain = () => this.simple('varchar', scope)
    return d.weighed([
      [3, () => differ.append(plain(), x())],
      [2, () => differ.concat(plain(), x())],
      [2, () => sql`${d.pick(['upper', 'lower', 'reverse', 'trim'])}(${x()})`],
      [2, () => sql`substr(${x()}, ${d.between(1, 4)}${d.chance(60) ? sql`, ${d.between(0, 3)}` : none})`],
      [1, () => sql`replace(${x()}, ${quote(d.pick(['a', '-', 'h']))}, ${quote(d.pick(['', 'xx', 'é']))})`],
      [1, () => differ.split_part(plain(), quote(d.pick(['-', '_'])), d.between(1, 3))],
      [1, () => sql`${d.pick(['lpad', 'rpad'])}(${plain()}, ${d.between(0, 5)}, ${quote(d.pick(['*', 'ab']))})`],
      [1, () => sql`translate(${plain()}, 'abh', ${quote(d.pick(['xyz', 'z', 'éx']))})`],
      [1, () => differ.regexp_replace(plain(), quote(d.pick(['[a-b]', '[0-9]+', 'h'])), quote(d.pick(['', '<>', 'q'])))],
      [2, () => sql`CAST(${this.expr('bigint', scope, depth)} AS VARCHAR)`],
      [1, () => sql`CAST(${this.condition(scope, depth)} AS VARCHAR)`],
      [1, () => differ.time_text(this.expr('timestamp', scope, depth))],
    ])()
  }

  timestamp(scope, depth) {
    const d = this.d, x = () => this.expr('timestamp', scope, depth)
    return d.weighed([
      [3, () => differ.date_trunc(d.pick(['minute', 'hour', 'day', 'week', 'month', 'quarter', 'year']), x())],
      [3, () => differ.bin(x(), d.pick([1, 2, 6, 20]), d.pick(units))],
      [3, () => sql`(${x()} ${d.pick(['+', '-'])} ${differ.interval(d.between(1, 90), d.pick(units))})`],
    ])()
  }

  boolean(scope, depth) { return this.condition(scope, depth) }

  // A list of a few elements; NULLs among them.
  list(type, scope) {
    return typed(`array(${type})`, this.d.weighed([
      [3, () => sql`ARRAY[${this.d.list(1, 4, () => this.simple(type, scope))}]`],
      [1, () => differ.array_sort(sql`ARRAY[${this.d.list(1, 4, () => this.simple(type, scope))}]`)],
      [type === 'bigint' ? 1 : 0, () => differ.sequence(this.d.between(1, 2), this.d.between(2, 5))],
    ])())
  }

  // ---- conditions --------------------------------------------------------------------------------------------------
  condition(scope, depth) { return typed('boolean', this.aCondition(scope, depth)) }

  aCondition(scope, depth) {
    const d = this.d
    if (scope.subqueries && d.chance(9)) return this.subqueryCondition(scope)
    if (depth > 0 && d.chance(35)) {
      return d.weighed([
        [3, () => sql`(${this.condition(scope, depth - 1)} AND ${this.condition(scope, depth - 1)})`],
        [3, () => sql`(${this.condition(scope, depth - 1)} OR ${this.condition(scope, depth - 1)})`],
        [2, () => sql`(NOT ${this.condition(scope, depth - 1)})`],
      ])()
    }
    const type = d.weighed([[4, 'bigint'], [3, 'double'], [4, 'varchar'], [2, 'timestamp'], [1, 'boolean']])
    const x = () => this.expr(type, scope, depth - 1), any = () => this.simple(type, scope), not = () => d.chance(30) ? ' NOT' : ''
    return d.weighed([
      [8, () => sql`(${this.column(scope, type) ?? x()} ${d.pick(d.chance(25) ? comparisons : ['<>', '<', '<=', '>', '>='])} ${x()})`],
      [2, () => sql`(${x()} IS${d.chance(70) ? ' NOT' : ''} NULL)`],
      [2, () => sql`(${x()}${not()} BETWEEN ${any()} AND ${any()})`],
      [3, () => sql`(${x()}${not()} IN (${d.list(2, 6, () => d.chance(10) ? sql`NULL` : d.chance(70) ? this.literal(type) : any())}))`],
      [2, () => sql`(${x()} IS${not()} DISTINCT FROM ${any()})`],
      [type === 'varchar' ? 4 : 0, () => sql`(${x()}${not()} LIKE ${quote(d.pick(['h%', '%a%', '_', 'h1_', '%', 'a\\_%', '%\'%']))}${d.chance(30) ? sql` ESCAPE '#'` : none})`],
      [type === 'varchar' ? 2 : 0, () => sql`starts_with(${x()}, ${quote(d.pick(['h1', 'a', '']))})`],
      [type === 'varchar' ? 1 : 0, () => differ.regexp_like(x(), quote(d.pick(['^h1', '[0-9]', 'a|b'])))],
      [type === 'boolean' ? 5 : 0, () => sql`${this.column(scope, 'boolean') ?? this.literal('boolean')}`],
      [scope.bare ? 0 : 1, () => sql`(${x()} ${d.pick(comparisons)} ${d.pick(['ANY', 'ALL', 'SOME'])} ${differ.quantified_list(d.list(1, 3, () => this.literal(type)))})`],
      [type === 'bigint' ? 1 : 0, () => differ.contains(this.list(type, scope), any())],
      [1, () => differ.rows(x(), this.simple('bigint', scope), d.pick(['=', '<>']), any(), this.simple('bigint', scope))],
    ])()
  }

  // ---- aggregates -----------------------------------------------------------------------------------------------
  // One of this type over rows of the scope; null where there is none of the type.
  aggregate(type, scope, exact = false) {
    const inner = { ...scope, subqueries: false }
    const d = this.d, x = (t, depth = 1) => this.expr(t, inner, depth)
    const filter = () => d.chance(20) ? sql` FILTER (WHERE ${this.condition(inner, 1)})` : none
    const id = scope.unique?.length === 1 ? scope.unique[0] : null
    const smooth = () => { const v = x('double'); return v.rough ? this.simple('double', { ...inner, columns: inner.columns.filter(c => !c.rough) }) : v }
    const made = d.weighed({
      bigint: [
        [3, () => sql`count(*)${filter()}`], [3, () => sql`count(${x(d.pick(types))})${filter()}`],
        [3, () => sql`count(DISTINCT ${x(d.pick(types))})${filter()}`], [3, () => differ.sum(x('bigint'), filter())],
        [1, () => differ.sum(sql`DISTINCT ${x('bigint')}`, filter())], [1, () => sql`${differ.count_if(this.condition(inner, 1))}${filter()}`],
      ],
      double: [
        [4, () => sql`sum(${smooth()})${filter()}`], [2, () => rough(sql`avg(${d.chance(50) ? smooth() : x('bigint')})${filter()}`)],
        [1, () => rough(sql`avg(DISTINCT ${smooth()})${filter()}`)],
        [exact ? 0 : 1, () => inexact(sql`${d.pick(['stddev', 'stddev_pop', 'var_pop', 'var_samp', 'variance'])}(${smooth()})${filter()}`)],
        [exact ? 0 : 1, () => inexact(sql`${d.pick(['covar_pop', 'covar_samp'])}(${smooth()}, ${smooth()})${filter()}`)],
        [exact ? 0 : 1, () => inexact(sql`${d.pick(['sum', 'avg'])}(${x('double')})${filter()}`)],
      ],
      boolean: [[2, () => sql`${d.pick(['bool_and', 'bool_or'])}(${x('boolean')})${filter()}`]],
      varchar: [[1, () => differ.listagg(x('varchar', 0), quote(d.pick([',', '', '; '])), id ?? null)]].filter(() => id),
      timestamp: [],
    }[type].concat([
      [2, () => type === 'boolean' ? sql`bool_or(${x(type)})${filter()}` : sql`${d.pick(['min', 'max'])}(${x(type)})${filter()}`],
      [id ? 2 : 0, () => sql`${differ.by(d.pick(['min', 'max']), x(type), id)}${filter()}`],
    ]))()
    return typed(type, made)
  }

  // array_agg, whose order is fixed.
  collected(scope) {
    const d = this.d, type = d.pick(types), inner = { ...scope, subqueries: false }
    const x = this.column(scope, type), unique = scope.unique?.length ? scope.unique : null
    const order = () => `${d.pick(['', ' ASC', ' DESC'])}${d.pick(['', '', ' NULLS FIRST', ' NULLS LAST'])}`
    const filter = d.chance(20) ? sql` FILTER (WHERE ${this.condition(inner, 1)})` : none
    if (!x && !unique) return typed('bigint', sql`count(*)`)
    if (!unique || (x && d.chance(30))) return typed(`array(${type})`, sql`array_agg(DISTINCT ${x} ORDER BY ${x}${order()})${filter}`)
    const keys = [...d.some(scope.columns.filter(c => !c.inexact), 0, 1), ...unique].map(c => sql`${c}${order()}`)
    return typed(`array(${type})`, sql`array_agg(${this.expr(type, inner, 1)} ORDER BY ${keys})${filter}`)
  }

  // ---- windows --------------------------------------------------------------------------------------------------
  orderKeys(keys) {
    return keys.map(k => sql`${k}${this.d.pick(['', ' ASC', ' DESC', ' DESC'])}${this.d.pick(['', '', ' NULLS FIRST', ' NULLS LAST'])}`)
  }

  frame(kind, offset) {
    const d = this.d, last = () => `${offset()} PRECEDING`, next = () => `${offset()} FOLLOWING`
    const at = (a, b) => sql` ${kind} BETWEEN ${a} AND ${b}`
    return d.weighed([
      [2, () => sql` ${kind} ${d.chance(50) ? 'UNBOUNDED PRECEDING' : last()}`],
      [2, () => at('UNBOUNDED PRECEDING', d.chance(50) ? next() : last())],
      [2, () => at(last(), 'CURRENT ROW')],
      [3, () => at(last(), next())],
      [2, () => at('CURRENT ROW', d.chance(50) ? next() : 'UNBOUNDED FOLLOWING')],
      [1, () => at(last(), last())],
      [1, () => at(next(), next())],
      [1, () => at('UNBOUNDED PRECEDING', 'UNBOUNDED FOLLOWING')],
      [1, () => at(next(), 'UNBOUNDED FOLLOWING')],
    ])()
  }

  // A window function of some type.
  window(scope) {
    const d = this.d, type = d.pick(types), inner = { ...scope, subqueries: false }
    const x = this.expr(type, inner, 1), keys = scope.columns.filter(c => !c.inexact)
    if (!keys.length) return typed('bigint', sql`count(*) OVER ()`)
    const partition = d.chance(70) ? sql`PARTITION BY ${d.some(keys, 1, 2)} ` : none
    const ordinal = scope.unique?.length ? [...d.some(keys, 0, 2), ...scope.unique] : null
    const by = list => sql`ORDER BY ${this.orderKeys(list)}`
    const few = () => d.between(0, 4)
    const over = (f, order, frame) => {
      const w = sql`${f} OVER (${partition}${order}${frame})`
      return typed(f.type, f.type === 'bigint' ? differ.bigint(w) : w)
    }
    const value = () => {
      const ignoring = d.chance(40)
      const [name, args] = d.pick([['first_value', x], ['last_value', x], ['nth_value', sql`${x}, ${d.between(1, 3)}`]])
      return typed(type, ignoring ? differ.ignore_nulls(name, args) : sql`${name}(${args})`)
    }
    const shift = () => {
      const args = sql`${x}${d.chance(60) ? sql`, ${few()}${d.chance(50) ? sql`, ${this.literal(type)}` : none}` : none}`
      const name = d.pick(['lag', 'lead'])
      return typed(type, d.chance(35) ? differ.ignore_nulls(name, args) : sql`${name}(${args})`)
    }
    const aggregate = () => { const t = d.pick(['bigint', 'double', 'boolean', 'timestamp']); return this.windowAggregate(t, inner) }
    const rank = () => d.weighed([
      [3, () => typed('bigint', sql`${d.pick(['rank', 'dense_rank'])}()`)],
      [1, () => typed('double', sql`${d.pick(['percent_rank', 'cume_dist'])}()`)]])()
    const some = d.some(keys, 1, 2)
    const rows = () => this.frame('ROWS', () => few())
    const groups = () => this.frame('GROUPS', () => d.between(0, 3))
    return d.weighed([
      [3, () => over(rank(), by(some), none)],
      [3, () => over(aggregate(), d.chance(60) ? by(some) : none, none)],
      [3, () => over(aggregate(), by(some), groups())],
      [ordinal ? 3 : 0, () => over(typed('bigint', d.chance(60) ? sql`row_number()` : sql`ntile(${d.between(1, 5)})`), by(ordinal), none)],
      [ordinal ? 4 : 0, () => over(shift(), by(ordinal), none)],
      [ordinal ? 4 : 0, () => over(value(), by(ordinal), d.chance(70) ? d.chance(60) ? rows() : groups() : none)],
      [ordinal ? 4 : 0, () => over(aggregate(), by(ordinal), rows())],
      [3, () => {
        const t = d.pick(['bigint', 'double', 'timestamp']), key = this.column(scope, t)
        if (!key) return over(rank(), by(some), none)
        return over(aggregate(), by([key]), this.rangeFrame(t))
      }],
    ])()
  }

  rangeFrame(type) {
    const d = this.d
    const size = () => d.chance(20) ? 0 : type === 'timestamp' ? d.between(1, 90) : type === 'double' ? d.between(1, 64) / 8 : d.between(1, 4)
    const offset = n => type === 'timestamp' ? differ.interval(n, d.pick(['hour', 'minute'])) : type === 'double' ? differ.double(zero(n)) : sql`${n}`
    const last = () => sql`${offset(size())} PRECEDING`, next = () => sql`${offset(size())} FOLLOWING`
    const far = way => { const n = size(); return n ? sql`${offset(n)} ${way}` : differ.range_here(offset(0), way) }
    const before = () => far('PRECEDING'), after = () => far('FOLLOWING')
    const [a, b] = d.pick([[last, () => 'CURRENT ROW'], [last, next], [() => 'CURRENT ROW', next], [() => 'UNBOUNDED PRECEDING', before],
      [() => 'UNBOUNDED PRECEDING', next], [after, () => 'UNBOUNDED FOLLOWING'], [last, before], [after, next]])
    return sql` RANGE BETWEEN ${a()} AND ${b()}`
  }

  windowAggregate(type, scope) {
    const d = this.d
    const plain = { ...scope, columns: scope.columns.filter(c => !c.rough) }
    const filter = d.chance(15) ? this.condition(scope, 0) : null
    const picked = d.pick({
      bigint: [null, ['count', this.simple(d.pick(types), scope)], ['sum', this.expr('bigint', scope, 1)], ['min', this.simple('bigint', scope)]],
      double: [['sum', this.simple('double', plain)], ['min', this.simple('double', scope)], ['max', this.expr('double', scope, 1)], ['avg', this.simple('double', plain)]],
      boolean: [['bool_and', this.simple('boolean', scope)], ['bool_or', this.simple('boolean', scope)]],
      timestamp: [['min', this.simple('timestamp', scope)], ['max', this.simple('timestamp', scope)]],
    }[type])
    const call = picked ? sql`${picked[0]}(${picked[1]})` : differ.window_count()
    const made = typed(type, filter ? sql`${call} FILTER (WHERE ${filter})` : call)
    return picked?.[0] === 'avg' ? rough(made) : made
  }
}

// dialect: what the two spell differently. Each row is one thing that tidefs means, from its operands, in both dialects.
// What is not here is printed the same for both.
import { sql } from './tree.mjs'

const differences = {
  // Numbers
  double: { why: '1.5 is a decimal in DuckDB', tide: text => sql`${text}`, duck: text => sql`CAST(${text} AS DOUBLE)` },
  divide: { why: 'DuckDB divides integers by //', tide: (a, b) => sql`(${a} / ${b})`, duck: (a, b) => sql`(${a} // ${b})` },
  to_bigint: { why: 'DuckDB casts 2.5 to 2 (half to even), Trino to 3', tide: a => sql`CAST(${a} AS BIGINT)`, duck: a => sql`CAST(round(${a}) AS BIGINT)` },
  sign: { why: 'of one byte in DuckDB, of the argument\'s type in Trino', tide: a => sql`sign(${a})`, duck: (a, type) => sql`CAST(sign(${a}) AS ${type})` },
  truncate: { why: 'trunc in DuckDB', tide: a => sql`truncate(${a})`, duck: a => sql`trunc(${a})` },
  bitwise: { why: 'operators in DuckDB', tide: (a, op, b) => sql`bitwise_${{ '&': 'and', '|': 'or' }[op]}(${a}, ${b})`, duck: (a, op, b) => sql`(${a} ${op} ${b})` },

  // Conditions
  if: { why: 'a CASE in DuckDB', tide: (c, a, b) => sql`if(${c}, ${a}, ${b})`, duck: (c, a, b) => sql`CASE WHEN ${c} THEN ${a} ELSE ${b} END` },
  extreme: { why: 'DuckDB leaves NULLs out, in Trino one NULL makes NULL',
    tide: (name, a, b) => sql`${name}(${a}, ${b})`,
    duck: (name, a, b) => sql`CASE WHEN ${a} IS NOT NULL AND ${b} IS NOT NULL THEN ${name}(${a}, ${b}) END` },
  rows: { why: 'NULL is a value like others inside rows of DuckDB', tide: (a, b, op, c, d) => sql`((${a}, ${b}) ${op} (${c}, ${d}))`,
    duck: (a, b, op, c, d) => sql`(${a} ${op} ${c} ${op === '=' ? 'AND' : 'OR'} ${b} ${op} ${d})` },
  rows_in: { why: 'one NULL in a row makes the whole answer NULL in DuckDB, also where the other column differs',
    tide: (a, b, not, x, y, from, where) => sql`((${a}, ${b})${not} IN (SELECT ${x}, ${y} FROM ${from} WHERE ${where}))`,
    duck: (a, b, not, x, y, from, where) => sql`(${not} CASE WHEN EXISTS (SELECT 1 FROM ${from} WHERE ${where} AND ${x} = ${a} AND ${y} = ${b}) THEN TRUE WHEN NOT EXISTS (SELECT 1 FROM ${from} WHERE ${where} AND (${x} = ${a}) IS NOT FALSE AND (${y} = ${b}) IS NOT FALSE) THEN FALSE END)` },
  quantified_list: { why: 'DuckDB puts each row of VALUES into parentheses', tide: list => sql`(VALUES ${list})`,
    duck: list => sql`(VALUES ${list.map(v => sql`(${v})`)})` },

  // Texts
  concat: { why: 'DuckDB\'s concat() leaves NULLs out', tide: (a, b) => sql`concat(${a}, ${b})`, duck: (a, b) => sql`CAST((${a} || ${b}) AS VARCHAR)` },
  append: { why: 'x || NULL has no type in DuckDB, and some functions then fail', tide: (a, b) => sql`(${a} || ${b})`, duck: (a, b) => sql`CAST((${a} || ${b}) AS VARCHAR)` },
  split_part: { why: 'beyond the last part NULL in Trino, the empty text in DuckDB', tide: (a, by, n) => sql`split_part(${a}, ${by}, ${n})`,
    duck: (a, by, n) => sql`string_split(${a}, ${by})[${n}]` },
  regexp_like: { why: 'another name', tide: (a, p) => sql`regexp_like(${a}, ${p})`, duck: (a, p) => sql`regexp_matches(${a}, ${p})` },
  regexp_replace: { why: 'all matches only with g in DuckDB', tide: (a, p, r) => sql`regexp_replace(${a}, ${p}, ${r})`,
    duck: (a, p, r) => sql`regexp_replace(${a}, ${p}, ${r}, 'g')` },
  levenshtein: { why: 'of bytes in DuckDB; the one letter of two bytes that there is gives way to one of one', tide: (a, b) => sql`levenshtein_distance(${a}, ${b})`,
    duck: (a, b) => sql`levenshtein(replace(${a}, 'é', '~'), replace(${b}, 'é', '~'))` },

  // Times
  interval: { why: 'tidefs has literals such as 90m', tide: (n, unit) => sql`${n}${unit[0]}`, duck: (n, unit) => sql`INTERVAL '${n} ${unit}'` },
  bin: { why: 'another name, and another origin', tide: (t, n, unit) => sql`bin(${t}, ${n}${unit[0]})`,
    duck: (t, n, unit) => sql`time_bucket(INTERVAL '${n} ${unit}', ${t}, TIMESTAMP '1970-01-01')` },
  date_trunc: { why: 'compared by <> with another moment, NULL is TRUE in DuckDB; adding nothing keeps it from that short cut', tide: (u, t) => sql`date_trunc('${u}', ${t})`,
    duck: (u, t) => sql`(date_trunc('${u}', ${t}) + INTERVAL '0 second')` },
  date_diff: { why: 'date_diff counts borders in DuckDB, date_sub whole units', tide: (u, a, b) => sql`date_diff('${u}', ${a}, ${b})`,
    duck: (u, a, b) => sql`date_sub('${u}', ${a}, ${b})` },
  day_of_week: { why: 'dow is 0 for Sunday in DuckDB', tide: t => sql`day_of_week(${t})`, duck: t => sql`isodow(${t})` },
  time_text: { why: 'nine digits in tidefs, as many as needed in DuckDB', tide: t => sql`CAST(${t} AS VARCHAR)`,
    duck: t => sql`strftime(${t}, '%Y-%m-%d %H:%M:%S.%n')` },

  // Aggregates and windows
  sum: { why: 'of bigint 128 bits wide in DuckDB', tide: (x, tail) => sql`sum(${x})${tail}`, duck: (x, tail) => sql`CAST(sum(${x})${tail} AS BIGINT)` },
  bigint: { why: 'a sum over a window is 128 bits wide in DuckDB', tide: x => x, duck: x => sql`CAST(${x} AS BIGINT)` },
  count_if: { why: 'NULL in DuckDB where a correlated subquery has no rows', tide: c => sql`count_if(${c})`, duck: c => sql`count(CASE WHEN ${c} THEN 1 END)` },
  by: { why: 'DuckDB\'s arg_min leaves rows out whose result is NULL', tide: (f, x, y) => sql`${f}_by(${x}, ${y})`, duck: (f, x, y) => sql`arg_${f}_null(${x}, ${y})` },
  window_count: { why: 'count(*) of a frame that ends before it begins is below 0 in DuckDB', tide: () => sql`count(*)`, duck: () => sql`count(1)` },
  range_here: { why: 'RANGE up to 0 PRECEDING, or from 0 FOLLOWING, leaves peers out in DuckDB; both are what CURRENT ROW is', tide: (zero, way) => sql`${zero} ${way}`, duck: () => sql`CURRENT ROW` },
  listagg: { why: 'ORDER BY stands inside in DuckDB', tide: (x, by, o) => sql`listagg(${x}, ${by}) WITHIN GROUP (ORDER BY ${o})`,
    duck: (x, by, o) => sql`string_agg(${x}, ${by} ORDER BY ${o})` },
  ignore_nulls: { why: 'stands inside in DuckDB', tide: (f, args) => sql`${f}(${args}) IGNORE NULLS`, duck: (f, args) => sql`${f}(${args} IGNORE NULLS)` },

  // Lists
  sequence: { why: 'another name', tide: (a, b) => sql`sequence(${a}, ${b})`, duck: (a, b) => sql`generate_series(${a}, ${b})` },
  cardinality: { why: 'another name', tide: a => sql`cardinality(${a})`, duck: a => sql`len(${a})` },
  contains: { why: 'DuckDB knows no third answer', tide: (a, x) => sql`contains(${a}, ${x})`,
    duck: (a, x) => sql`CASE WHEN list_contains(${a}, ${x}) THEN TRUE WHEN ${x} IS NOT NULL AND list_count(${a}) = len(${a}) THEN FALSE END` },
  element_at: { why: 'another name', tide: (a, n) => sql`element_at(${a}, ${n})`, duck: (a, n) => sql`${a}[${n}]` },
  array_sort: { why: 'NULLs come first in DuckDB', tide: a => sql`array_sort(${a})`, duck: a => sql`list_sort(${a}, 'ASC', 'NULLS LAST')` },
  unnest_two: { why: 'DuckDB zips several lists in the select list alone', tide: (a, b, as, x, y) => sql`UNNEST(${a}, ${b}) AS ${as} (${x}, ${y})`,
    duck: (a, b, as, x, y) => sql`LATERAL (SELECT unnest(${a}) AS ${x}, unnest(${b}) AS ${y}) AS ${as}` },
}

// differ.divide(a, b), ...: a node that forks.
export const differ = Object.fromEntries(Object.entries(differences).map(([name, d]) =>
  [name, (...operands) => sql`${{ tide: d.tide(...operands), duck: d.duck(...operands) }}`]))

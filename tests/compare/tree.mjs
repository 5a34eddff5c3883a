// tree: statements as trees of text, printed in either dialect.
//
// A node has `parts`: texts, nodes, and forks { tide, duck } where the dialects differ (dialect.mjs makes these).
// Expressions also have a type. `rough`: a double with digits behind the 1/64, so that a sum of them depends on the order.
// `inexact`: the engines may differ by rounding; such an expression is only ever a column of the result.
const pieces = p => p instanceof Node ? [p] : p && typeof p === 'object' ? [p.tide, p.duck] : []

export class Node {
  constructor(parts, type) {
    Object.assign(this, { parts, type })
    this.rough = parts.some(p => pieces(p).some(n => n.rough))
    this.inexact = parts.some(p => pieces(p).some(n => n.inexact))
  }
}

// sql`${a} + ${b}`: a node of these parts; numbers and texts among them are spelled as they are, lists with commas.
export function sql(strings, ...values) {
  const parts = [strings[0]]
  values.forEach((v, i) => parts.push(Array.isArray(v) ? join(v, ', ') : v, strings[i + 1]))
  return new Node(parts)
}

export const join = (nodes, between) => new Node(nodes.flatMap((n, i) => i ? [between, n] : [n]))
export const typed = (type, node) => new Node([node], type)
export const rough = node => Object.assign(node, { rough: true })
export const inexact = node => Object.assign(node, { rough: true, inexact: true })
export const none = new Node([])

// dialect: 'tide' or 'duck'.
export function print(part, dialect) {
  if (part instanceof Node) return part.parts.map(p => print(p, dialect)).join('')
  if (part && typeof part === 'object') return print(part[dialect], dialect)
  return String(part)
}

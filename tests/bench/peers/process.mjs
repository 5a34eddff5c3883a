// process: programs that the benchmark starts, and what is undone at its end, whichever end that is.
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, openSync, closeSync, readFileSync, readdirSync, lstatSync } from 'node:fs'
import { createServer } from 'node:net'
import http from 'node:http'

export const sleep = ms => new Promise(done => setTimeout(done, ms))
export const now = () => performance.now()
export const say = text => process.stderr.write(text + '\n')

// ---- the end ------------------------------------------------------------------------------------------------------
const undo = []
export const atEnd = step => undo.push(step)

export async function end() {
  while (undo.length) {
    try { await undo.pop()() } catch (e) { say(`at the end: ${e.message}`) }
  }
}
for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]])
  process.on(signal, async () => { await end(); process.exit(code) })

// ---- servers --------------------------------------------------------------------------------------------------------
// A program in the background, in a group of its own: ^C in a terminal reaches it through end() alone.
export class Server {
  constructor(command, args, { log, env = {}, uid, gid, cwd }) {
    const fd = openSync(log, 'a')
    this.log = log
    this.child = spawn(command, args, { stdio: ['ignore', fd, fd], detached: true, env: { ...process.env, ...env }, uid, gid, cwd })
    closeSync(fd)
    this.gone = new Promise(done => this.child.on('close', done).on('error', e => { this.failed = e; done() }))
    this.gone.then(() => { this.ended = true })
    atEnd(() => this.stop())
  }

  get pid() { return this.child.pid }

  // Until `ready` gives true.
  async until(ready, seconds = 60) {
    for (const begin = now(); ;) {
      if (this.ended) throw new Error(`${this.child.spawnfile} ended: ${this.failed?.message ?? tail(this.log)}`)
      if (await ready()) return
      if (now() - begin > seconds * 1000) throw new Error(`${this.child.spawnfile} is not ready after ${seconds} s`)
      await sleep(10)
    }
  }

  // The most memory that it had, in MiB.
  get peak() { return peakOf(this.pid) }

  async stop(signal = 'SIGTERM') {
    if (this.ended) return
    this.child.kill(signal)
    const late = setTimeout(() => this.child.kill('SIGKILL'), 20000)
    await this.gone
    clearTimeout(late)
  }
}

const tail = file => readFileSync(file, 'utf8').trim().split('\n').slice(-3).join(' | ')
export const peakOf = pid => Number(/^VmHWM:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024

// A port of loopback that is free right now.
export const freePort = () => new Promise(done => {
  const s = createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => done(port)) })
})

// Is there such a program? Its path, or null.
export function found(name) {
  const r = spawnSync('sh', ['-c', 'command -v "$0"', name], { encoding: 'utf8' })
  return r.status === 0 ? r.stdout.trim() : null
}

// The version of a package of Debian.
export function debian(name) {
  const r = spawnSync('dpkg-query', ['-W', '-f', '${Version}', name], { encoding: 'utf8' })
  return r.status === 0 ? r.stdout : '(version unknown)'
}

export function run(command, args, options = {}) {
  const r = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28, ...options })
  if (r.status !== 0) throw new Error(`${command} ${args.join(' ').slice(0, 80)}: ${r.error?.message ?? (r.stderr ?? '').trim()}`)
  return r.stdout
}

// ---- HTTP and files -------------------------------------------------------------------------------------------------
// A client that keeps its connections. Answers are read whole, as Buffers.
export class Http {
  constructor(port, sockets = 1) {
    Object.assign(this, { port, agent: new http.Agent({ keepAlive: true, maxSockets: sockets }) })
  }

  request(method, path, body, headers) {
    return new Promise((done, fail) => {
      const r = http.request({ host: '127.0.0.1', port: this.port, method, path, agent: this.agent, headers }, answer => {
        const parts = []
        answer.on('data', d => parts.push(d)).on('error', fail).on('end', () => {
          const all = parts.length === 1 ? parts[0] : Buffer.concat(parts)
          if (answer.statusCode >= 300) fail(new Error(`${path.slice(0, 80)}: ${answer.statusCode} ${all.toString().slice(0, 300)}`))
          else done(all)
        })
      })
      r.on('error', fail).setNoDelay(true)
      r.end(body)
    })
  }

  get(path, headers) { return this.request('GET', path, undefined, headers) }
  post(path, body) { return this.request('POST', path, body) }
  close() { this.agent.destroy() }
}

export function bytesBelow(dir, wanted = () => true) {
  let sum = 0
  for (const e of readdirSync(dir, { withFileTypes: true })) {
    const path = `${dir}/${e.name}`
    try {
      if (e.isDirectory()) sum += bytesBelow(path, wanted)
      else if (e.isFile() && wanted(path)) sum += lstatSync(path).size
    } catch (err) {
      if (err.code !== 'ENOENT') throw err // servers move their files about
    }
  }
  return sum
}

// Until what a server has written behind its back has stopped changing.
export async function still(dir, seconds = 120) {
  for (let last = -1, since = now(), begin = now(); now() - begin < seconds * 1000; await sleep(500)) {
    const bytes = bytesBelow(dir)
    if (bytes !== last) [last, since] = [bytes, now()]
    else if (now() - since > 8000) return
  }
}

export function freshDir(path) {
  mkdirSync(path, { recursive: true })
  return path
}

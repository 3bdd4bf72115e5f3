// What an application does with supabase-js, against a running node. The only
// argument names the scenario; the environment says where the node is and who the
// users are. A scenario that fails throws, and the process says why.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const { URL_, ANON, SERVICE, ANN, BEN, FRESH, SHORT, VSN, CLIENTS } = process.env
const require = createRequire(CLIENTS + '/package.json')
const { RealtimeClient } = require('@supabase/realtime-js')
const { createClient } = require('@supabase/supabase-js')
// Node has a WebSocket of its own from version 22 on.
const transport = globalThis.WebSocket ?? require('ws')

const patience = 15_000

/** A list that a test can wait on: next() takes the oldest element. */
class Inbox {
  items = []
  waiting = []
  put(item) {
    const taker = this.waiting.shift()
    if (taker) taker(item)
    else this.items.push(item)
  }
  next(what = 'message') {
    if (this.items.length) return Promise.resolve(this.items.shift())
    return within(new Promise((resolve) => this.waiting.push(resolve)), what)
  }
  /** Takes elements until one passes. */
  async until(passes, what) {
    for (;;) {
      const item = await this.next(what)
      if (passes(item)) return item
    }
  }
}

function within(promise, what) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come`)), patience)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

const open = []

function connect(token, options = {}) {
  const client = new RealtimeClient(URL_.replace(/^http/, 'ws') + '/realtime/v1', {
    params: { apikey: ANON }, vsn: VSN, transport, reconnectAfterMs: () => 50, ...options,
  })
  open.push(client)
  if (token) client.setAuth(token)
  return client
}

/** Subscribes and gives the statuses that follow, each with its error. */
async function subscribe(channel) {
  const statuses = new Inbox()
  channel.subscribe((status, error) => statuses.put({ status, message: error?.message ?? '' }))
  const first = await statuses.next('answer to the join')
  assert.equal(first.status, 'SUBSCRIBED', first.message)
  return statuses
}

async function rest(method, path, body, token = SERVICE) {
  const res = await fetch(URL_ + path, {
    method, body: body && JSON.stringify(body),
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
  })
  if (!res.ok) throw new Error(`${method} ${path}: ${res.status} ${await res.text()}`)
}

/** Asks the test to do something, and waits until it is done. */
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
async function ask(what) {
  process.stdout.write(`ask ${what}\n`)
  const { value } = await within(lines.next(), what)
  assert.equal(value, 'done')
}

const scenarios = {
  async join() {
    const beats = new Inbox()
    const client = connect(ANN, { heartbeatIntervalMs: 50, heartbeatCallback: (status) => beats.put(status) })
    const one = client.channel('one'), two = client.channel('two')
    const statuses = await subscribe(one)
    await subscribe(two)
    await beats.until((b) => b === 'ok', 'answer to a heartbeat')
    assert.equal(await one.unsubscribe(), 'ok')
    assert.equal((await statuses.next('end of the channel')).status, 'CLOSED')
    assert.equal(two.state, 'joined')
    // The name is free again.
    await subscribe(client.channel('one'))
  },

  async changes() {
    const client = connect(ANN)
    const all = new Inbox(), open_ = new Inbox(), updates = new Inbox(), some = new Inbox(), system = new Inbox()
    const of = { schema: 'public', table: 'todos' }
    const channel = client.channel('db')
      .on('postgres_changes', { event: '*', ...of }, (c) => all.put(c))
      .on('postgres_changes', { event: 'INSERT', ...of, filter: 'priority=gte.3,title=not.like.secret%' }, (c) => open_.put(c))
      .on('postgres_changes', { event: 'UPDATE', ...of, filter: 'title=in.(water,read)' }, (c) => updates.put(c))
      .on('postgres_changes', { event: 'INSERT', ...of, select: ['id', 'title'] }, (c) => some.put(c))
      .on('system', {}, (m) => system.put(m))
    await subscribe(channel)
    const told = await system.next('system message')
    assert.deepEqual([told.status, told.extension, told.channel], ['ok', 'postgres_changes', 'db'])

    await rest('POST', '/api/v1/tables/todos', { title: 'water', priority: 3, done: false, tags: ['a', 'b'], data: { deep: [1] } }, ANN)
    let c = await all.next('insert')
    const { id, owner } = c.new
    assert.deepEqual([c.eventType, c.schema, c.table, c.old, c.errors], ['INSERT', 'public', 'todos', {}, null])
    assert.deepEqual(c.new, { id, owner, title: 'water', priority: 3, done: false, tags: ['a', 'b'], data: { deep: [1] } })
    assert.ok(Date.parse(c.commit_timestamp) > Date.now() - 60_000, c.commit_timestamp)
    assert.equal((await open_.next('filtered insert')).new.id, id)
    assert.deepEqual((await some.next('projected insert')).new, { id, title: 'water' })

    // What another user may see, and what the filters leave out.
    await rest('POST', '/api/v1/tables/todos', { title: 'hers', priority: 9 }, BEN)
    await rest('POST', '/api/v1/tables/todos', { title: 'secret plan', priority: 9 }, ANN)
    assert.equal((await all.next('second insert')).new.title, 'secret plan')
    await rest('PATCH', `/api/v1/tables/todos?id=eq.${id}`, { done: true }, ANN)
    c = await all.next('update')
    assert.deepEqual([c.eventType, c.new.done, c.old.done], ['UPDATE', true, false])
    assert.equal((await updates.next('filtered update')).new.done, true)
    await rest('PATCH', `/api/v1/tables/todos?id=eq.${id}`, { title: 'walk' }, ANN)
    assert.equal((await all.next('second update')).new.title, 'walk')
    await rest('DELETE', `/api/v1/tables/todos?id=eq.${id}`, undefined, ANN)
    c = await all.next('delete')
    assert.deepEqual([c.eventType, c.new, c.old.id], ['DELETE', {}, id])
    await rest('POST', '/api/v1/tables/todos', { title: 'last', priority: 5 }, ANN)
    assert.equal((await all.next('last insert')).new.title, 'last')
    assert.equal((await open_.next('last filtered insert')).new.title, 'last')
    assert.equal(updates.items.length, 0)
  },

  async wildcards() {
    const client = connect(ANN)
    const schema = new Inbox(), everything = new Inbox()
    await subscribe(client.channel('any')
      .on('postgres_changes', { event: '*', schema: 'public' }, (c) => schema.put(c))
      .on('postgres_changes', { event: 'INSERT', schema: '*' }, (c) => everything.put(c)))
    await rest('POST', '/api/v1/tables/todos', { title: 'x', priority: 1 }, ANN)
    assert.equal((await schema.next('change')).table, 'todos')
    assert.equal((await everything.next('change')).table, 'todos')
    // A table that is followed from now on.
    await rest('POST', '/api/v1/admin/realtime/tables', { table: 'notes' })
    await rest('POST', '/api/v1/tables/notes', { body: 'new' })
    assert.equal((await schema.next('change of the new table')).table, 'notes')
    assert.equal((await everything.next('change of the new table')).table, 'notes')
  },

  async refusals() {
    const client = connect(ANN)
    for (const [filter, words] of [
      [{ event: '*', schema: 'public', table: 'nowhere' }, /REALTIME_NOT_ENABLED/],
      [{ event: '*', schema: 'public', table: 'todos', filter: 'nothing=eq.1' }, /UNKNOWN_COLUMN/],
      [{ event: '*', schema: 'public', table: 'todos', filter: 'priority=eq.high' }, /INVALID/],
      [{ event: '*', schema: 'public', table: 'todos', filter: 'priority' }, /INVALID_QUERY/],
      [{ event: '*', schema: 'public', table: 'todos', select: ['nothing'] }, /UNKNOWN_COLUMN/],
    ]) {
      const statuses = new Inbox()
      const channel = client.channel('refused').on('postgres_changes', filter, () => {})
      channel.subscribe((status, error) => statuses.put({ status, message: error?.message ?? '' }))
      const s = await statuses.next('refusal')
      assert.equal(s.status, 'CHANNEL_ERROR')
      assert.match(s.message, words)
      await client.removeChannel(channel)
    }
    // A key that is none: the handshake is refused, and so is HTTP.
    const res = await fetch(URL_ + '/realtime/v1/api/broadcast', { method: 'POST', headers: { apikey: 'nonsense' }, body: '{}' })
    assert.equal(res.status, 401)
    assert.equal(typeof (await res.json()).error, 'string')
  },

  async broadcast() {
    const [ann, ben] = [connect(ANN), connect(BEN)]
    const heard = new Inbox(), own = new Inbox(), silent = new Inbox()
    const sender = ann.channel('room', { config: { broadcast: { ack: true, self: true } } }).on('broadcast', { event: 'say' }, (m) => own.put(m))
    const receiver = ben.channel('room').on('broadcast', { event: '*' }, (m) => heard.put(m)).on('broadcast', { event: 'other' }, (m) => silent.put(m))
    await subscribe(sender)
    await subscribe(receiver)

    assert.equal(await sender.send({ type: 'broadcast', event: 'say', payload: { text: 'hällo 👋' } }), 'ok')
    for (const inbox of [heard, own]) {
      const m = await inbox.next('broadcast')
      assert.deepEqual([m.type, m.event, m.payload], ['broadcast', 'say', { text: 'hällo 👋' }])
    }
    // Without the wish for it the sender has no copy, and nothing waits for an answer.
    assert.equal(await receiver.send({ type: 'broadcast', event: 'say', payload: { n: 2 } }), 'ok')
    assert.deepEqual((await own.next('answer')).payload, { n: 2 })
    if (VSN !== '1.0.0') {
      await sender.send({ type: 'broadcast', event: 'say', payload: new Uint8Array([0, 255, 7]).buffer })
      assert.deepEqual([...new Uint8Array((await heard.next('bytes')).payload)], [0, 255, 7])
    }
    // Over HTTP: one message, bytes, and what is sent by a channel that is not joined.
    assert.deepEqual(await sender.httpSend('say', { n: 3 }), { success: true })
    assert.deepEqual((await heard.next('message over HTTP')).payload, { n: 3 })
    if (VSN !== '1.0.0') {
      assert.deepEqual(await sender.httpSend('say', new Uint8Array([1, 2])), { success: true })
      assert.deepEqual([...new Uint8Array((await heard.next('bytes over HTTP')).payload)], [1, 2])
    }
    const stranger = connect(ANN, { logger: () => {} }).channel('room')
    assert.equal(await stranger.send({ type: 'broadcast', event: 'other', payload: { n: 4 } }), 'ok')
    assert.deepEqual((await heard.next('message of a stranger')).payload, { n: 4 })
    assert.deepEqual((await silent.next('message of the event')).payload, { n: 4 })
  },

  async presence() {
    const watch = (client, key) => {
      const events = new Inbox()
      const channel = client.channel('lobby', { config: { presence: { key } } })
      for (const event of ['sync', 'join', 'leave']) channel.on('presence', { event }, (m) => events.put({ event, ...m, state: channel.presenceState() }))
      return { channel, events }
    }
    const moods = (state) => Object.fromEntries(Object.entries(state).map(([key, metas]) => [key, metas.map((m) => m.mood)]))
    const reaches = (events, want) => events.until((e) => JSON.stringify(moods(e.state)) === JSON.stringify(want), `presence ${JSON.stringify(want)}`)
    const ann = watch(connect(ANN), 'ann'), ben = watch(connect(BEN), 'ben')
    await subscribe(ann.channel)
    assert.equal(await ann.channel.track({ mood: 'good' }), 'ok')
    await reaches(ann.events, { ann: ['good'] })
    await subscribe(ben.channel)
    await reaches(ben.events, { ann: ['good'] })
    assert.equal(await ben.channel.track({ mood: 'fine' }), 'ok')
    const joined = await ann.events.until((e) => e.event === 'join' && e.key === 'ben', 'join of ben')
    assert.equal(joined.newPresences[0].mood, 'fine')
    assert.ok(joined.newPresences[0].presence_ref)
    await ann.channel.track({ mood: 'better' })
    await reaches(ben.events, { ann: ['better'], ben: ['fine'] })
    // Two states under one key.
    const twin = watch(connect(ANN), 'ann')
    await subscribe(twin.channel)
    await twin.channel.track({ mood: 'twin' })
    await reaches(ben.events, { ann: ['better', 'twin'], ben: ['fine'] })
    assert.equal(await ann.channel.untrack(), 'ok')
    const left = await ben.events.until((e) => e.event === 'leave', 'leave of ann')
    assert.deepEqual([left.key, left.leftPresences[0].mood], ['ann', 'better'])
    await reaches(ben.events, { ann: ['twin'], ben: ['fine'] })
    await twin.channel.unsubscribe()
    await reaches(ben.events, { ben: ['fine'] })
  },

  async private_() {
    const room = (token) => connect(token).channel('hall', { config: { private: true, broadcast: { ack: true, self: true } } })
    const heard = new Inbox()
    const ann = room(ANN).on('broadcast', { event: '*' }, (m) => heard.put(m)), ben = room(BEN)
    await subscribe(ann)
    await subscribe(ben) // he may read, and not write
    assert.equal(await ann.send({ type: 'broadcast', event: 'say', payload: { n: 1 } }), 'ok')
    assert.deepEqual((await heard.next('broadcast')).payload, { n: 1 })
    assert.equal(await ben.send({ type: 'broadcast', event: 'say', payload: { n: 2 } }), 'error')
    assert.equal(await ben.track({ mood: 'bad' }), 'error')
    // Somebody who may not read is not let in; the public channel is another one.
    const statuses = new Inbox()
    const nobody = connect()
    const refused = nobody.channel('hall', { config: { private: true } })
    refused.subscribe((status, error) => statuses.put({ status, message: error?.message ?? '' }))
    const s = await statuses.next('refusal')
    assert.equal(s.status, 'CHANNEL_ERROR')
    assert.match(s.message, /ACCESS_DENIED/)
    await nobody.removeChannel(refused)
    const outside = nobody.channel('hall', { config: { broadcast: { ack: true } } })
    await subscribe(outside)
    assert.equal(await outside.send({ type: 'broadcast', event: 'say', payload: { n: 3 } }), 'ok')
    // Over HTTP, too.
    assert.deepEqual(await ann.httpSend('say', { n: 4 }), { success: true })
    assert.deepEqual((await heard.next('message over HTTP')).payload, { n: 4 })
    await assert.rejects(ben.httpSend('say', { n: 5 }))
  },

  async replay() {
    const since = Date.now() - 60_000
    const heard = new Inbox()
    const channel = connect(ANN).channel('hall', { config: { private: true, broadcast: { replay: { since, limit: 2 } } } })
      .on('broadcast', { event: '*' }, (m) => heard.put(m))
    await ask('send 1 2 3')
    await subscribe(channel)
    for (const n of [2, 3]) {
      const m = await heard.next('repeated message')
      assert.deepEqual([m.payload.n, m.meta.replayed], [n, true])
      assert.ok(m.meta.id)
    }
    await ask('send 4')
    const m = await heard.next('message of the database')
    assert.deepEqual([m.payload.n, m.meta.replayed], [4, undefined])
    assert.ok(m.meta.id)
  },

  async token() {
    const client = connect(ANN)
    const changes = new Inbox()
    const channel = client.channel('db').on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'todos' }, (c) => changes.put(c.new.title))
    const statuses = await subscribe(channel)
    // A fresh token of the same user: nothing ends.
    await client.setAuth(FRESH)
    await rest('POST', '/api/v1/tables/todos', { title: 'mine', priority: 1 }, FRESH)
    assert.equal(await changes.next('insert'), 'mine')
    // A token of another user: from then on its rows arrive, and only those.
    await client.setAuth(BEN)
    const other = new Inbox()
    await subscribe(client.channel('more').on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'todos' }, (c) => other.put(c.new.title)))
    await rest('POST', '/api/v1/tables/todos', { title: 'ann again', priority: 1 }, ANN)
    await rest('POST', '/api/v1/tables/todos', { title: 'hers', priority: 1 }, BEN)
    assert.equal(await changes.next('insert of ben'), 'hers')
    assert.equal(await other.next('insert of ben'), 'hers')
    // A token that ends takes its channels along.
    const brief = connect(SHORT)
    const ends = await subscribe(brief.channel('brief'))
    assert.equal((await ends.next('end of the token')).status, 'CLOSED')
    assert.ok(brief.isConnected())
    brief.setAuth(ANN)
    await subscribe(brief.channel('brief'))
    // One that is not good does, too.
    await client.setAuth('nonsense')
    assert.equal((await statuses.next('end of the channel')).status, 'CLOSED')
  },

  async restart() {
    const client = connect(ANN)
    const heard = new Inbox(), changes = new Inbox()
    const channel = client.channel('room').on('broadcast', { event: 'say' }, (m) => heard.put(m.payload.n))
      .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'todos' }, (c) => changes.put(c.new.title))
    const statuses = await subscribe(channel)
    await ask('restart')
    await statuses.until((s) => s.status === 'CHANNEL_ERROR', 'end of the connection')
    await statuses.until((s) => s.status === 'SUBSCRIBED', 'next join')
    await rest('POST', '/api/v1/tables/todos', { title: 'after', priority: 1 }, ANN)
    assert.equal(await changes.next('insert after the restart'), 'after')
    await connect(BEN).channel('room').httpSend('say', { n: 1 })
    assert.equal(await heard.next('broadcast after the restart'), 1)
  },

  async whole() {
    // The client of applications, which finds the socket by itself.
    const client = createClient(URL_, ANON, { realtime: { transport, vsn: VSN }, accessToken: async () => ANN })
    open.push(client.realtime)
    await client.realtime.setAuth()
    const changes = new Inbox(), heard = new Inbox()
    const channel = client.channel('app', { config: { broadcast: { self: true } } })
      .on('postgres_changes', { event: '*', schema: 'public', table: 'todos' }, (c) => changes.put(c))
      .on('broadcast', { event: 'say' }, (m) => heard.put(m))
    await subscribe(channel)
    await rest('POST', '/api/v1/tables/todos', { title: 'app', priority: 1 }, ANN)
    assert.equal((await changes.next('insert')).new.title, 'app')
    channel.send({ type: 'broadcast', event: 'say', payload: {} })
    await heard.next('own broadcast')
    await client.removeAllChannels()
  },
}

await scenarios[process.argv[2]]()
for (const client of open) client.disconnect()
process.exit(0)

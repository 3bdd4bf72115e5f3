// What an application does with postgrest-js, and through supabase-js, against a
// running node. The environment says where the node is and who calls. A check that
// fails throws, and the process says why. What a write changes is brought back by
// the check itself, or rolled back.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const { URL_, ANON, SERVICE, ANN, CLIENTS } = process.env
const require = createRequire(CLIENTS + '/package.json')
const { PostgrestClient } = require('@supabase/postgrest-js')
const { createClient } = require('@supabase/supabase-js')

const as = (key) => new PostgrestClient(URL_ + '/rest/v1', { headers: { apikey: key, Authorization: 'Bearer ' + key } })
const service = as(SERVICE)

/** Checks the whole of a result, but what want leaves out. */
async function expect(query, want, what) {
  const got = await query
  for (const [name, value] of Object.entries(want)) assert.deepEqual(got[name], value, `${what}: ${name} of ${JSON.stringify(got)}`)
  if (!('error' in want)) assert.equal(got.error, null, `${what}: ${JSON.stringify(got.error)}`)
}

const one = { id: 1, label: 'one', n: 10 }

const checks = {
  explain: async () => assert.match((await service.from('kinds').select().eq('id', 1).explain()).data, /^Aggregate  \(cost=/),
  'explain as JSON': async () => {
    const { data } = await service.from('kinds').select('id').explain({ format: 'json', verbose: true })
    assert.equal(data[0].Plan['Node Type'], 'Aggregate')
  },
  'at most so many rows of a function': () =>
    expect(service.rpc('numbers', { n: 3 }).maxAffected(2), {
      data: null,
      status: 400,
      error: { code: 'PGRST124', details: 'The query affects 3 rows', hint: null, message: 'Query result exceeds max-affected preference constraint' },
    }),
  'a hint': () =>
    expect(service.from('kind').select(), {
      status: 404,
      error: { code: 'PGRST205', details: null, hint: "Perhaps you meant the table 'public.kinds'", message: "Could not find the table 'public.kind' in the schema cache" },
    }),
  select: () => expect(service.from('kinds').select().eq('id', 1), { data: [one], status: 200, statusText: 'OK', count: null }),
  columns: () => expect(service.from('kinds').select('label, number:n').eq('id', 1), { data: [{ label: 'one', number: 10 }] }),
  'exact count': () => expect(service.from('kinds').select('id', { count: 'exact' }).limit(1), { count: 5, status: 206 }),
  'count alone': () => expect(service.from('kinds').select('*', { count: 'exact', head: true }), { count: 5, data: null, status: 200 }),
  'planned count': () => expect(service.from('kinds').select('id', { count: 'planned' }).eq('id', 1), { count: 1 }),
  single: () => expect(service.from('kinds').select().eq('id', 1).single(), { data: one }),
  'single of many': () =>
    expect(service.from('kinds').select().single(), {
      data: null,
      status: 406,
      error: { code: 'PGRST116', details: 'The result contains 5 rows', hint: null, message: 'Cannot coerce the result to a single JSON object' },
    }),
  'maybe one': () => expect(service.from('kinds').select().eq('id', 1).maybeSingle(), { data: one }),
  'maybe none': () => expect(service.from('kinds').select().eq('id', 99).maybeSingle(), { data: null, status: 200 }),
  csv: () => expect(service.from('kinds').select('id,n').order('id').limit(2).csv(), { data: 'id,n\n1,10\n2,' }),
  'stripped nulls': () => expect(service.from('kinds').select().eq('id', 2).stripNulls(), { data: [{ id: 2, label: 'two' }] }),
  order: () => expect(service.from('kinds').select('id').order('n', { ascending: false, nullsFirst: true }).limit(2), { data: [{ id: 2 }, { id: 5 }] }),
  'order of an embed': () =>
    expect(service.from('books').select('id, reviews(stars)').eq('id', 1).order('stars', { referencedTable: 'reviews', ascending: true }), {
      data: [{ id: 1, reviews: [{ stars: 3 }, { stars: 5 }] }],
    }),
  'limit of an embed': () =>
    expect(service.from('books').select('id, reviews(stars)').eq('id', 1).limit(1, { foreignTable: 'reviews' }), { data: [{ id: 1, reviews: [{ stars: 5 }] }] }),
  range: () => expect(service.from('kinds').select('id').order('id').range(1, 3), { data: [{ id: 2 }, { id: 3 }, { id: 4 }] }),
  'range of an embed': () =>
    expect(service.from('books').select('id, reviews(stars)').eq('id', 1).order('stars', { referencedTable: 'reviews' }).range(1, 1, { referencedTable: 'reviews' }), {
      data: [{ id: 1, reviews: [{ stars: 5 }] }],
    }),
  'range beyond': () => expect(service.from('kinds').select('*', { count: 'exact' }).range(10, 20), { status: 416, error: {
    code: 'PGRST103', details: 'An offset of 10 was requested, but there are only 5 rows.', hint: null, message: 'Requested range not satisfiable' } }),

  neq: () => expect(service.from('kinds').select('id').neq('label', 'one').order('id').limit(1), { data: [{ id: 2 }] }),
  comparisons: () => expect(service.from('kinds').select('id').gt('n', 10).gte('n', 30).lt('n', 50).lte('n', 40).order('id'), { data: [{ id: 3 }, { id: 4 }] }),
  like: () => expect(service.from('kinds').select('id').like('label', 't%').order('id'), { data: [{ id: 2 }, { id: 3 }] }),
  'like all of': () => expect(service.from('kinds').select('id').likeAllOf('label', ['t%', '%o']), { data: [{ id: 2 }] }),
  'like any of': () => expect(service.from('kinds').select('id').likeAnyOf('label', ['o%', 'f%']).order('id'), { data: [{ id: 1 }, { id: 4 }, { id: 5 }] }),
  ilike: () => expect(service.from('kinds').select('id').ilike('label', 'ONE'), { data: [{ id: 1 }] }),
  'ilike any of': () => expect(service.from('kinds').select('id').ilikeAnyOf('label', ['ONE', 'TWO']).order('id'), { data: [{ id: 1 }, { id: 2 }] }),
  is: () => expect(service.from('kinds').select('id').is('n', null), { data: [{ id: 2 }] }),
  in: () => expect(service.from('posts').select('id').in('title', ['alpha', 'Delta, Inc.']).order('id'), { data: [{ id: 1 }, { id: 4 }] }),
  contains: () => expect(service.from('posts').select('id').contains('tags', ['b', 'a']), { data: [{ id: 1 }] }),
  'contains an object': () => expect(service.from('posts').select('id').contains('data', { name: 'Ann' }), { data: [{ id: 1 }] }),
  'contains a range': () => expect(service.from('posts').select('id').contains('span', '[2,3]'), { data: [{ id: 1 }] }),
  'contained by': () => expect(service.from('posts').select('id').containedBy('tags', ['a', 'b', 'c']).order('id'), { data: [{ id: 1 }, { id: 4 }] }),
  ranges: () => expect(service.from('posts').select('id').rangeLt('span', '[5,9)'), { data: [{ id: 1 }] }),
  'adjacent ranges': () => expect(service.from('posts').select('id').rangeAdjacent('span', '[9,10)'), { data: [{ id: 2 }] }),
  overlaps: () => expect(service.from('posts').select('id').overlaps('tags', ['a', 'x']), { data: [{ id: 1 }] }),
  'text search': () => expect(service.from('posts').select('id').textSearch('title', 'alpha', { config: 'english' }), { data: [{ id: 1 }] }),
  'text search of the web': () => expect(service.from('posts').select('id').textSearch('title', 'alpha or beta', { type: 'websearch' }).order('id'), { data: [{ id: 1 }, { id: 2 }] }),
  match: () => expect(service.from('kinds').select('id').match({ label: 'one', n: 10 }), { data: [{ id: 1 }] }),
  not: () => expect(service.from('kinds').select('id').not('n', 'is', null).not('id', 'in', '(1,3)').order('id'), { data: [{ id: 4 }, { id: 5 }] }),
  or: () => expect(service.from('kinds').select('id').or('id.eq.1,and(n.gt.30,n.lt.50)').order('id'), { data: [{ id: 1 }, { id: 4 }] }),
  'or of an embed': () =>
    expect(service.from('books').select('id, reviews(stars)').eq('id', 1).or('stars.eq.5,stars.eq.1', { referencedTable: 'reviews' }), { data: [{ id: 1, reviews: [{ stars: 5 }] }] }),
  filter: () => expect(service.from('kinds').select('id').filter('label', 'in', '("one","two")').order('id'), { data: [{ id: 1 }, { id: 2 }] }),
  'regular expressions': () => expect(service.from('kinds').select('id').filter('label', 'imatch', '^ON'), { data: [{ id: 1 }] }),

  embed: () => expect(service.from('books').select('title, author(name), tags(name)').eq('id', 2), { data: [{ title: 'Tales', author: { name: 'Ben' }, tags: [{ name: 'good' }] }] }),
  'embed by a hint': () => expect(service.from('books').select('e:authors!edited_by(name)').eq('id', 1).single(), { data: { e: { name: 'Ben' } } }),
  'inner embed': () => expect(service.from('books').select('id, reviews!inner(stars)').gt('reviews.stars', 4), { data: [{ id: 1, reviews: [{ stars: 5 }] }] }),
  'nested embed': () => expect(service.from('authors').select('name, books!written_by(title, reviews(stars))').eq('id', 3), { data: [{ name: 'Cyd', books: [{ title: 'Blank', reviews: [] }] }] }),
  spread: () => expect(service.from('books').select('title, ...author(name)').eq('id', 1), { data: [{ title: 'Notes', name: 'Ada' }] }),
  'without any': () => expect(service.from('books').select('id, reviews()').is('reviews', null), { data: [{ id: 4 }] }),
  aggregates: () => expect(service.from('books').select('genre, price.sum(), count()').order('genre').limit(1), { data: [{ genre: 'fiction', sum: 12, count: 2 }] }),
  'count of an embed': () => expect(service.from('books').select('id, reviews(count)').eq('id', 1), { data: [{ id: 1, reviews: [{ count: 2 }] }] }),
  'json path': () => expect(service.from('posts').select('data->deep->>k').eq('id', 1), { data: [{ k: 'v' }] }),
  'ambiguous embed': async () => {
    const { error, status } = await service.from('books').select('authors(*)')
    assert.equal(status, 300)
    assert.equal(error.code, 'PGRST201')
    assert.deepEqual(error.details[0], { cardinality: 'many-to-one', embedding: 'books with authors', relationship: 'edited_by using books(editor) and authors(id)' })
  },

  insert: async () => {
    await expect(service.from('kinds').insert({ id: 90, label: 'x' }), { data: null, status: 201, statusText: 'Created' })
    await expect(service.from('kinds').delete().eq('id', 90), { data: null, status: 204, statusText: 'No Content' })
  },
  'insert and select': async () => {
    await expect(service.from('kinds').insert({ id: 90, label: 'x' }).select().single(), { data: { id: 90, label: 'x', n: null }, status: 201 })
    await expect(service.from('kinds').delete().eq('id', 90).select(), { data: [{ id: 90, label: 'x', n: null }], status: 200 })
  },
  'insert many': () => expect(service.from('kinds').insert([{ id: 90 }, { id: 91, label: 'x' }], { defaultToNull: false }).select('label').rollback(), { data: [{ label: 'none' }, { label: 'x' }] }),
  'insert many, counted': () => expect(service.from('kinds').insert([{ id: 90, n: 1 }, { id: 91, n: 2 }], { count: 'exact' }).rollback(), { count: 2, status: 201 }),
  upsert: () => expect(service.from('kinds').upsert({ id: 1, label: 'uno' }).select().rollback(), { data: [{ id: 1, label: 'uno', n: 10 }] }),
  'upsert by a column': () => expect(service.from('posts').upsert({ slug: 's1', title: 'merged' }, { onConflict: 'slug' }).select('id,title').rollback(), { data: [{ id: 1, title: 'merged' }] }),
  'upsert and ignore': () => expect(service.from('kinds').upsert([{ id: 1, label: 'x' }, { id: 90, label: 'y' }], { ignoreDuplicates: true }).select('id').rollback(), { data: [{ id: 90 }] }),
  update: () => expect(service.from('kinds').update({ label: 'x' }).eq('id', 1).select().rollback(), { data: [{ id: 1, label: 'x', n: 10 }], status: 200 }),
  'update, counted': () => expect(service.from('kinds').update({ label: 'x' }, { count: 'exact' }).lt('id', 3).rollback(), { data: null, count: 2, status: 204 }),
  'rolled back': () => expect(service.from('kinds').select().eq('id', 1).single(), { data: one }),
  'at most': () =>
    expect(service.from('kinds').update({ label: 'x' }).gt('id', 0).maxAffected(2), {
      status: 400,
      error: { code: 'PGRST124', details: 'The query affects 5 rows', hint: null, message: 'Query result exceeds max-affected preference constraint' },
    }),

  rpc: () => expect(service.rpc('add', { a: 1, b: 2 }), { data: 3 }),
  'rpc by get': () => expect(service.rpc('add', { a: 1, b: 2 }, { get: true }), { data: 3 }),
  'rpc by get with an array': () => expect(service.rpc('joined', { words: ['a', 'b'] }, { get: true }), { data: 'a-b' }),
  'rpc by head': () => expect(service.rpc('kinds_above', { low: 30 }, { head: true, count: 'exact' }), { data: null, count: 3 }),
  'rpc of rows': () => expect(service.rpc('kinds_above', { low: 30 }).select('id').eq('label', 'four').single(), { data: { id: 4 } }),
  'rpc of nothing': () => expect(service.rpc('nothing'), { data: null, status: 204 }),
  'rpc that is not there': () =>
    expect(service.rpc('missing'), {
      status: 404,
      error: {
        code: 'PGRST202',
        details: 'Searched for the function public.missing without parameters or with a single unnamed json/jsonb parameter, but no matches were found in the schema cache.',
        hint: null,
        message: 'Could not find the function public.missing without parameters in the schema cache',
      },
    }),

  'missing table': () =>
    expect(service.from('missing_table').select(), {
      data: null,
      status: 404,
      statusText: 'Not Found',
      error: { code: 'PGRST205', details: null, hint: null, message: "Could not find the table 'public.missing_table' in the schema cache" },
    }),
  'missing column': () => expect(service.from('kinds').select('missing_column'), { status: 400, error: { code: '42703', details: null, hint: null, message: 'column kinds.missing_column does not exist' } }),
  'a thrown error': () => assert.rejects(async () => await service.from('missing_table').select().throwOnError(), { code: 'PGRST205' }),
  'a duplicate': () =>
    expect(service.from('kinds').insert({ id: 1 }), {
      status: 409,
      error: { code: '23505', details: 'Key (id)=(1) already exists.', hint: null, message: 'duplicate key value violates unique constraint "kinds_pkey"' },
    }),
  'another schema': () => expect(service.schema('hidden').from('secrets').select(), { status: 406, error: {
    code: 'PGRST106', details: null, hint: 'Only the following schemas are exposed: public', message: 'Invalid schema: hidden' } }),
  'a named schema': () => expect(service.schema('public').from('kinds').select('id').eq('id', 1), { data: [{ id: 1 }] }),
  policies: () => expect(as(ANN).from('notes').select('id').order('id'), { data: [{ id: 1 }, { id: 2 }] }),
  'no grant': () => expect(as(ANN).from('private').select(), { status: 403, error: { code: '42501', details: null, hint: null, message: 'permission denied for table private' } }),

  'through supabase-js': async () => {
    const client = createClient(URL_, ANON, { auth: { persistSession: false, autoRefreshToken: false }, global: { headers: { Authorization: 'Bearer ' + ANN } }, realtime: { transport: globalThis.WebSocket ?? require('ws') } })
    await expect(client.from('notes').select('id').order('id'), { data: [{ id: 1 }, { id: 2 }] })
    await expect(client.rpc('who'), { data: 'authenticated ann@example.com' })
    await expect(client.from('kinds').select('id', { count: 'exact', head: true }), { count: 5 })
  },
}

let failed = 0
for (const [name, check] of Object.entries(checks)) {
  try {
    await check()
  } catch (problem) {
    failed++
    console.error(`${name}: ${problem.message}`)
  }
}
console.log(`${Object.keys(checks).length - failed} of ${Object.keys(checks).length} checks passed`)
process.exit(failed ? 1 : 0)

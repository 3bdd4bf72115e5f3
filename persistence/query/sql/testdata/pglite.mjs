// A PostgreSQL with pgvector in this process. Each line of the input is a statement,
// {sql, args}, or a script, {script}; each line of the output is what came of it,
// {rows} of texts or {error}.
import { createInterface } from 'node:readline'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const from = createRequire(process.env.PACKAGES + '/package.json')
const load = (name) => import(pathToFileURL(from.resolve(name)))
const { PGlite } = await load('@electric-sql/pglite')
const { vector } = await load('@electric-sql/pglite-pgvector')

const db = await PGlite.create({ extensions: { vector } })
const text = (v) => (v === null ? null : typeof v === 'object' ? JSON.stringify(v) : String(v))

for await (const line of createInterface({ input: process.stdin })) {
  const { sql, args, script } = JSON.parse(line)
  let out
  try {
    if (script !== undefined) {
      await db.exec(script)
      out = { rows: [] }
    } else {
      const { rows } = await db.query(sql, args, { rowMode: 'array' })
      out = { rows: rows.map((row) => row.map(text)) }
    }
  } catch (e) {
    out = { error: `${e.code}: ${e.message}` }
  }
  process.stdout.write(JSON.stringify(out) + '\n')
}
await db.close()

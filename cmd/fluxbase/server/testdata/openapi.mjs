// Reads an OpenAPI document from standard input as any program of npm's would, and
// fails with what is wrong in it. CLIENTS is the folder of the packages.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'

const { validate } = createRequire(process.env.CLIENTS + '/package.json')('@apidevtools/swagger-parser')

const read = await validate(JSON.parse(readFileSync(0)))
const ids = new Set()
for (const [path, methods] of Object.entries(read.paths)) {
  for (const [method, { operationId }] of Object.entries(methods)) {
    if (ids.has(operationId)) throw new Error(`${method} ${path}: ${operationId} is the id of two operations`)
    ids.add(operationId)
  }
}
console.log(ids.size)

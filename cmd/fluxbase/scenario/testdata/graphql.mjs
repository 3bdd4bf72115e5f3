// What the reference implementation of GraphQL and the audit of GraphQL over HTTP say
// of a running node. The environment says where the node is, who calls, and in which
// file the requests are that the node answers. A check that fails throws.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const { URL_, SERVICE, ANN, PACKAGES, CASES } = process.env
const require = createRequire(PACKAGES + '/package.json')
const graphql = require('graphql')
const { auditServer } = require('graphql-http')

const url = URL_ + '/graphql'

async function ask(body, token) {
  const headers = { 'content-type': 'application/json', accept: 'application/graphql-response+json' }
  if (token) headers.authorization = 'Bearer ' + token
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
  return response.json()
}

/** The schema of a role as tools learn it, which must be a valid one. */
async function schemaOf(token, options) {
  const answer = await ask({ query: graphql.getIntrospectionQuery(options) }, token)
  assert.equal(answer.errors, undefined, JSON.stringify(answer.errors))
  const schema = graphql.buildClientSchema(answer.data)
  assert.deepEqual(graphql.validateSchema(schema), [])
  const printed = graphql.printSchema(schema)
  const again = graphql.buildSchema(printed)
  assert.deepEqual(graphql.validateSchema(again), [])
  assert.equal(graphql.printSchema(again), printed)
  return schema
}

const everything = { descriptions: true, specifiedByUrl: true, directiveIsRepeatable: true, schemaDescription: true, inputValueDeprecation: true, oneOf: true }
const schema = await schemaOf(SERVICE, everything)
for (const token of [ANN, undefined]) await schemaOf(token, everything)
await schemaOf(SERVICE)
assert.equal(schema.getType('UUID').specifiedByURL, 'https://www.rfc-editor.org/rfc/rfc9562')
assert.equal(schema.getType('BooksOrderBy').isOneOf, true)

// GET without a query is the same schema.
const whole = await (await fetch(url, { headers: { authorization: 'Bearer ' + SERVICE } })).json()
assert.equal(graphql.printSchema(graphql.buildClientSchema(whole.data)), graphql.printSchema(schema))

// Both sides agree on which documents are valid; and what the node answers is what the
// schema promises: the reference implementation finds every value again in the answer.
let executed = 0
for (const { name, query, variables, operation, valid } of JSON.parse(readFileSync(CASES, 'utf8'))) {
  const document = graphql.parse(query)
  if (document.definitions[0].operation === 'subscription') continue // its validation does not look for the type
  const errors = graphql.validate(schema, document)
  assert.equal(errors.length === 0, valid, name + ': ' + errors.join('\n'))
  if (!valid || graphql.getOperationAST(document, operation).operation !== 'query') continue
  const answer = await ask({ query, variables, operationName: operation }, SERVICE)
  const mine = await graphql.execute({
    schema, document, operationName: operation, variableValues: variables,
    rootValue: answer.data, fieldResolver: (source, _, __, info) => source[info.path.key],
    typeResolver: () => undefined,
  })
  if (/__(schema|type)\b/.test(query)) continue
  assert.equal(mine.errors, undefined, name + ': ' + mine.errors)
  assert.deepEqual(JSON.parse(JSON.stringify(mine.data)), answer.data, name)
  executed++
}
console.log(executed + ' answers are of the types that the schema says')

const audits = await auditServer({ url })
for (const result of audits) {
  if (result.status !== 'ok') console.log(result.status, result.id, result.name, result.reason)
}
const failed = audits.filter((r) => r.status !== 'ok')
assert.deepEqual(failed.map((r) => r.name), [])
console.log(audits.length + ' audits passed')

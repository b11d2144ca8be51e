// Verifies a Vestibule pass with jose, by the JavaScript of docs/integrate.md, as an upstream would.
//
// Needs the package jose. The arguments are the room and that page; standard input is a JSON object with "jwks", which
// is served where the page reads the keys, and "token". Prints the claims as JSON, and exits with 1 when the pass is
// not sound.

import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'

const [room, page] = process.argv.slice(2)
const { jwks, token } = JSON.parse(await text(process.stdin))
const gateway = createServer((_, answer) => answer.setHeader('content-type', 'application/json').end(JSON.stringify(jwks)))
await once(gateway.listen(0, '127.0.0.1'), 'listening')

// Beside this script, where the package is found.
const snippet = new URL(`./snippet-${process.pid}.mjs`, import.meta.url)
const [, code] = /^```js\n(.*?)^```/ms.exec(await readFile(page, 'utf8'))
await writeFile(snippet, code.replace('127.0.0.1:8080', `127.0.0.1:${gateway.address().port}`))
try {
  const { claimsOf } = await import(snippet)
  process.stdout.write(JSON.stringify(await claimsOf(token, room)))
} catch (fault) {
  process.stderr.write(`this pass is not sound: ${fault.message}\n`)
  process.exitCode = 1
} finally {
  await rm(snippet, { force: true })
  gateway.close()
  gateway.closeAllConnections()
}

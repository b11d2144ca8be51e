// Verifies a Vestibule pass with jose, as an upstream written in JavaScript would.
//
// Needs the package jose. The one argument is the room; standard input is a JSON object with "jwks" and
// "token". Prints the claims as JSON, and exits with 1 when the pass is not sound.

import { text } from 'node:stream/consumers'
import { createLocalJWKSet, jwtVerify } from 'jose'

const { jwks, token } = JSON.parse(await text(process.stdin))
try {
  const { payload } = await jwtVerify(token, createLocalJWKSet(jwks), {
    algorithms: ['EdDSA', 'ES256'],
    audience: process.argv[2],
    issuer: 'vestibule',
    typ: 'vestibule-pass+jwt',
    requiredClaims: ['sub', 'jti', 'iat', 'exp'],
  })
  process.stdout.write(JSON.stringify(payload))
} catch (fault) {
  process.stderr.write(`this pass is not sound: ${fault.message}\n`)
  process.exitCode = 1
}

"""Verifies a Vestibule pass with PyJWT, as an upstream written in Python would.

Needs PyJWT[crypto]. The one argument is the room; standard input is a JSON object with "jwks" and
"token". Prints the claims as JSON, and exits with 1 when the pass is not sound.
"""

import json
import sys

import jwt

asked = json.load(sys.stdin)
header = jwt.get_unverified_header(asked["token"])
if header.get("typ") != "vestibule-pass+jwt":
    sys.exit("this is no pass: its typ is %r" % header.get("typ"))
keys = jwt.PyJWKSet.from_dict(asked["jwks"])
try:
    claims = jwt.decode(
        asked["token"],
        keys[header["kid"]].key,
        algorithms=["EdDSA", "ES256"],
        audience=sys.argv[1],
        issuer="vestibule",
        options={"require": ["iss", "aud", "sub", "jti", "iat", "exp"]},
    )
except jwt.PyJWTError as fault:
    sys.exit("this pass is not sound: %s" % fault)
json.dump(claims, sys.stdout)

"""Verifies a Vestibule pass with PyJWT, by the Python of docs/integrate.md, as an upstream would.

Needs PyJWT[crypto]. The arguments are the room and that page; standard input is a JSON object with "jwks" and
"token". Prints the claims as JSON, and exits with 1 when the pass is not sound.
"""

import json
import pathlib
import re
import sys

import jwt

room, page = sys.argv[1:]
scope = {}
exec(re.search(r"^```python\n(.*?)^```", pathlib.Path(page).read_text(encoding="utf-8"), re.S | re.M)[1], scope)
asked = json.load(sys.stdin)
try:
    claims = scope["claims_of"](asked["token"], room, asked["jwks"])
except jwt.PyJWTError as fault:
    sys.exit("this pass is not sound: %s" % fault)
json.dump(claims, sys.stdout)

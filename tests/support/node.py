"""A real Node.js 22, asked what JavaScript makes of JSON texts."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from collections.abc import Iterable

from tests.support.node_receivers import node_program

_CHECK = """
const lines = require('fs').readFileSync(0, 'latin1').split('\\n');
lines.forEach((line, at) => {
  const bytes = Buffer.from(line, 'base64');
  const again = Buffer.from(JSON.stringify(JSON.parse(bytes.toString('utf8'))), 'utf8');
  if (Buffer.compare(bytes, again) !== 0) console.log(at);
});
console.log('checked ' + lines.length);
"""


def unstable(bodies: Iterable[bytes]) -> list[bytes]:
    """The bodies that ``JSON.stringify(JSON.parse(body))`` does not give back byte for byte.

    One process for all of them. A body that is not JSON fails the call.
    """
    asked = list(bodies)
    answer = subprocess.run(
        [node_program(), "-e", _CHECK],
        input=b"\n".join(map(b64encode, asked)),
        capture_output=True,
        timeout=60,
        check=True,
    )
    *failed, last = answer.stdout.decode().split("\n")[:-1]
    assert last == f"checked {len(asked)}"
    return [asked[int(at)] for at in failed]

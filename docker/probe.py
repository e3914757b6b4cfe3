"""The web containers' health check: does this container's server answer /healthz/ready with 200?"""

import http.client
import os
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "8000")), timeout=8)
try:
    connection.request("GET", "/healthz/ready")
    response = connection.getresponse()
    answer = f"{response.status} {response.read(2000).decode(errors='replace')}"
except (OSError, http.client.HTTPException) as error:
    sys.exit(f"no answer: {error!r}")
sys.exit(None if response.status == 200 else answer)

"""Makes calls with the official product SDKs: reads one call per line (JSON), and prints one outcome per line."""

import functools
import importlib
import json
import re
import sys

from alibabacloud_tea_openapi.models import Config
from darabonba.runtime import RuntimeOptions

PACKAGES = {
    "pai-dsw": "alibabacloud_pai_dsw20220101",
    "aiworkspace": "alibabacloud_aiworkspace20210204",
    "ram": "alibabacloud_ram20150501",
    "sts": "alibabacloud_sts20150401",
}


@functools.cache
def client_of(product, host, key_id, secret, token):
    module = importlib.import_module(f"{PACKAGES[product]}.client")
    return module.Client(
        Config(
            access_key_id=key_id,
            access_key_secret=secret,
            security_token=token,
            endpoint=host,
            protocol="HTTP",
            region_id="local",
        )
    )


def send(call):
    """Call the method of the operation with the model of its request, as a program that uses the SDK does."""
    product, action, key = call["product"], call["action"], call["key"]
    client = client_of(product, call["host"], key["id"], key["secret"], key.get("token"))
    models = importlib.import_module(f"{PACKAGES[product]}.models")
    method = getattr(client, re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower() + "_with_options")
    arguments = list(call["params"])
    request_class = getattr(models, f"{action}Request", None)
    if request_class:
        arguments.append(request_class().from_map({**call["query"], **(call.get("body") or {})}))
    if call["style"] == "ROA":
        arguments.append(call["headers"])
    return method(*arguments, RuntimeOptions()).body.to_map()


def explain(error):
    return {
        "kind": type(error).__name__,
        "code": getattr(error, "code", None),
        "status": getattr(error, "status_code", None),
        "message": str(error),
        "denied": getattr(error, "access_denied_detail", None),
        "retryAfter": getattr(error, "retry_after", None),
    }


for line in sys.stdin:
    try:
        outcome = {"body": send(json.loads(line))}
    except Exception as error:  # whatever the SDK raises is what the test wants to know
        outcome = {"error": explain(error)}
    print(json.dumps(outcome), flush=True)

"""The JSON Schema of the workload spec, for editors and other languages.

`python -m parkade.wire.schema > docs/schema/workload-v1.json` writes the kept copy.
"""

import json
import sys
from typing import Any

from parkade.wire.spec import WorkloadSpec

VERSION = 1


def workload_schema() -> dict[str, Any]:
    """Version 1, as the API checks it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:parkade:workload:v{VERSION}",
        **WorkloadSpec.model_json_schema(mode="validation"),
    }


def workload_schema_text() -> str:
    """The kept copy's text."""
    return json.dumps(workload_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(workload_schema_text())

"""Reads exports with other people's libraries, in an environment of its own; knows nothing of this project.

In (standard input): {"sssom": a SSSOM/TSV text, "conceptmap": a resource}, each optional.
Out (standard output):
  sssom       rows, what was told while reading (warnings), the faults that sssom-py's own validation finds, the header,
              and the table as sssom-py writes it again
  conceptmap  the FHIR version of the models, whether the resource is the same after reading and writing, and what the
              models refuse
"""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import Any


class Told(logging.Handler):
    """Keeps what libraries only log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def read_sssom(text: str) -> dict[str, Any]:
    from sssom.parsers import parse_sssom_table
    from sssom.validators import validate
    from sssom.writers import write_table

    told = Told()
    logging.getLogger().addHandler(told)
    found = parse_sssom_table(io.StringIO(text), sep="\t")
    reports = validate(found, fail_on_error=False)
    again = io.StringIO()
    write_table(found, again)
    return {
        "rows": len(found.df),
        "columns": list(found.df.columns),
        "header": {name: str(value) for name, value in found.metadata.items()},
        "told": told.lines,
        "faults": [result.message for report in reports.values() for result in report.results],
        "checks": [str(kind) for kind in reports],
        "again": again.getvalue(),
    }


def read_conceptmap(resource: dict[str, Any]) -> dict[str, Any]:
    import fhir.resources
    from fhir.resources.conceptmap import ConceptMap
    from pydantic import ValidationError

    version = fhir.resources.__fhir_version__
    try:
        found = ConceptMap.model_validate(resource)
    except ValidationError as refusal:
        faults = [".".join(map(str, error["loc"])) for error in refusal.errors()]
        return {"version": version, "same": False, "faults": faults}
    return {"version": version, "same": json.loads(found.model_dump_json()) == resource, "faults": []}


def main() -> None:
    asked = json.load(sys.stdin)
    answer = {}
    if "sssom" in asked:
        answer["sssom"] = read_sssom(asked["sssom"])
    if "conceptmap" in asked:
        answer["conceptmap"] = read_conceptmap(asked["conceptmap"])
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()

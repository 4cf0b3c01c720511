"""Reads each dashboard with Grafana's published types and writes it again: a field that they do not know, or that
they would write otherwise, is an error. So is a unit that is not in Grafana's list."""

import json
import re
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from grafana_foundation_sdk.models import units

# Of the format for sharing, which the types of a stored dashboard leave out.
SHARING = {"__inputs", "__requires"}

# Of the Prometheus data source's annotation queries: the types know only what all data sources share.
OF_PROMETHEUS = re.compile(r"\.annotations\.list\[\d+\]\.(useValueForTime|titleFormat|textFormat|tagKeys|step)")


def lost(ours, theirs, path=""):
    """Paths of what is in ours and is not the same in theirs."""
    if isinstance(ours, dict):
        if not isinstance(theirs, dict):
            return [path]
        found = []
        for key, value in ours.items():
            where = f"{path}.{key}"
            found += lost(value, theirs[key], where) if key in theirs else [where]
        return found
    if isinstance(ours, list):
        if not isinstance(theirs, list) or len(ours) != len(theirs):
            return [path]
        return [p for i, pair in enumerate(zip(ours, theirs)) for p in lost(*pair, f"{path}[{i}]")]
    return [] if ours == theirs else [f"{path} ({ours!r} became {theirs!r})"]


def known_units():
    return {value for name, value in vars(units).items() if isinstance(value, str) and not name.startswith("__")}


def main(folder):
    register_default_plugins()
    known = known_units()
    passed = failed = 0
    for path in sorted(Path(folder).glob("*/*.json")):
        board = {k: v for k, v in json.loads(path.read_text()).items() if k not in SHARING}
        again = json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder))
        wrong = [where for where in lost(board, again) if not OF_PROMETHEUS.fullmatch(where)]
        wrong += [f"no unit {u}" for u in re.findall(r'"unit": "([^"]*)"', path.read_text()) if u not in known]
        for what in wrong:
            print(f"{path.name}: {what}", file=sys.stderr)
        passed, failed = passed + (not wrong), failed + bool(wrong)
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

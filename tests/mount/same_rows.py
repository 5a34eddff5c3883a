"""same_rows.py SQL.jsonl OTHER.jsonl: are these the same rows, in whatever order?

The first comes from SQL, with times as text; the second from a Parquet reader (tests/readers), with
times as nanoseconds. Integers keep all their digits; floats are compared as the same double.
"""
import calendar
import json
import sys


def nanoseconds(v):
    if isinstance(v, int):
        return v
    whole, _, fraction = v.partition(".")
    date, clock = whole.split(" ")
    y, mo, d = date.split("-")
    h, mi, s = clock.split(":")
    seconds = calendar.timegm((int(y), int(mo), int(d), int(h), int(mi), int(s)))
    return seconds * 10**9 + int((fraction + "0" * 9)[:9])


def rows(path):
    out = []
    for line in open(path, encoding="utf-8"):
        r = json.loads(line)
        r["time"] = nanoseconds(r["time"])
        # A column that is NULL throughout may be missing from a reader's row.
        out.append(tuple(sorted((k, v) for k, v in r.items() if v is not None)))
    return sorted(out, key=repr)


a, b = rows(sys.argv[1]), rows(sys.argv[2])
for x, y in zip(a, b):
    if x != y:
        sys.exit(f"not the same:\n  SQL    {x}\n  reader {y}")
if len(a) != len(b):
    sys.exit(f"SQL gave {len(a)} rows, the reader {len(b)}")
print(f"{len(a)} rows agree")

"""The table."""
import json
import statistics


def median(rounds):
    """The round whose value is the middle one; of an even number, the worse of the two."""
    middle = statistics.median_low([one["value"] for one in rounds])
    return next(one for one in rounds if one["value"] == middle)


def table(rows, proxies, results):
    """`results`: row → proxy → figures. Rows not measured are left out."""
    measured = [row for row in rows if results.get(row.name)]
    lines = [["", "to reach", *(proxy.name for proxy in proxies), ""]]
    for row in measured:
        cells = [results[row.name].get(proxy.name) for proxy in proxies]
        lines.append([row.title, row.target, *(cell["text"] if cell else "–" for cell in cells), verdict(row, results)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for number, line in enumerate(lines):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


def verdict(row, results):
    own = results[row.name].get("Seawall")
    if own is None:
        return ""
    return "ok" if own["holds"] else "FAIL"


def failed(rows, results):
    return [row for row in rows if results.get(row.name) and verdict(row, results) == "FAIL"]


def as_json(rows, results):
    return json.dumps([
        {"row": row.name, "title": row.title, "target": row.target, "verdict": verdict(row, results)} | results[row.name]
        for row in rows if results.get(row.name)], ensure_ascii=False)

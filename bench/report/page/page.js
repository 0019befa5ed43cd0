// Tables sort by a click on a heading. Without this script they are what they are.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  if (!body || body.rows.length < 2) continue;
  for (const [column, heading] of [...table.tHead.rows[0].cells].entries()) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const descending = heading.ariaSort === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const key = (row) => sortKey(row.cells[column].textContent);
      const rows = [...body.rows].map((row) => [key(row), row]);
      rows.sort(([a], [b]) => compare(a, b, descending ? -1 : 1));
      body.append(...rows.map(([, row]) => row));
    });
  }
}

// The first number of a cell, with k for thousands; text where there is none; null where it is empty.
function sortKey(text) {
  const plain = text.replace(/[★☆,]/g, "").trim();
  if (plain === "-" || plain === "") return null;
  const number = plain.match(/^(-?\d+(?:\.\d+)?)(k?)\b/);
  return number ? Number(number[1]) * (number[2] ? 1000 : 1) : plain;
}

// Numbers come before text, and what is empty comes last in either direction.
function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return sign * (typeof a === "number" ? a - b : a.localeCompare(b));
}

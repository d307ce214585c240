// Filters the rows of the report by their kind, by a slice and by text. Without scripts, all rows are shown.
"use strict";
const filter = document.getElementById("filter");
const rows = [...document.querySelectorAll("[data-kind]")];
const shown = document.getElementById("shown");
const slices = rows.map((row) => JSON.parse(row.dataset.slices));
const texts = rows.map((row) => row.textContent.toLowerCase());

function apply() {
  const kind = filter.elements.kind.value;
  const slice = filter.elements.slice?.value;
  const words = filter.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  rows.forEach((row, index) => {
    const matches =
      (!kind || row.dataset.kind === kind) &&
      (!slice || slices[index].includes(slice)) &&
      words.every((word) => texts[index].includes(word));
    row.hidden = !matches;
    count += matches;
  });
  shown.textContent = `${count} of ${rows.length} rows`;
}

if (filter) {
  filter.hidden = false;
  filter.addEventListener("input", apply);
  filter.addEventListener("submit", (event) => event.preventDefault());
  apply();
}

// The twin of a chart: the same numbers as a table, made when somebody opens it.

function cell(text, tag = "td") {
  const one = document.createElement(tag);
  one.textContent = text;
  if (tag === "td") one.className = "num";
  return one;
}

function number(value) {
  return value === null ? "none" : String(Number(value.toPrecision(4)));
}

function rows(container, found, values) {
  const all = document.createDocumentFragment();
  values.forEach((value, index) => {
    const row = document.createElement("tr");
    const span = container.children[index];
    const head = cell(`${index + 1} `, "th");
    head.scope = "row";
    const word = document.createElement("bdi");
    word.textContent = span.textContent.trim() || span.dataset.label || span.dataset.ghost || "";
    head.append(word);
    row.append(head, cell(number(value)), cell(number(found.cumulative.kl_tuned_base[index])));
    all.append(row);
  });
  return all;
}

/** Prepare the table of a chart; rows are made at the first opening. */
export function fillTable(box, container, found, row, values) {
  const details = box.querySelector("details");
  const body = box.querySelector("tbody");
  box.querySelector("[data-table-measure]").textContent = row.title;
  body.replaceChildren();
  const fill = () => details.open && !body.childElementCount && body.append(rows(container, found, values));
  details.ontoggle = fill;
  fill();
}

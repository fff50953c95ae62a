// The measures of an answer: fetched once it is stored, kept for colours, labels and charts.

const NUMBERS = new Intl.NumberFormat("en");
const loaded = new Map();
const requests = new Map();

/** The row of the table of measures, as the server wrote it into the controls. */
export function measureRow(name) {
  const option = document.querySelector(`[data-controls] option[value="${name}"]`);
  const { title, unit, scale, low, missing } = option.dataset;
  const [whole, bounded] = ["data-whole", "data-bounded"].map((flag) => option.hasAttribute(flag));
  return { name, title, unit, scale, low: Number(low), whole, bounded, missing };
}

/** Write a value the way the server does: signed where it has two sides, a bound as one, with its unit. */
export function measureWords({ title, unit, scale, whole, bounded, missing }, value, kind) {
  if (value === null || value === undefined) return `${title} ${missing}`;
  if (whole) return `${title} ${NUMBERS.format(value)}`;
  const bound = bounded && kind === "lower_bound" ? "≥ " : "";
  const sign = scale === "symmetric" && value > 0 ? "+" : "";
  return `${title} ${bound}${sign}${value.toFixed(scale === "unit" ? 2 : 3)} ${unit}`.trimEnd().replace("-", "−");
}

/** What is known already, or null. */
export function cachedMeasures(container) {
  return loaded.get(container.dataset.measures) ?? null;
}

/** Fetch the measures of a container; rejects with a sentence. */
export function loadMeasures(container) {
  const url = container.dataset.measures;
  if (!requests.has(url)) {
    const request = fetch(url)
      .then((answer) => {
        if (answer.ok) return answer.json();
        throw new Error(`The server answered ${answer.status}.`);
      })
      .then((found) => {
        loaded.set(url, found);
        return found;
      });
    requests.set(url, request);
    request.catch(() => requests.delete(url));
  }
  return requests.get(url);
}

/** Say beside a container that its measures are missing, with a way to try again; nothing when `error` is null. */
export function showProblem(container, error, retry) {
  const column = container.parentElement;
  column.querySelector("[data-measures-problem]")?.remove();
  if (!error) return;
  const note = document.createElement("p");
  note.className = "field-error";
  note.dataset.measuresProblem = "";
  note.setAttribute("role", "status");
  const again = document.createElement("button");
  again.type = "button";
  again.className = "btn btn-small";
  again.textContent = "Try again";
  again.addEventListener("click", retry);
  note.append(`The measures of this answer could not be loaded. ${error.message} `, again);
  container.before(note);
}

// In a page saved as one file: what the modules would fetch is in the page itself, and nothing else can be reached.

let panels;

async function unpack() {
  const packed = atob(document.querySelector("[data-share-panels]").textContent);
  const bytes = Uint8Array.from(packed, (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

function meanings(first, last) {
  const words = (rank) => rank.toLocaleString("en");
  const span = (low, high) => (low === high ? `base rank ${words(low)}` : `base rank ${words(low)} to ${words(high)}`);
  return { unshifted: span(1, first), marginal: span(first + 1, last), shifted: `base rank above ${words(last)}` };
}

/** Say the class of a panel under other thresholds than those it was saved with. */
function remark(html, rank, first, last) {
  const name = rank <= first ? "unshifted" : rank <= last ? "marginal" : "shifted";
  const template = document.createElement("template");
  template.innerHTML = html;
  const word = template.content.querySelector(".token-text");
  word.className = `token-text shift-${name}`;
  const [sample, meaning] = template.content.querySelector(".token-marks").children;
  sample.className = `shift-sample shift-${name}`;
  sample.textContent = name;
  meaning.textContent = meanings(first, last)[name];
  // Nearness to a border is known for the usual borders only.
  template.content.querySelector(".token-marks > .near-border")?.remove();
  return template.innerHTML;
}

async function panel(column, index, query) {
  panels ??= unpack();
  const html = (await panels)[column][index];
  const rank = Number(document.querySelector(`[data-column="${column}"] [data-i="${index}"]`).dataset.r);
  if (!query || !rank) return html;
  const asked = new URLSearchParams(query);
  return remark(html, rank, Number(asked.get("unshifted")), Number(asked.get("marginal")));
}

/** Answer what the modules ask of the server: `panel/COLUMN/TOKEN` and `measures/COLUMN`. */
export async function fetchOffline(url) {
  const [path, query] = url.split("?");
  const [kind, column, index] = path.split("/");
  if (kind === "panel") {
    const html = await panel(column, index, query);
    return { ok: true, text: async () => html };
  }
  const measures = JSON.parse(document.querySelector("[data-share-measures]").textContent);
  return { ok: true, json: async () => measures[column] };
}

/** The address of a file may not always be changed; the page then simply does not remember how it was shown. */
export const historyOffline = {
  state: null,
  replaceState(...change) {
    try {
      history.replaceState(...change);
    } catch {
      // Nothing to do: only the address stays as it was.
    }
  },
};

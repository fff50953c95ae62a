// The sheet that says where selected words stand in the tuning data.

let returnTo = null;

function sheet() {
  let found = document.querySelector("[data-sources]");
  if (!found) {
    found = document.createElement("aside");
    found.className = "source-sheet";
    found.dataset.sources = "";
    found.setAttribute("aria-label", "Where the selected words come from");
    found.tabIndex = -1;
    found.hidden = true;
    const close = document.createElement("button");
    close.type = "button";
    close.className = "btn btn-quiet btn-icon source-sheet-close";
    close.setAttribute("aria-label", "Close");
    close.textContent = "×";
    close.addEventListener("click", closeSheet);
    const body = document.createElement("div");
    body.dataset.sourcesBody = "";
    body.setAttribute("aria-live", "polite");
    found.append(close, body);
    document.body.append(found);
  }
  return found;
}

/** Ask the server where code points `start` to `end` of a response stand, and show it beside the response. */
export async function openSheet({ container, start, end }) {
  const shown = sheet();
  const body = shown.querySelector("[data-sources-body]");
  returnTo = container.querySelector('[tabindex="0"]');
  const query = new URLSearchParams({ start, end });
  for (const name of ["checkpoint", "basePrompt"]) {
    if (container.dataset[name]) query.set(name === "basePrompt" ? "base_prompt" : name, container.dataset[name]);
  }
  const chosen = document.querySelector(`[data-sources-result][data-response="${container.dataset.response}"]`)?.dataset.set;
  if (chosen) query.set("set", chosen);
  body.textContent = "Searching the tuning data …";
  shown.hidden = false;
  shown.focus({ preventScroll: true });
  try {
    const url = `/responses/${container.dataset.response}/sources?${query}`;
    const answer = await fetch(url, { headers: { "HX-Request": "true" } });
    if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
    body.innerHTML = await answer.text();
    globalThis.htmx?.process(body);
  } catch (error) {
    body.textContent = `This could not be searched. ${error.message}`;
  }
}

/** Close it and give the focus back to the response. */
export function closeSheet() {
  sheet().hidden = true;
  returnTo?.focus({ preventScroll: true });
}

/** Tell whether it is open. */
export function isOpen() {
  return document.querySelector("[data-sources]")?.hidden === false;
}

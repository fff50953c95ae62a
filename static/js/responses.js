// The page of a stored response: lines that follow the thresholds, tokens picked out by counts, forms that ask models.

import { onChange, state } from "./explore-state.js";
import { focusToken } from "./explore-tokens.js";
import { connectBusy } from "./responses-busy.js";

const REST_MS = 400;

let timer = 0;
const root = document.querySelector(".response");
const container = root.querySelector("[data-tokens]");
const lanes = [...root.querySelectorAll("[data-ranks]")].map((element) => ({
  name: element.dataset.name,
  ranks: element.value.split(" ").map(Number),
}));

/** The own rank of every checkpoint is part of what a token is called. */
function name(span, index) {
  const ranks = lanes.filter((lane) => lane.ranks[index]).map((lane) => `${lane.name} ${lane.ranks[index]}`);
  if (ranks.length) span.dataset.also = `own ranks: ${ranks.join(", ")}`;
}

function letter(rank) {
  if (!rank || rank <= state.unshifted) return "";
  return rank <= state.marginal ? "m" : "s";
}

function range(low, high) {
  return low === high ? `Rank ${low.toLocaleString("en")}` : `Rank ${low.toLocaleString("en")}–${high.toLocaleString("en")}`;
}

/** Count again how often each checkpoint ranks a token so. */
function recount() {
  const { unshifted, marginal } = state;
  const words = [range(1, unshifted), range(unshifted + 1, marginal), `Above ${marginal.toLocaleString("en")}`];
  root.querySelectorAll("[data-rank-words]").forEach((cell, at) => {
    cell.textContent = words[at];
  });
  for (const { name: reader, ranks } of lanes) {
    const cells = root.querySelectorAll(`[data-reader="${CSS.escape(reader)}"] [data-own-count]`);
    ["", "m", "s"].forEach((wanted, at) => {
      if (cells[at]) cells[at].textContent = ranks.filter((rank) => rank && letter(rank) === wanted).length;
    });
  }
}

/** The table of changed classes is the server's: fetched again once the thresholds rest. */
async function refetchChanges() {
  const section = root.querySelector("#changes");
  if (!section) return;
  const answer = await fetch(location.href).catch(() => null);
  if (!answer?.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("#changes");
  if (!fresh) return;
  section.replaceWith(document.adoptNode(fresh));
  const link = fresh.querySelector('[data-pick][aria-current="true"]');
  if (link) pick(link.dataset.pick, link.dataset.words, link.href);
}

/** Draw the lines again under the thresholds of the page. */
function redraw() {
  [...container.children].forEach((span, index) => {
    lanes.forEach(({ ranks }, at) => {
      const wanted = letter(ranks[index]);
      for (const other of ["m", "s"]) span.classList.toggle(`l${at + 1}${other}`, other === wanted);
    });
  });
}

function bit(mask, index) {
  return (Number.parseInt(mask[index >> 2] ?? "0", 16) >> (index & 3)) & 1;
}

/** Pick tokens out, say which, and keep it in the address; an empty mask picks none. */
function pick(mask, words, url) {
  [...container.children].forEach((span, index) => span.classList.toggle("picked", Boolean(bit(mask, index))));
  const said = root.querySelector("[data-picked]");
  said.hidden = !words;
  said.querySelector("[data-picked-words]").textContent = words;
  const wanted = new URLSearchParams(new URL(url, location.href).search);
  const query = new URLSearchParams(location.search);
  for (const key of ["pick", "of"]) {
    query.delete(key);
    for (const value of wanted.getAll(key)) query.append(key, value);
  }
  history.replaceState(history.state, "", `${location.pathname}?${query}`.replace(/\?$/, ""));
}

function follow(event, link) {
  event.preventDefault();
  for (const other of root.querySelectorAll("[data-pick]")) {
    if (other === link) other.setAttribute("aria-current", "true");
    else other.removeAttribute("aria-current");
  }
  pick(link?.dataset.pick ?? "", link?.dataset.words ?? "", link?.href ?? location.pathname);
  const first = container.querySelector(".picked");
  if (link && first) first.scrollIntoView({ block: "center" });
}

function go(event, link) {
  const span = container.children[Number(link.dataset.goto)];
  if (!span) return;
  event.preventDefault();
  focusToken(span);
  span.scrollIntoView({ block: "center" });
  span.click();
}

[...container.children].forEach(name);
root.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  const link = event.target.closest("[data-pick], [data-clear], [data-goto]");
  if (!link) return;
  if (link.dataset.goto) go(event, link);
  else follow(event, link.dataset.pick === undefined ? null : link);
});
onChange((names) => {
  if (!names.has("unshifted") && !names.has("marginal")) return;
  redraw();
  recount();
  clearTimeout(timer);
  timer = setTimeout(refetchChanges, REST_MS);
});
connectBusy();
// An answer to a form has the form's address, which cannot be opened again.
if (location.pathname.endsWith("/readings") || location.pathname === "/responses") {
  history.replaceState(history.state, "", root.dataset.page);
}

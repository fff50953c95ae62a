// Pinned tokens: cards side by side under the answers, in the order of pinning, kept in the address.

import { loadPanel } from "./explore-panel.js";
import { change, onChange, state } from "./explore-state.js";

const MAX_PINS = 12;

function keyOf(span) {
  return `${span.closest("[data-column]").dataset.column}-${span.dataset.i}`;
}

/** Connect pins; returns a function that must be told which token the panel shows. */
export function connectPins(root) {
  const section = root.querySelector("[data-pins]");
  const cards = section.querySelector("[data-pin-cards]");
  const offer = root.querySelector("[data-dock-pin]");
  const button = offer.querySelector("[data-pin-current]");
  const link = offer.querySelector("[data-pin-link]");
  let current = null;

  function spanOf(key) {
    const [column, index] = key.split("-");
    return root.querySelector(`[data-column="${column}"] [data-tokens] > [data-i="${index}"]`);
  }

  function label() {
    offer.hidden = !current;
    const pinned = current && state.pins.includes(keyOf(current));
    button.firstChild.textContent = pinned ? "Unpin " : "Pin to compare ";
    link.hidden = !state.pins.length;
    link.textContent = state.pins.length === 1 ? "1 pinned" : `Compare ${state.pins.length} pinned`;
    section.hidden = !state.pins.length;
  }

  function dress(card, key) {
    const close = document.createElement("button");
    close.type = "button";
    close.className = "btn btn-quiet btn-icon pin-close";
    close.textContent = "×";
    close.setAttribute("aria-label", `Unpin ${card.querySelector(".token-panel-title")?.textContent ?? "this token"}`);
    close.addEventListener("click", () => {
      const next = card.nextElementSibling ?? card.previousElementSibling;
      unpin(key);
      (next?.querySelector(".pin-close") ?? spanOf(key))?.focus();
    });
    card.append(close);
    spanOf(key)?.classList.add("pinned");
  }

  async function fillCard(card, key) {
    const span = spanOf(key);
    try {
      card.innerHTML = await loadPanel(span);
    } catch (error) {
      card.textContent = `This token could not be loaded. ${error.message}`;
    }
    dress(card, key);
  }

  function pin(span) {
    const key = keyOf(span);
    if (state.pins.length >= MAX_PINS) return;
    const card = document.createElement("article");
    card.className = "pin-card";
    card.dataset.pin = key;
    cards.append(card);
    fillCard(card, key);
    change({ pins: [...state.pins, key] });
  }

  function unpin(key) {
    cards.querySelector(`[data-pin="${key}"]`)?.remove();
    spanOf(key)?.classList.remove("pinned");
    change({ pins: state.pins.filter((other) => other !== key) });
  }

  function toggle(span) {
    if (state.pins.includes(keyOf(span))) unpin(keyOf(span));
    else pin(span);
  }

  state.pins = [...cards.children].map((card) => card.dataset.pin);
  for (const card of cards.children) dress(card, card.dataset.pin);
  button.addEventListener("click", () => current && toggle(current));
  const all = section.querySelector("[data-unpin-all]");
  all.hidden = false;
  all.addEventListener("click", () => [...state.pins].forEach(unpin));
  root.addEventListener("keydown", (event) => {
    const span = event.target.closest?.("[data-tokens][data-panel-url] > [data-i]");
    if (event.key === "c" && span && !event.ctrlKey && !event.metaKey && !event.altKey) toggle(span);
  });
  onChange((names) => {
    label();
    if (!names.has("unshifted") && !names.has("marginal")) return;
    for (const card of cards.children) fillCard(card, card.dataset.pin);
  });
  label();
  return (span) => {
    current = span;
    label();
  };
}
